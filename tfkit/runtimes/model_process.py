"""A process of its own for a model that may end, or hold up, whatever runs it; and arrays over its pipes."""

import contextlib
import io
import os
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import psutil
from numpy.typing import NDArray

from tfkit.errors import ModelError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_STOP_SECONDS = 10
_SIZE = struct.Struct("<Q")
DAMAGED = "the file may be damaged; copy it again from where it was made, or export the model again"


class ModelProcess:
    """Starts a worker module, sends it requests and receives its answers; see `send_arrays`.

    An answer is `ok` and an array, or `error`, the message and maybe a hint. What the worker writes to standard error
    is kept, and its last words are told when it ends.

    Args:
        module: The worker, run as `python -m MODULE WORDS`.
        words: Its arguments.
        what: What it runs, at the beginning of sentences: `SavedModel 'x/1'`.
        seconds: How long an answer may take before the process is ended; None waits for ever.
        prefix: Whether the worker's messages do not say yet what they are about.
    """

    def __init__(
        self, module: str, words: list[str], *, what: str, seconds: float | None = None, prefix: bool = False
    ) -> None:
        self._what = what
        self._seconds = seconds
        self._prefix = prefix
        self._late = False
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.popen = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # A GPU that the training process holds must not be asked for a second time: the proof is of the CPU.
            env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            start_new_session=True,
        )

    def ask(self, *arrays: NDArray[np.generic]) -> NDArray[np.generic]:
        """Send a request and receive its answer.

        Raises:
            ModelError: As `receive`.
        """
        try:
            send_arrays(self.popen.stdin, *arrays)  # type: ignore[arg-type]
        except BrokenPipeError:
            raise self._ended() from None
        return self.receive()

    def receive(self) -> NDArray[np.generic]:
        """The array of the next answer.

        Raises:
            ModelError: When the answer is an error, the process ended without one, or it took too long.
        """
        timer = threading.Timer(self._seconds, self._end_late) if self._seconds is not None else None
        if timer is not None:
            timer.start()
        try:
            state, answer, *hint = receive_arrays(self.popen.stdout)  # type: ignore[arg-type]
        except EOFError:
            raise self._ended() from None
        finally:
            if timer is not None:
                timer.cancel()
        if str(state) == "error":
            message = f"{self._what}: {answer}" if self._prefix else str(answer)
            raise ModelError(message, hint=str(hint[0]) if hint else "")
        return answer

    def close(self) -> None:
        """End the process."""
        if self.popen.stdin is not None and not self.popen.stdin.closed:
            with contextlib.suppress(BrokenPipeError):  # it may have ended already, which is what close wants
                self.popen.stdin.close()
        try:
            self.popen.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        if self.popen.stdout is not None:
            self.popen.stdout.close()
        self._log.close()

    def _end_late(self) -> None:
        self._late = True
        self.popen.kill()

    def _ended(self) -> ModelError:
        code = self.popen.wait()
        if self._late:
            return ModelError(
                f"{self._what} gave no answer within {self._seconds:g} s, and its process was ended",
                hint=DAMAGED,
            )
        self._log.seek(0)
        last_words = self._log.read().decode(errors="replace").strip().splitlines()[-5:]
        return ModelError(
            "\n".join([f"the process that runs {self._what} ended with status {code}", *last_words]),
            hint=DAMAGED,
        )


def serve_on_pipes(serve: Callable[[BinaryIO, BinaryIO], None]) -> None:
    """Call `serve(requests, answers)` with this process's own pipes.

    Anything that prints must not get between the answers: stdout is handed over, then points to stderr. The process
    cannot take more memory than the machine has left: a file that asks for it gets an error, and nobody is ended.
    """
    _keep_within_memory()
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        serve(sys.stdin.buffer, answers)


def _keep_within_memory() -> None:
    if resource is None:  # Windows refuses what it has not got
        return
    held = getattr(psutil.Process().memory_info(), "data", None)
    if held is not None:
        most = int(held) + int(psutil.virtual_memory().available)
        resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def absolute(path: Path) -> str:
    """A path as the worker is told it, whatever its first letter is."""
    return str(path.resolve())


def send_arrays(stream: BinaryIO, *arrays: NDArray[np.generic]) -> None:
    """Write one message of any number of arrays; each travels as a `.npy` file with its size before it.

    Args:
        stream: The writing end of a pipe.
        arrays: Numbers or unicode text; never objects, so that nothing is unpickled.
    """
    stream.write(_SIZE.pack(len(arrays)))
    for array in arrays:
        content = io.BytesIO()
        np.save(content, array, allow_pickle=False)
        stream.write(_SIZE.pack(content.tell()))
        stream.write(content.getbuffer())
    stream.flush()


def receive_arrays(stream: BinaryIO) -> list[NDArray[np.generic]]:
    """Read one message that `send_arrays` wrote.

    Args:
        stream: The reading end of a pipe.

    Returns:
        Its arrays.

    Raises:
        EOFError: When the other end has closed the pipe.
    """
    count = _SIZE.unpack(_read(stream, _SIZE.size))[0]
    return [
        np.load(io.BytesIO(_read(stream, _SIZE.unpack(_read(stream, _SIZE.size))[0])), allow_pickle=False)
        for _ in range(count)
    ]


def join_bytes(values: list[bytes]) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Put byte strings of any length into two arrays: uint8 contents end to end, and int64 lengths.

    Example:
        >>> content, lengths = join_bytes([b"ants", b"bees!"])
        >>> split_bytes(content, lengths)
        [b'ants', b'bees!']
    """
    return np.frombuffer(b"".join(values), np.uint8), np.array([len(value) for value in values], np.int64)


def split_bytes(content: NDArray[np.generic], lengths: NDArray[np.generic]) -> list[bytes]:
    """Take apart what `join_bytes` put together."""
    ends = np.cumsum(lengths, dtype=np.int64)
    return [content[end - length : end].tobytes() for end, length in zip(ends, lengths, strict=True)]


def _read(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) != size:
        raise EOFError("the other process has closed the pipe")
    return content
