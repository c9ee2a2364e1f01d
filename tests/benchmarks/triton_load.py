"""A bundle in a real Triton, under load, with malformed requests, watched: its server, nginx, Prometheus, Alertmanager.

    python tests/benchmarks/triton_load.py RUN [--requests 10000] [--clients 16] [--bad 5] [--starts 5]

RUN is a finished run with an accepted .tflite or .onnx file. Every good answer is compared with the run's own golden
answers (--apart 0: to the bit), every bad request must get 4xx and a reason. The first request after a start is timed
with and without warm-up. It prints one table.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.deployment.triton_server import KEY, SERVER, Started, front, triton
from tests.deployment.watch import until, watched
from tfkit.cli.main import main as command

_WARM = 300  # good requests before memory and the steady time are read


def load(bundle: Path, url: str, *, requests: int, clients: int, bad: float, apart: float) -> dict[str, Any]:
    """The bundle's own load script through the front: what it says of the answers."""
    words = [sys.executable, str(bundle / "client/load.py"), "--json", "--url", url, "--key", KEY]
    words += ["--requests", str(requests), "--clients", str(clients), "--bad", str(bad), "--apart", str(apart)]
    done = subprocess.run(words, capture_output=True, text=True)
    if not done.stdout:
        raise AssertionError(done.stderr[-3000:])
    said: dict[str, Any] = json.loads(done.stdout)
    return said


# One client at Triton itself. It is refused once before, for a body without inputs, which no model sees: then its own
# code is warm. A request that comes alone, after a pause, finds processes asleep: the first one does.
_ALONE = """
import statistics, sys, time
sys.path.insert(0, sys.argv[1])
from check import SENT
from client import Connection
connection = Connection(sys.argv[2])
connection.post(b"{}")

def took(pause=0.0):
    time.sleep(pause)
    began = time.perf_counter()
    connection.ask([SENT[0]])
    return 1e3 * (time.perf_counter() - began)

first = took(0.2)
print(first, statistics.median([took(0.2) for _ in range(15)]), statistics.median([took() for _ in range(200)]))
"""


def first_and_steady(bundle: Path, folder: Path) -> tuple[float, float, float]:
    """Milliseconds of the first request after a start; the median of later ones, 0.2 s apart, and at once."""
    with triton(bundle, folder) as started:
        words = [sys.executable, "-c", _ALONE, str(bundle / "client"), f"http://127.0.0.1:{started.http}"]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    first, apart, at_once = map(float, said.split())
    return first, apart, at_once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("run", type=Path)
    parser.add_argument("--file")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--bad", type=float, default=5.0)
    parser.add_argument("--apart", type=float, default=0.0)
    parser.add_argument("--starts", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tfkit-") as name:
        folder = Path(name)
        words = ["package", "triton", str(given.run), *(["--file", given.file] if given.file else [])]
        with contextlib.redirect_stdout(sys.stderr):
            if command([*words, "--output", str(folder / "warm")]) or command(
                [*words, "--no-warm-up", "--output", str(folder / "cold")]
            ):
                raise SystemExit(1)
        under_load(folder / "warm", folder, given)
        starts(folder, given.starts)
        pins = [line for line in (folder / "warm/requirements.txt").read_text().splitlines() if "==" in line]
    print("\n" + ", ".join((*SERVER.packages[:1], *pins)))


def starts(folder: Path, count: int) -> None:
    """The first request after some starts, with and without warm-up in turns."""
    print("\n| start | first request, ms | p50 0.2 s apart, ms | p50 at once, ms | first / apart |")
    print("| --- | --- | --- | --- | --- |")
    ratios: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(count):
        for kind, bundle in (("with", "warm"), ("without", "cold")):
            first, apart, at_once = first_and_steady(folder / bundle, folder)
            ratios[kind].append(first / apart)
            row = f"{number + 1}, {kind} warm-up | {first:.2f} | {apart:.2f} | {at_once:.2f} | {first / apart:.2f}"
            print(f"| {row} |", flush=True)
    for kind, values in ratios.items():
        told = f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
        print(f"| {kind} warm-up, median (range) | | | | {told} |", flush=True)


def under_load(bundle: Path, folder: Path, given: argparse.Namespace) -> None:
    """The load, the memory before and after, and the alert when the model is taken away."""
    (folder / "watch").mkdir()
    with triton(bundle, folder) as started, front(bundle, started, folder) as (http, _):
        url, options = f"http://127.0.0.1:{http}", {"clients": given.clients, "apart": given.apart}
        with watched(bundle, folder / "watch", written="triton:8002", port=started.metrics) as watch:
            until(watch.is_up, "a scrape")
            load(bundle, url, requests=_WARM, bad=given.bad, **options)
            began, before = time.perf_counter(), started.resident_bytes()
            middle: list[int] = []
            half = given.requests // 2
            said = [load(bundle, url, requests=half, bad=given.bad, **options)]
            middle.append(started.resident_bytes())
            said.append(load(bundle, url, requests=given.requests - half, bad=given.bad, **options))
            after, seconds = started.resident_bytes(), time.perf_counter() - began
            _tell(said, seconds, (before, middle[0], after), given)
            if started.process.poll() is not None:
                raise SystemExit(f"Triton died: {(folder / 'triton.log').read_text(errors='replace')[-1500:]}")
            _take_away(started, watch)


def _tell(said: list[dict[str, Any]], seconds: float, resident: tuple[int, int, int], given: Any) -> None:
    print("| what | figure |\n| --- | --- |")
    print(f"| requests, clients | {given.requests}, {given.clients} |")
    for what in ("right", "wrong", "failed"):
        print(f"| {what} | {sum(one[what] for one in said)} |")
    for what in said[0]["bad"].keys() | said[1]["bad"].keys():
        print(f"| bad: {what} | {sum(one['bad'].get(what, 0) for one in said)} |")
    print(f"| seconds | {seconds:.1f} |")
    print(f"| requests a second, halves | {' / '.join(str(one['a_second']) for one in said)} |")
    print(f"| p50 ms, halves | {' / '.join(str(one['p50_ms']) for one in said)} |")
    print(f"| p99 ms, halves | {' / '.join(str(one['p99_ms']) for one in said)} |")
    print(f"| resident MiB before, midway, after | {' / '.join(f'{one / 2**20:.1f}' for one in resident)} |")
    for one in said:
        for failure in one["first_failures"]:
            print("failed:", failure)


def _take_away(started: Started, watch: Any) -> None:
    began = time.perf_counter()
    started.process.kill()
    until(lambda: "ModelAway" in watch.alerts, "an alert")
    print(f"| the model was taken away | ModelAway after {time.perf_counter() - began:.1f} s |", flush=True)


if __name__ == "__main__":
    main()
