"""Arrays over pipes: how a runtime talks to the process that runs its model."""

import io
import struct
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

_SIZE = struct.Struct("<Q")


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
