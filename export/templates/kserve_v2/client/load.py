"""Many clients at once: python client/load.py [--clients 16] [--requests 1000] [--bad 5] [--url URL] [--key KEY]

It prints requests a second, latency, how many answers were wrong or missing, and how each bad request was answered.
"""

import argparse
import collections
import json
import random
import statistics
import sys
import threading
import time

sys.dont_write_bytecode = True  # the bundle stays as it was written

from check import APART, REQUESTS, SENT, alike, bad_requests, refused
from client import HTTP, Connection, reason_of


class Load:
    """The requests that are still to be sent, and what came of the others."""

    def __init__(self, given):
        self.given, self.lock, self.left = given, threading.Lock(), iter(range(given.requests))
        draw, kinds = random.Random(0), list(bad_requests(bool(given.key)))
        chosen = sorted(draw.sample(range(given.requests), round(given.requests * given.bad / 100)))
        self.bad = {number: kinds[place % len(kinds)] for place, number in enumerate(chosen)}
        self.seconds, self.wrong, self.failed = [], [], []
        self.answered = collections.Counter()

    def work(self):
        """One client: it takes the next request until there is none."""
        connection = Connection(self.given.url, self.given.key, timeout=60.0)
        while True:
            with self.lock:
                number = next(self.left, None)
            if number is None:
                return connection.close()
            try:
                self._send(connection, number)
            except Exception as fault:  # whatever it is, the others go on, and it is counted
                self.failed.append(f"request {number}: {type(fault).__name__}: {fault}")

    def _send(self, connection, number):
        if number in self.bad:
            what, body, head_bytes, key = self.bad[number]
            status, _, content = connection.post(body, head_bytes, key)
            reason = reason_of(content)
            if not refused(status, reason, bool(self.given.key)):
                self.failed.append(f"{what}: status {status}, {reason or 'no reason'}")
            with self.lock:
                self.answered[f"{what}: {status}"] += 1
            return
        place = number % len(SENT)
        began = time.perf_counter()
        (got,) = connection.ask([SENT[place]])
        self.seconds.append(time.perf_counter() - began)
        wanted = REQUESTS[place]["answer"]
        if not all(alike(value, got.get(name), self.given.apart) for name, value in wanted.items()):
            self.wrong.append(number)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--bad", type=float, default=0.0, help="percent of the requests that are malformed")
    parser.add_argument("--apart", type=float, default=APART, help="how far a score may be off")
    parser.add_argument("--url", default=HTTP)
    parser.add_argument("--key", default="")
    parser.add_argument("--json", action="store_true", help="say it for programs")
    load = Load(parser.parse_args())
    began = time.perf_counter()
    threads = [threading.Thread(target=load.work) for _ in range(load.given.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.perf_counter() - began
    cuts = statistics.quantiles(load.seconds, n=100) if len(load.seconds) > 1 else load.seconds * 99 or [0.0] * 99
    said = {
        "right": len(load.seconds) - len(load.wrong),
        "wrong": len(load.wrong),
        "failed": len(load.failed),
        "first_failures": load.failed[:5],
        "bad": dict(sorted(load.answered.items())),
        "a_second": round((len(load.seconds) + sum(load.answered.values())) / spent, 1),
        "p50_ms": round(1000 * cuts[49], 2),
        "p99_ms": round(1000 * cuts[98], 2),
    }
    if load.given.json:
        print(json.dumps(said))
    else:
        print(f"{said['a_second']} requests a second; p50 {said['p50_ms']} ms, p99 {said['p99_ms']} ms")
        print(f"{said['right']} right, {said['wrong']} wrong answers, {said['failed']} failed", *load.failed[:1])
        for what, count in said["bad"].items():
            print(f"{count} times {what}")
    return 1 if load.wrong or load.failed else 0


if __name__ == "__main__":
    sys.exit(main())
