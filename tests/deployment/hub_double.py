"""A stand-in for the Hugging Face Hub on this machine: what huggingface_hub asks of it when a folder is uploaded."""

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hub:
    """What was sent.

    Attributes:
        address: Where it listens.
        files: Of the repository, by name: what a commit wrote, less what it removed.
        made: What `create_repo` said.
        asked: Method, path and token of every request.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def answer(self, path: str, body: bytes) -> object:
        """The JSON that a request gets."""
        if path == "/api/repos/create":
            self.made = json.loads(body)
            return {"url": f"{self.address}/me/bees"}
        if "/tree/" in path:
            return [{"type": "file", "path": name, "size": 1, "oid": "0" * 40} for name in self.files]
        if "/preupload/" in path:
            names = [one["path"] for one in json.loads(body)["files"]]
            return {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]}
        if "/commit/" in path:
            for line in body.splitlines():
                said = json.loads(line)
                if said["key"] == "file":
                    self.files[said["value"]["path"]] = base64.b64decode(said["value"]["content"])
                elif said["key"] == "deletedFile":
                    del self.files[said["value"]["path"]]
            return {"commitUrl": f"{self.address}/me/bees/commit/1", "commitOid": "1" * 40}
        return {}


@contextlib.contextmanager
def hub() -> Iterator[Hub]:
    """Listen on a free port of this machine until the block ends."""
    double = Hub()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.partition("?")[0]
            double.asked.append((self.command, path, self.headers.get("Authorization", "")))
            told = json.dumps(double.answer(path, body)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    double.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
