"""Native chatter is held back, and shown only when something unexpected happens."""

import logging
import os
import subprocess
import sys
import warnings

import pytest

from tfkit.errors import ExportError
from tfkit.runtimes import held_native_output


def test_what_native_code_python_and_warnings_write_is_held_back(capfd):
    with held_native_output():
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
        subprocess.run([sys.executable, "-c", "import sys; sys.stderr.write('W0000\\n')"], check=True)
        sys.stderr.write("progress bar\n")
        warnings.warn("calibrating", stacklevel=1)
    assert capfd.readouterr().err == ""


def test_stderr_works_again_afterwards(capfd):
    with held_native_output():
        os.write(2, b"held")
    os.write(2, b"native ")
    sys.stderr.write("python\n")
    sys.stderr.flush()
    assert capfd.readouterr().err == "native python\n"


def test_unexpected_fault_shows_what_was_held(capfd):
    with pytest.raises(MemoryError), held_native_output():
        os.write(2, b"the only clue\n")
        sys.stderr.write("and another\n")
        raise MemoryError
    assert capfd.readouterr().err == "the only clue\nand another\n"


def test_fault_that_explains_itself_shows_nothing_else(capfd):
    with pytest.raises(ExportError), held_native_output():
        os.write(2, b"loc(callsite(fused...\n")
        raise ExportError("TFLite has no builtin operator for Erfinv (layer 'odd')")
    assert capfd.readouterr().err == ""


def test_may_be_nested(capfd):
    with held_native_output():
        with held_native_output():
            os.write(2, b"inner")
        os.write(2, b"outer")
    os.write(2, b"shown")
    assert capfd.readouterr().err == "shown"


def test_a_logger_made_meanwhile_can_write_afterwards(capfd):
    logger = logging.getLogger("made-meanwhile")
    logger.propagate = False
    with held_native_output():
        logger.addHandler(logging.StreamHandler())  # as TensorFlow's is, at its first word
    logger.warning("afterwards")
    assert capfd.readouterr().err == "afterwards\n"
