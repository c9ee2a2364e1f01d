"""Send the golden requests, and what no server must choke on.

    python client/check.py [--url URL] [--key KEY] [--grpc HOST:PORT]

Exit status 0: every answer is the one that the model was proved with, and every bad request was refused with a reason.
With a key the front is asked, which refuses everything bad with 4xx; without one the server itself, which says 500 of
what it cannot parse.
"""

import argparse
import base64
import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # the bundle stays as it was written

from client import HTTP, INPUT, SENT_AS_FILE, Connection, ask_grpc, body_of, reason_of
from tensors import broken, tensors_of

APART = float("@{ apart }@")  # scores on another processor
REQUESTS = json.loads((Path(__file__).parent.parent / "golden/requests.json").read_text(encoding="utf-8"))
SENT = [
    base64.b64decode(one["instance"][INPUT]["b64"]) if SENT_AS_FILE else one["instance"][INPUT].encode()
    for one in REQUESTS
]


def faults_of(rows):
    """What differs from the answers that belong to the golden requests."""
    found = []
    for number, (wanted, got) in enumerate(zip((one["answer"] for one in REQUESTS), rows, strict=True)):
        for name, value in wanted.items():
            if not alike(value, got.get(name)):
                found.append(f"golden request {number}: {name} is {got.get(name)}, not {value}")
    return found


def alike(wanted, got, apart=APART):
    if isinstance(wanted, list):
        return isinstance(got, list) and len(wanted) == len(got) and all(alike(*two, apart) for two in zip(wanted, got))
    if isinstance(wanted, float) and isinstance(got, (int, float)):
        return abs(wanted - got) <= apart
    return wanted == got


def bad_requests(front):
    """What is wrong, the body, the length of its JSON, and the key where it is another one."""
    good = tensors_of(SENT[:1])
    name, kind, shape, content = good[0]
    yield "no JSON", b'{"inputs": [', None, None
    yield "JSON without inputs", b'{"input": []}', None, None
    yield ("a wrong shape", *body_of([(name, kind, (*shape, 2), content * 2), *good[1:]]), None)
    yield ("an unknown input", *body_of([("other", kind, shape, content)]), None)
    for what, tensors in broken(SENT[0]):
        yield (what, *body_of(tensors), None)
    if front:
        yield ("no key", *body_of(good), "")
        yield "a body of 50 MB", bytes(50_000_000), None, None


def refused(status, reason, front):
    """Whether an answer refuses a bad request, and says why."""
    return bool(reason) and (400 <= status < 500 or (not front and status == 500))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=HTTP)
    parser.add_argument("--key", default="")
    parser.add_argument("--grpc", default="", help="ask there over gRPC too")
    given = parser.parse_args()
    connection = Connection(given.url, given.key)
    found = faults_of(connection.ask(SENT))
    found += faults_of([connection.ask([one])[0] for one in SENT])
    if given.grpc:
        found += faults_of(ask_grpc(SENT, given.grpc, given.key))
    for what, body, head_bytes, key in bad_requests(bool(given.key)):
        status, _, content = connection.post(body, head_bytes, key)
        if not refused(status, reason_of(content), bool(given.key)):
            found.append(f"{what}: status {status}, {reason_of(content) or 'no reason'}; expected 4xx and a reason")
    found += faults_of(connection.ask(SENT))  # it lives still
    print("\n".join(found) or f"right: {len(SENT)} golden requests, one by one and as a batch; bad ones refused")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
