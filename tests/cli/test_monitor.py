"""`tfkit monitor`: a stream of texts counted by two models, killed and gone on with, and told to others."""

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tfkit.cli.main import main

pytestmark = pytest.mark.slow
pytest.importorskip("river", reason="the extra tfkit[stream] is not installed")
HOUR, BEGIN = 3600, 1_796_000_400  # a full hour
_LOOSE = {"min_agreement": 0.0, "max_accuracy_drop": 1.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tfkit

    folder = tmp_path_factory.mktemp("runs")
    said = {"run": {"name": "topics", "directory": str(folder)}, "export": {"formats": ["tflite_dynamic_int8"]}}
    tfkit.run("intents_small", **said, acceptance=_LOOSE, quantization=None)
    return folder / "topics"


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Two days of chats, the last hour but one full of parcels that are late; some come twice, late or broken."""
    from tfkit.data.text import load_text_splits

    known = load_text_splits(source="built_in", label_column="intent", test_fraction=0.25).train
    parcels = [text for text, label in zip(known.texts, known.labels, strict=True)
               if known.class_names[label] == "delivery_status"]  # fmt: skip
    draw, told = random.Random(0), []
    for hour in range(48):
        texts = draw.choices(known.texts, k=10) + (draw.choices(parcels, k=40) if hour == 46 else [])
        times = sorted(draw.uniform(0, HOUR) for _ in texts)
        told += [
            json.dumps({"text": text, "time": BEGIN + hour * HOUR + second, "id": f"{hour}-{place}"})
            for place, (text, second) in enumerate(zip(texts, times, strict=True))
        ]
    told[100:100] = [told[99], "no JSON", json.dumps({"text": "long ago", "time": BEGIN - HOUR, "id": "old"})]
    return told


def test_a_spike_is_told_everywhere(run: Path, lines: list[str], tmp_path: Path, hook: "Hook", capsys) -> None:
    stream, page, metrics = tmp_path / "chats.jsonl", tmp_path / "page.html", tmp_path / "monitor.prom"
    stream.write_text("\n".join(lines))
    words = ["monitor", str(run), str(stream), "--key-field", "id", "--state", str(tmp_path / "state.json")]
    shown = ["--page", str(page), "--prometheus", str(metrics), "--webhook", f"{hook.address}/secret"]
    capsys.readouterr()
    assert main([*words, *shown, "--pushgateway", hook.address, "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["counted"], told["repeated"], told["late"], told["bad"]) == (48 * 10 + 40, 1, 1, 1)
    assert len(told["windows"]) == 47 and told["windows"][46]["texts"] == 50
    spike = next(alarm for alarm in told["raised"] if alarm["kind"] == "spike" and alarm["topic"])
    assert spike["topic"] == "delivery_status" and spike["window"] == told["windows"][46]["number"]
    (_, place, body), *_ = [one for one in hook.taken if one[0] == "POST"]
    assert json.loads(body)["alarms"] == told["raised"] and place == "/secret"
    pushed = [one for one in hook.taken if one[0] == "PUT"]
    assert pushed and pushed[0][1] == "/metrics/job/tfkit_monitor/instance/topics"
    for told_there in (metrics.read_text(), pushed[-1][2].decode()):
        assert 'tfkit_monitor_texts_total{model="topics"} 520' in told_there
    written = page.read_text()
    assert "delivery_status" in written and "<svg" in written and "late parcel" not in written
    assert main(words) == 0, "nothing is new"
    assert "nothing unusual" in capsys.readouterr().out


def test_alarms_wait_until_they_are_taken(run: Path, lines: list[str], tmp_path: Path, hook: "Hook", capsys) -> None:
    stream = tmp_path / "chats.jsonl"
    stream.write_text("\n".join(lines))
    words = ["monitor", str(run), str(stream), "--key-field", "id", "--state", str(tmp_path / "state.json")]
    assert main([*words, "--webhook", "http://127.0.0.1:9/secret"]) == 3
    said = capsys.readouterr().out
    assert "could not be delivered" in said and "secret" not in said
    assert main([*words, "--webhook", hook.address]) == 0
    assert any(alarm["topic"] == "delivery_status" for alarm in json.loads(hook.taken[0][2])["alarms"])


def test_a_killed_monitor_counts_no_line_twice(run: Path, lines: list[str], tmp_path: Path) -> None:
    stream, states = tmp_path / "chats.jsonl", [tmp_path / "whole.json", tmp_path / "killed.json"]
    stream.write_text("\n".join(lines))
    command = [sys.executable, "-m", "tfkit.cli.main", "monitor", str(run), str(stream), "--key-field", "id", "--state"]
    assert subprocess.run([*command, str(states[0])], capture_output=True).returncode == 3
    draw = random.Random(1)
    for _ in range(4):
        going = subprocess.Popen([*command, str(states[1])], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not states[1].exists() and going.poll() is None:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 1.0))
        going.kill()
        going.wait()
    assert subprocess.run([*command, str(states[1])], capture_output=True).returncode in (0, 3)
    whole, killed = (json.loads(state.read_text()) for state in states)
    assert whole == killed


def test_a_pipe_is_read_to_its_end(run: Path, lines: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tfkit.cli.main", "monitor", str(run), "-", "--state", str(tmp_path / "s.json")]
    given = "\n".join(lines[:60]).encode()
    done = subprocess.run([*command, "--cross", str(run), "--json"], input=given, capture_output=True)
    told = json.loads(done.stdout)
    assert done.returncode == 0 and told["counted"] == 60 and told["cross"] == "topics"
    assert all(
        topic == mood for window in told["windows"] for topic, moods in window["counts"].items() for mood in moods
    )


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (["--window", "2h"], "is of a monitor with another window"),
        (["--window", "soon"], "'soon' is no length of time"),
        (["--webhook", "file:///etc/passwd"], "no http or https address"),
        (["--alpha", "2"], "alpha 2; expected more than 0"),
    ],
)
def test_what_cannot_be_is_told_in_words(run: Path, lines: list[str], tmp_path: Path, capsys, changed, told) -> None:
    stream, state = tmp_path / "chats.jsonl", tmp_path / "state.json"
    stream.write_text(lines[0])
    words = ["monitor", str(run), str(stream), "--state", str(state)]
    assert main(words) == 0
    kept = state.read_text()
    assert main([*words, *changed]) == 1
    assert told in " ".join(capsys.readouterr().err.split()) and state.read_text() == kept
    state.write_text("{}")
    assert main(words) == 1 and "is no state of a monitor" in " ".join(capsys.readouterr().err.split())


class Hook:
    """A server that takes everything, and keeps it."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, bytes]] = []
        kept = self.taken

        class Taking(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                kept.append((self.command, self.path, self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            do_PUT = do_POST  # noqa: N815 - the library's name

            def log_message(self, *words: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
