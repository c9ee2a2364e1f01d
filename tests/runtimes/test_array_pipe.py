"""Arrays over pipes."""

import os

import numpy as np
import pytest

from tfkit.runtimes.model_process import join_bytes, receive_arrays, send_arrays, split_bytes


def test_arrays_and_byte_strings_arrive_as_they_were_sent():
    values = [b"", b"JPEG", b"\x00\xff" * 100]
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb") as sink:
        send_arrays(sink, np.array("scores"), *join_bytes(values), np.zeros((0, 4), np.float32))
        name, content, lengths, empty = receive_arrays(source)
    assert str(name) == "scores"
    assert split_bytes(content, lengths) == values
    assert (empty.shape, empty.dtype) == ((0, 4), np.float32)


def test_closed_pipe_is_told():
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading, "rb") as source, pytest.raises(EOFError):
        receive_arrays(source)
