"""The first request that a served model answers, behind its warm-up requests and without, beside the steady p50.

    python tests/benchmarks/first_request.py BUNDLE [--processes 5] [--requests 200]

BUNDLE is what `tfkit package serving` made. Its model is loaded through TensorFlow's C interface in a process without
Python's TensorFlow, as a server does it, again and again: the golden requests follow each other one by one, in half of
the processes behind the bundle's warm-up requests.
"""

import argparse
import base64
import json
import statistics
from pathlib import Path

from measured import measured_on

from tests.deployment.test_serving import in_c


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--requests", type=int, default=200)
    options = parser.parse_args()
    (version,) = sorted((options.bundle / "models").glob("*/*"))[-1:]
    rows = json.loads((options.bundle / "golden/requests.json").read_text())
    sent = [_bytes(row["instance"]) for row in rows]
    warm_up = [[one] for one in sent] + [sent]
    steady = [[sent[number % len(sent)]] for number in range(options.requests)]
    ratios = {"with the warm-up requests": [], "without": []}
    firsts = {name: [] for name in ratios}
    for _ in range(options.processes):
        for name, before in (("with the warm-up requests", warm_up), ("without", [])):
            done = in_c(version, [*before, *steady])
            if done.returncode:
                raise SystemExit(done.stderr[-2000:])
            seconds = json.loads(done.stdout)["seconds"][len(before) :]
            usual = statistics.median(seconds[len(seconds) // 2 :])
            firsts[name].append(seconds[0] * 1e3)
            ratios[name].append(seconds[0] / usual)
    print("| first request | ms | of the steady p50 |\n| --- | --- | --- |")
    for name, found in ratios.items():
        spread = f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
        print(f"| {name} | {statistics.median(firsts[name]):.1f} | {spread} |")
    print(f"\nMedians of {options.processes} processes, {options.requests} requests each.", measured_on())


def _bytes(instance: dict) -> bytes:
    (value,) = instance.values()
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()


if __name__ == "__main__":
    main()
