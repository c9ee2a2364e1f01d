"""A bundle's rules in a real Prometheus, which scrapes a server and wakes a real Alertmanager when it is taken away."""

import contextlib
import json
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.deployment.test_serving import DOUBLE, free_port

pytestmark = pytest.mark.slow
_MISSING = [name for name in ("prometheus", "prometheus-alertmanager") if shutil.which(name) is None]


def _until(found: Callable[[], bool], told: str) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError, KeyError, IndexError):
            if found():
                return
        time.sleep(0.2)
    pytest.fail(f"{told} did not come about in two minutes")


@contextlib.contextmanager
def _running(*words: object, folder: Path) -> Iterator[None]:
    with (folder / f"{Path(str(words[0])).name}.log").open("w") as log:
        process = subprocess.Popen([*map(str, words)], cwd=folder, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def _asked(port: int, query: str) -> list[dict[str, object]]:
    url = f"http://127.0.0.1:{port}/api/v1/query?query={query}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        found: list[dict[str, object]] = json.loads(answer.read())["data"]["result"]
        return found


@pytest.fixture
def woken() -> Iterator[tuple[int, list[str]]]:
    """A port where whoever is on duty listens, and the alerts that came."""
    alerts: list[str] = []

    class Pager(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            alerts.extend(alert["labels"]["alertname"] for alert in said["alerts"] if alert["status"] == "firing")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pager)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], alerts
    server.shutdown()


@pytest.mark.skipif(bool(_MISSING), reason=f"not on this machine: {', '.join(_MISSING)}")
def test_a_server_that_is_taken_away_wakes_somebody(bundle: Path, tmp_path: Path, woken: tuple[int, list[str]]) -> None:
    pager, alerts = woken
    metrics, manager, cluster = free_port(), free_port(), free_port()
    shutil.copytree(bundle / "prometheus", tmp_path / "prometheus")
    rules = tmp_path / "prometheus/alerts.yml"
    assert "for: 1m" in rules.read_text()
    rules.write_text(rules.read_text().replace("for: 1m", "for: 2s"))  # the test does not wait a minute
    config = {"route": {"receiver": "duty", "group_wait": "1s"}}
    config |= {"receivers": [{"name": "duty", "webhook_configs": [{"url": f"http://127.0.0.1:{pager}/"}]}]}
    (tmp_path / "alertmanager.yml").write_text(json.dumps(config))
    with subprocess.Popen([sys.executable, DOUBLE, bundle], stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        rest, _ = served.stdout.readline().split()
        said = (tmp_path / "prometheus/prometheus.yml").read_text()
        said = said.replace("serving:8501", f"127.0.0.1:{rest}").replace(": 15s", ": 1s")
        said = said.replace("# alerting:", "alerting:").replace("alertmanager:9093", f"127.0.0.1:{manager}")
        (tmp_path / "prometheus/prometheus.yml").write_text(said)
        watch = ("--config.file=prometheus/prometheus.yml", f"--web.listen-address=127.0.0.1:{metrics}")
        duty = ("--config.file=alertmanager.yml", f"--web.listen-address=127.0.0.1:{manager}")
        try:
            with (
                _running("prometheus", *watch, "--storage.tsdb.path=data", folder=tmp_path),
                _running(
                    "prometheus-alertmanager",
                    *duty,
                    f"--cluster.listen-address=127.0.0.1:{cluster}",
                    "--storage.path=kept",
                    folder=tmp_path,
                ),
            ):
                _until(lambda: _asked(metrics, "up")[0]["value"][1] == "1", "a scrape")  # type: ignore[index]
                assert len(_asked(metrics, ":tensorflow:serving:request_count")) == 2
                assert not _asked(metrics, "ALERTS") and not alerts
                served.kill()
                _until(lambda: "ModelAway" in alerts, "an alert")
                assert set(alerts) == {"ModelAway"}
        finally:
            served.kill()
