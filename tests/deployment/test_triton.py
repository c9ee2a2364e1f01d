"""A bundle for NVIDIA Triton: a real Triton answers as the run's proof did, refuses what is wrong, and is missed."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.consumers.environments import NotInstallableError
from tests.deployment.linters import assert_linters_are_silent
from tests.deployment.triton_server import KEY, SERVER, Started, front, install, triton
from tests.deployment.watch import MISSING, until, watched
from tfkit.cli.main import main
from tfkit.deployment import read_bundle

pytestmark = pytest.mark.slow


def run(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, words)], cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


def packaged(run: Path, folder: Path, *words: str) -> Path:
    assert main(["package", "triton", str(run), "--output", str(folder), *words]) == 0
    return folder


@pytest.fixture(scope="module")
def bundle(files_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The int8 file, as `tfkit package triton` chooses."""
    return packaged(files_run, tmp_path_factory.mktemp("triton") / "bundle")


def server_of(bundle: Path, folder: Path) -> Iterator[Started]:
    try:
        install(bundle)
    except NotInstallableError as fault:
        pytest.skip(str(fault))
    with triton(bundle, folder) as started:
        yield started


@pytest.fixture(scope="module")
def started(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    yield from server_of(bundle, tmp_path_factory.mktemp("server"))


def test_it_is_verified_and_every_changed_byte_is_named(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(bundle)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "answers 8 golden samples with model_int8.tflite as in the run's proof" in told
    assert "not checked: the image was not built" in told
    said = read_bundle(bundle)
    assert said is not None and said.kind == "triton"
    shutil.copytree(bundle, tmp_path / "copy")
    for name in (
        "models/three-digits/1/model.py",
        "models/three-digits/config.pbtxt",
        "models/three-digits/labels.txt",
    ):
        content = (tmp_path / "copy" / name).read_bytes()
        (tmp_path / "copy" / name).write_bytes(content[:-1] + b"#")
        assert main(["verify", str(tmp_path / "copy")]) == 1
        assert name in capsys.readouterr().err
        (tmp_path / "copy" / name).write_bytes(content)
    written = [
        file.read_text() for file in bundle.rglob("*") if file.suffix in (".md", ".yaml", ".conf", ".py", ".txt")
    ]
    assert "@{" not in "".join(written) and "@%" not in "".join(written)


def test_it_needs_no_tensorflow_and_no_address(bundle: Path) -> None:
    pins = [line for line in (bundle / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9.-]+==[\w.]+", line) for line in pins)
    names = {line.split("==")[0] for line in pins}
    assert {"ai-edge-litert", "numpy", "pillow", "simplejpeg"} <= names
    assert not names & {"tensorflow", "keras", "tensorflow-text"}
    code = "".join(file.read_text() for file in (bundle / "models").rglob("*.py"))
    assert not re.search(
        r"^\s*(import|from) (tensorflow|keras|tfkit)", code.replace("if TYPE_CHECKING:\n    from tfkit", ""), re.M
    )


def test_what_no_triton_can_serve_is_refused(
    files_run: Path, texts_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bundle"
    broken = tmp_path / "run"
    shutil.copytree(files_run, broken)
    (broken / "golden/inputs.npz").write_bytes(b"other")
    for at, words, told in (
        (files_run, ["--file", "model_float16.tflite"], "has no file 'model_float16.tflite'"),
        (files_run, ["--name", "Not A Name", "--instances", "0"], "1 instance or more"),
        (files_run, ["--triton-image", "nvcr.io/nvidia/tritonserver"], "has no tag"),
        (tmp_path, [], "is no finished run"),
        (broken, [], "inputs.npz"),
    ):
        assert main(["package", "triton", str(at), "--output", str(folder), *words]) == 1
        assert told in capsys.readouterr().err
        assert not folder.exists()


def test_prometheus_and_nginx_take_their_files(bundle: Path, tmp_path: Path) -> None:
    for command, words in (
        ("promtool", ("check", "config", "prometheus.yml")),
        ("promtool", ("check", "rules", "alerts.yml")),
        ("promtool", ("test", "rules", "alerts_test.yml")),
    ):
        if shutil.which(command) is None:
            pytest.skip(f"no {command} on this machine")
        done = run(command, *words, cwd=bundle / "prometheus")
        assert done.returncode == 0, done.stdout + done.stderr
    dashboard = json.loads((bundle / "grafana/dashboard.json").read_text())
    told = json.dumps(dashboard)
    assert len({panel["id"] for panel in dashboard["panels"]}) == 4
    assert "nv_inference_request_success" in told and "tensorflow" not in told


@pytest.mark.consumers
def test_linters_have_nothing_to_say(bundle: Path) -> None:
    assert_linters_are_silent(bundle)


@pytest.mark.consumers
def test_clients_get_the_proved_answers_to_the_bit_and_bad_requests_are_refused(
    bundle: Path, started: Started, tmp_path: Path
) -> None:
    """Through nginx: 400 requests of 8 clients, one in twenty malformed."""
    if shutil.which("nginx") is None:
        pytest.skip("no nginx on this machine")
    with front(bundle, started, tmp_path) as (http, _):
        url = f"http://127.0.0.1:{http}"
        done = run(sys.executable, bundle / "client/check.py", "--url", url, "--key", KEY)
        assert done.returncode == 0, done.stdout + done.stderr
        words = ("--requests", 400, "--clients", 8, "--bad", 5, "--apart", 0, "--json")
        done = run(sys.executable, bundle / "client/load.py", "--url", url, "--key", KEY, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        said = json.loads(done.stdout)
        assert (said["right"], said["wrong"], said["failed"]) == (380, 0, 0)
        assert sum(said["bad"].values()) == 20
        assert {what.rpartition(": ")[2] for what in said["bad"]} == {"400", "401", "413"}
    assert started.process.poll() is None
    log = (tmp_path / "nginx.log").read_text()
    assert " 413 " in log and "sesame" not in log
    assert main(["verify", str(bundle)]) == 0, "using it leaves it as it was"


@pytest.mark.consumers
def test_grpc_answers_alike_for_known_clients_alone(bundle: Path, started: Started, tmp_path: Path) -> None:
    if shutil.which("nginx") is None:
        pytest.skip("no nginx on this machine")
    python, check = SERVER.interpreter(), bundle / "client/check.py"
    picture = tmp_path / "picture.png"
    with front(bundle, started, tmp_path) as (http, grpc):
        addresses = ("--url", f"http://127.0.0.1:{http}", "--grpc", f"127.0.0.1:{grpc}")
        done = run(python, check, *addresses, "--key", KEY)
        assert done.returncode == 0, done.stdout + done.stderr
        picture.write_bytes(b"no picture")
        client = (python, bundle / "client/client.py", picture, "--grpc", f"127.0.0.1:{grpc}")
        refused = run(*client, "--key", "other")
        assert refused.returncode == 1
        assert "401" in refused.stderr or "UNAUTHENTICATED" in refused.stderr
        broken = run(*client, "--key", KEY)
        assert broken.returncode == 1
        assert "no whole JPEG or PNG" in broken.stderr


@pytest.mark.consumers
@pytest.mark.parametrize("file", ["model_float32.tflite", "model_int8.onnx"])
def test_other_files_answer_as_they_were_proved(file: str, files_run: Path, tmp_path: Path) -> None:
    bundle = packaged(files_run, tmp_path / "bundle", "--file", file)
    for started in server_of(bundle, tmp_path):
        done = run(sys.executable, bundle / "client/check.py", "--url", f"http://127.0.0.1:{started.http}")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.consumers
def test_texts_are_tokenised_as_in_training_or_refused(texts_run: Path, tmp_path: Path) -> None:
    bundle = packaged(texts_run, tmp_path / "bundle")
    for started in server_of(bundle, tmp_path):
        url = ("--url", f"http://127.0.0.1:{started.http}")
        done = run(sys.executable, bundle / "client/check.py", *url)
        assert done.returncode == 0, done.stdout + done.stderr
        refused = run(sys.executable, bundle / "client/client.py", "50 α", *url)
        assert refused.returncode == 1
        assert "a letter that is not sure to be tokenised here as in training" in refused.stderr


@pytest.mark.consumers
@pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}")
def test_a_model_that_is_taken_away_wakes_somebody(bundle: Path, tmp_path: Path) -> None:
    for started in server_of(bundle, tmp_path):
        (tmp_path / "watch").mkdir()
        with watched(bundle, tmp_path / "watch", written="triton:8002", port=started.metrics) as watch:
            until(watch.is_up, "a scrape")
            run(sys.executable, bundle / "client/check.py", "--url", f"http://127.0.0.1:{started.http}")
            until(
                lambda: float(watch.asked("sum(nv_inference_request_success)")[0]["value"][1]) > 8, "counted requests"
            )
            assert watch.asked('nv_inference_request_summary_us{quantile="0.99"}')
            assert not watch.alerts
            started.process.kill()
            until(lambda: "ModelAway" in watch.alerts, "an alert")
            assert set(watch.alerts) == {"ModelAway"}
