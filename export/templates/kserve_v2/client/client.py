"""Ask the server about pictures or texts, by KServe's protocol v2.

    python client/client.py FILE_OR_TEXT... [--url URL] [--key KEY] [--model-version N] [--grpc HOST:PORT]

HTTP needs @{ client_needs }@; --grpc needs also: pip install tritonclient[grpc]
"""

import argparse
import contextlib
import http.client
import json
import struct
import sys
import urllib.parse
from pathlib import Path

sys.dont_write_bytecode = True  # the bundle stays as it was written

from tensors import answers_of, tensors_of

MODEL, INPUT, OUTPUTS = "@{ name }@", "@{ sent }@", json.loads("""@{ quoted(asked_outputs) }@""")
HTTP, GRPC = "http://127.0.0.1:@{ server.rest }@", "127.0.0.1:@{ server.grpc }@"
ROWS = int("@{ max_batch }@")  # in one request
SENT_AS_FILE = INPUT.endswith("_bytes")
_LETTERS = {"FP32": ("f", 4), "UINT8": ("B", 1), "INT8": ("b", 1)}


class RefusedError(Exception):
    """What the server answered instead: its status and its reason."""

    def __init__(self, status, reason):
        super().__init__(f"{status}: {reason}")
        self.status, self.reason = status, reason


def body_of(tensors):
    """A body with binary tensors, and the length of its JSON."""
    inputs = [
        {"name": name, "datatype": kind, "shape": list(shape), "parameters": {"binary_data_size": len(content)}}
        for name, kind, shape, content in tensors
    ]
    outputs = [{"name": name, "parameters": {"binary_data": True}} for name in OUTPUTS]
    head = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    return head + b"".join(tensor[-1] for tensor in tensors), len(head)


def parts(contents):
    """As many at a time as one request may hold."""
    return [contents[start : start + ROWS] for start in range(0, len(contents), ROWS)]


class Connection:
    """One connection to the server, opened again after a fault."""

    def __init__(self, url=HTTP, key="", version="", timeout=15.0):
        self._url, self._key, self._timeout = urllib.parse.urlsplit(url), key, timeout
        self._path = f"{self._url.path}/v2/models/{MODEL}{f'/versions/{version}' if version else ''}/infer"
        self._open = None

    def post(self, body, head_bytes=None, key=None):
        """Send a body; the answer's status, headers and bytes."""
        headers = {"Content-Type": "application/octet-stream" if head_bytes else "application/json"}
        headers |= {"Inference-Header-Content-Length": str(head_bytes)} if head_bytes else {}
        headers |= {"X-Api-Key": sent} if (sent := self._key if key is None else key) else {}
        if self._open is None:
            kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
            self._open = kinds[self._url.scheme](self._url.hostname, self._url.port, timeout=self._timeout)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # of a body whose refusal has come already
                self._open.request("POST", self._path, body, headers)
            answer = self._open.getresponse()
            content = answer.read()
        except Exception:
            self.close()
            raise
        if answer.will_close or answer.status >= 400:
            self.close()
        return answer.status, answer.headers, content

    def close(self):
        if self._open is not None:
            self._open.close()
            self._open = None

    def ask(self, contents):
        """Answers to some encoded pictures or texts, one a row: the outputs by name."""
        rows = []
        for some in parts(contents):
            body, head_bytes = body_of(tensors_of(some))
            status, headers, content = self.post(body, head_bytes)
            if status != 200:
                raise RefusedError(status, reason_of(content))
            rows += _rows(headers, content, len(some))
        return rows


def reason_of(content):
    """What an answer says is wrong."""
    try:
        return json.loads(content)["error"]
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace").strip()[:300]


def _rows(headers, content, count):
    head = int(headers.get("Inference-Header-Content-Length", len(content)))
    outputs, place = {}, head
    for output in json.loads(content[:head])["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            outputs[output["name"]] = output["data"]
        else:
            outputs[output["name"]] = _values(output["datatype"], content[place : place + size])
            place += size
    return answers_of(outputs, count)


def _values(kind, content):
    if kind in _LETTERS:
        letter, width = _LETTERS[kind]
        return list(struct.unpack(f"<{len(content) // width}{letter}", content))
    values, place = [], 0
    while place < len(content):
        (size,) = struct.unpack_from("<I", content, place)
        values.append(content[place + 4 : place + 4 + size].decode())
        place += 4 + size
    return values


def ask_grpc(contents, address=GRPC, key="", version="", timeout=15.0):
    """The same over gRPC."""
    import numpy as np
    import tritonclient.grpc as triton
    from tritonclient.utils import triton_to_np_dtype

    outputs = [triton.InferRequestedOutput(name) for name in OUTPUTS]
    headers, rows = {"x-api-key": key} if key else None, []
    with triton.InferenceServerClient(address) as client:
        for some in parts(contents):
            inputs = []
            for name, kind, shape, content in tensors_of(some):
                values = some if kind == "BYTES" else np.frombuffer(content, triton_to_np_dtype(kind))
                inputs.append(triton.InferInput(name, list(shape), kind))
                inputs[-1].set_data_from_numpy(np.array(values, triton_to_np_dtype(kind)).reshape(shape))
            answer = client.infer(MODEL, inputs, version, outputs, client_timeout=timeout, headers=headers)
            found = {name: [_text(one) for one in answer.as_numpy(name).reshape(-1).tolist()] for name in OUTPUTS}
            rows += answers_of(found, len(some))
    return rows


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("given", nargs="+", help="pictures, or texts")
    parser.add_argument("--url", default=HTTP)
    parser.add_argument("--key", default="", help="the API key that nginx knows")
    parser.add_argument("--model-version", default="", help="the newest when left out")
    parser.add_argument("--grpc", default="", help=f"ask there over gRPC, such as {GRPC}")
    given = parser.parse_args()
    try:
        contents = [Path(one).read_bytes() if SENT_AS_FILE else one.encode() for one in given.given]
        if given.grpc:
            rows = ask_grpc(contents, given.grpc, given.key, given.model_version)
        else:
            rows = Connection(given.url, given.key, given.model_version).ask(contents)
    except Exception as fault:  # gRPC and the decoder have classes of their own
        sys.exit(f"error: {str(fault)[:500]}")
    for one, row in zip(given.given, rows):
        print(one, json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
