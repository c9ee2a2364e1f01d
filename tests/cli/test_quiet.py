"""C++ chatter stays off the terminal; errors, Python's own words and a crash's last words do not."""

import subprocess
import sys

CHATTER = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795366636.269878    7231 port.cc:153] oneDNN custom operations are on.
W0000 00:00:1795366636.269878    7231 tf_tfl_flatbuffer_helpers.cc:365] Ignored output_format.
E0000 00:00:1795366642.985429    7231 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
"""
ERROR = "E0000 00:00:1795366642.985429    7231 allocator.cc:1] out of memory\n"


def run(body: str) -> subprocess.CompletedProcess[str]:
    # Stand-ins for TensorFlow and Keras keep these tests quick: what is tested is the descriptor.
    code = f"""
import os, sys, types
for name in ("tensorflow", "keras"):
    sys.modules[name] = types.ModuleType(name)
from tfkit.terminal.quiet import tensorflow_started
CHATTER, ERROR = {CHATTER!r}, {ERROR!r}
{body}
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_chatter_is_dropped_and_errors_pass() -> None:
    process = run("""
with tensorflow_started(quiet=True):
    os.write(2, (CHATTER + ERROR).encode())
""")
    assert (process.returncode, process.stderr) == (0, ERROR)


def test_pythons_own_words_pass_in_order() -> None:
    process = run("""
with tensorflow_started(quiet=True):
    print("within", file=sys.stderr)
print("after", file=sys.stderr)
""")
    assert process.stderr == "within\nafter\n"


def test_everything_passes_when_debugging() -> None:
    process = run("""
with tensorflow_started(quiet=False):
    os.write(2, CHATTER.encode())
""")
    assert process.stderr == CHATTER


def test_the_last_words_of_a_crash_come_through() -> None:
    process = run("""
with tensorflow_started(quiet=True):
    os.write(2, b"double free or corruption (!prev)\\n")
    os.abort()
""")
    assert process.returncode < 0
    assert "double free or corruption (!prev)" in process.stderr


def test_a_failed_import_is_told_in_one_line() -> None:
    process = run("""
for name in ("tensorflow", "keras"):
    sys.modules[name] = None
from tfkit.errors import TfkitError
try:
    with tensorflow_started(quiet=True):
        pass
except TfkitError as fault:
    print(fault, "|", fault.hint)
""")
    assert process.stdout.startswith("TensorFlow cannot be imported: ")
    assert "tfkit doctor" in process.stdout


def test_a_logger_made_within_can_write_afterwards() -> None:
    process = run("""
import logging
with tensorflow_started(quiet=True):
    logging.getLogger("made").addHandler(logging.StreamHandler())
logging.getLogger("made").warning("afterwards")
""")
    assert (process.returncode, process.stderr) == (0, "afterwards\n")
