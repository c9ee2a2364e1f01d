"""Many clients at once: python client/load.py [--clients 16] [--requests 1000] [--url URL] [--key KEY]

It prints requests a second, latency, and how many answers were wrong or missing.
"""

import argparse
import statistics
import sys
import threading
import time

sys.dont_write_bytecode = True  # the bundle stays as it was written

from check import REQUESTS, alike
from client import ask


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--url", default="http://127.0.0.1:8501")
    parser.add_argument("--key", default="")
    given = parser.parse_args()
    lock, left, seconds, wrong, failed = threading.Lock(), iter(range(given.requests)), [], [], []

    def work():
        while True:
            with lock:
                number = next(left, None)
            if number is None:
                return
            one = REQUESTS[number % len(REQUESTS)]
            began = time.perf_counter()
            try:
                (got,) = ask([one["instance"]], url=given.url, key=given.key)
            except (OSError, ValueError) as fault:
                failed.append(str(fault))
                continue
            seconds.append(time.perf_counter() - began)
            if not all(alike(value, got.get(name, got.get(""))) for name, value in one["answer"].items()):
                wrong.append(number)

    began = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(given.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.perf_counter() - began
    if seconds:
        cuts = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else seconds * 99
        print(
            f"{len(seconds) / spent:.1f} requests a second; p50 {1000 * cuts[49]:.1f} ms, p99 {1000 * cuts[98]:.1f} ms"
        )
    print(f"{len(wrong)} wrong answers, {len(failed)} failed{': ' + failed[0] if failed else ''}")
    return 1 if wrong or failed else 0


if __name__ == "__main__":
    sys.exit(main())
