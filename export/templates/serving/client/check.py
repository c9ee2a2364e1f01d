"""Send the golden requests, and what no server must choke on.

    python client/check.py [--url URL] [--key KEY] [--grpc HOST:PORT]

Exit status 0: every answer is the one that the model was proved with, and every bad request was refused with a reason.
"""

import argparse
import base64
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

sys.dont_write_bytecode = True  # the bundle stays as it was written

from client import INPUT, MODEL, SIGNATURE, ask, ask_grpc

APART = 2e-3  # scores on another processor, and in batches of another size
REQUESTS = json.loads((Path(__file__).parent.parent / "golden/requests.json").read_text(encoding="utf-8"))


def faults_of(rows):
    """What differs from the answers that belong to the golden requests."""
    found = []
    for number, (wanted, got) in enumerate(zip((one["answer"] for one in REQUESTS), rows, strict=True)):
        for name, value in wanted.items():
            answer = got.get(name, got.get(""))
            if not alike(value, answer):
                found.append(f"golden request {number}: {name} is {answer}, not {value}")
    return found


def alike(wanted, got):
    if isinstance(wanted, list):
        return isinstance(got, list) and len(wanted) == len(got) and all(map(alike, wanted, got))
    if isinstance(wanted, float) and isinstance(got, int | float):
        return abs(wanted - got) <= APART
    return wanted == got


def bad_bodies():
    """Bodies that are wrong, by what is wrong with them."""
    good = REQUESTS[0]["instance"]
    no_picture = {"b64": base64.b64encode(b"\xff\xd8 no picture").decode()}
    broken = {INPUT: no_picture if INPUT.endswith("_bytes") else 5}
    yield "no JSON", b"{"
    yield "no instances", json.dumps({"signature_name": SIGNATURE}).encode()
    yield "an unknown input", json.dumps({"instances": [{"other": "x"}]}).encode()
    yield "an unknown signature", json.dumps({"signature_name": "other", "instances": [good]}).encode()
    yield "a broken input", json.dumps({"signature_name": SIGNATURE, "instances": [broken]}).encode()


def refused(url, key, body):
    """The status and the reason that a bad body gets."""
    headers = {"Content-Type": "application/json", **({"X-Api-Key": key} if key else {})}
    request = urllib.request.Request(f"{url}/v1/models/{MODEL}:predict", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as fault:
        return fault.code, fault.read().decode(errors="replace").strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8501")
    parser.add_argument("--key", default="")
    parser.add_argument("--grpc", default="", help="ask there over gRPC too")
    given = parser.parse_args()
    instances = [one["instance"] for one in REQUESTS]
    found = faults_of(ask(instances, url=given.url, key=given.key))
    found += faults_of([ask([one], url=given.url, key=given.key)[0] for one in instances])
    if given.grpc:
        is_base64 = INPUT.endswith("_bytes")
        sent = [base64.b64decode(one[INPUT]["b64"]) if is_base64 else one[INPUT].encode() for one in instances]
        found += faults_of(ask_grpc(sent, address=given.grpc))
    for what, body in bad_bodies():
        status, reason = refused(given.url, given.key, body)
        if not 400 <= status < 500 or not reason:
            found.append(f"{what}: status {status}, {reason or 'no reason'}; expected 4xx and a reason")
    found += faults_of(ask(instances, url=given.url, key=given.key))  # it lives still
    print("\n".join(found) or f"right: {len(instances)} golden requests, one by one and as a batch; bad ones refused")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
