"""A bundle's rules in a real Prometheus, with a real Alertmanager that wakes whoever is on duty."""

import contextlib
import json
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.deployment.ports import free_port

MISSING = [name for name in ("prometheus", "prometheus-alertmanager") if shutil.which(name) is None]


@dataclass(frozen=True)
class Watch:
    """Prometheus' port, and the alerts that woke somebody so far."""

    port: int
    alerts: list[str]

    def asked(self, query: str) -> list[dict[str, Any]]:
        """What Prometheus answers to a query now."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?query={urllib.parse.quote(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            found: list[dict[str, Any]] = json.loads(answer.read())["data"]["result"]
            return found

    def is_up(self) -> bool:
        """Whether its one target was scraped."""
        return bool(self.asked("up")[0]["value"][1] == "1")


def until(found: Callable[[], bool], told: str) -> None:
    """Wait two minutes at most."""
    for _ in range(600):
        with contextlib.suppress(OSError, KeyError, IndexError):
            if found():
                return
        time.sleep(0.2)
    raise AssertionError(f"{told} did not come about in two minutes")


@contextlib.contextmanager
def watched(bundle: Path, folder: Path, *, written: str, port: int) -> Iterator[Watch]:
    """Start them with a bundle's rules, on alert after seconds in the place of minutes.

    Args:
        bundle: The bundle.
        folder: Where they keep their files.
        written: The host and port that its prometheus.yml scrapes.
        port: Where that server is here.
    """
    metrics, manager, cluster = free_port(), free_port(), free_port()
    shutil.copytree(bundle / "prometheus", folder / "prometheus")
    rules = folder / "prometheus/alerts.yml"
    assert "for: 1m" in rules.read_text()
    rules.write_text(rules.read_text().replace("for: 1m", "for: 2s"))
    said = (folder / "prometheus/prometheus.yml").read_text()
    assert written in said
    said = said.replace(written, f"127.0.0.1:{port}").replace(": 15s", ": 1s")
    said = said.replace("# alerting:", "alerting:").replace("alertmanager:9093", f"127.0.0.1:{manager}")
    (folder / "prometheus/prometheus.yml").write_text(said)
    watch = ("--config.file=prometheus/prometheus.yml", f"--web.listen-address=127.0.0.1:{metrics}")
    duty = ("--config.file=alertmanager.yml", f"--web.listen-address=127.0.0.1:{manager}", "--storage.path=kept")
    with _on_duty() as (pager, alerts):
        config = {"route": {"receiver": "duty", "group_wait": "1s"}}
        config |= {"receivers": [{"name": "duty", "webhook_configs": [{"url": f"http://127.0.0.1:{pager}/"}]}]}
        (folder / "alertmanager.yml").write_text(json.dumps(config))
        with (
            _running("prometheus", *watch, "--storage.tsdb.path=data", folder=folder),
            _running("prometheus-alertmanager", *duty, f"--cluster.listen-address=127.0.0.1:{cluster}", folder=folder),
        ):
            yield Watch(metrics, alerts)


@contextlib.contextmanager
def _running(*words: object, folder: Path) -> Iterator[None]:
    with (folder / f"{Path(str(words[0])).name}.log").open("w") as log:
        process = subprocess.Popen([*map(str, words)], cwd=folder, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


@contextlib.contextmanager
def _on_duty() -> Iterator[tuple[int, list[str]]]:
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
    try:
        yield server.server_address[1], alerts
    finally:
        server.shutdown()
