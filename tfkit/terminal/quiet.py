"""Start TensorFlow and LiteRT without their chatter.

TensorFlow, XLA and LiteRT write to file descriptor 2 from C++, some of it before any log level counts. While a
command runs, that descriptor leads through a small process that drops known chatter and passes the rest on; a
process, because a thread of our own would dead-lock with C++ code that logs while it holds Python's lock, and
would lose the last words of a crash. Python's own `sys.stderr` is led around it.
"""

import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TextIO

from tfkit.errors import TfkitError

# Dropped: absl's information and warnings (I0000, W0000), its preamble, LiteRT's INFO, TensorFlow's dated
# lines, what CUDA says on a machine without a GPU, oneDNN on falling back to Eigen, and the decoders' own words on a
# damaged image, which an error of ours names. Errors of any other kind pass.
_CHATTER = (
    r"^WARNING: All log messages before absl::InitializeLog"
    r"|^[IW]\d{4} \d\d:\d\d:"
    r"|^(INFO|VERBOSE|DEBUG): "
    r"|^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] "
    r"|^E\d{4} .*(cuInit|CUDA_ERROR_NO_DEVICE|Unable to register cu|oneDNN supports)"
    r"|^E\d{4} .*(jpeg_mem|jpeg_handle|png_io|gif_io)\.cc:"
    r"|^(Improper call to JPEG library|Corrupt JPEG data|Premature end of JPEG|libpng (warning|error))"
    r"|^To enable the following instructions"
    r"|^\s+\[\[\{\{"  # where in the graph, behind a line that is dropped
    r"|^Overriding orig_value setting"
    r"|^\s*$"
)
_FILTER = """
import re, sys
chatter = re.compile(sys.argv[1].encode())
for line in sys.stdin.buffer:
    if not chatter.search(line):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
"""


@contextmanager
def tensorflow_started(*, quiet: bool | None = None) -> Iterator[None]:
    """Import TensorFlow and Keras, and keep C++ chatter off the terminal until the block ends.

    Args:
        quiet: Drop the chatter; when None, unless the environment says `TFKIT_DEBUG`.

    Raises:
        TfkitError: When TensorFlow or Keras cannot be imported.
    """
    with chatter_dropped(quiet=quiet):
        import_tensorflow()
        yield


@contextmanager
def chatter_dropped(*, quiet: bool | None = None) -> Iterator[None]:
    """Keep C++ chatter off the terminal until the block ends, without starting TensorFlow.

    Args:
        quiet: As for `tensorflow_started`.
    """
    if quiet is None:
        quiet = not os.environ.get("TFKIT_DEBUG")
    with ExitStack() as stack:
        if quiet:
            stack.enter_context(_filtered_standard_error())
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        yield


def import_tensorflow() -> None:
    """Import TensorFlow and Keras, within `chatter_dropped`.

    Raises:
        TfkitError: When one of them cannot be imported.
    """
    if sys.modules.get("tensorflow") and sys.modules.get("keras"):
        return
    from rich.console import Console

    with Console(stderr=True).status("starting TensorFlow"):  # shows on terminals only
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()  # CUDA's complaints come now, not in the middle of a bar
            tf.get_logger()  # made now, so that its level below stays
            import keras  # noqa: F401
        except Exception as fault:
            first_line = (str(fault).strip().splitlines() or [type(fault).__name__])[0]
            raise TfkitError(
                f"TensorFlow cannot be imported: {first_line}",
                hint="tfkit doctor looks for the reason; TFKIT_DEBUG=1 shows the traceback",
            ) from fault
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


@contextmanager
def _filtered_standard_error() -> Iterator[None]:
    sys.stderr.flush()
    original = os.dup(2)
    reader = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", _FILTER, _CHATTER],
        stdin=subprocess.PIPE,
        stdout=original,
        start_new_session=True,  # Ctrl-C is for the command; its last words must still come through
    )
    assert reader.stdin is not None
    os.dup2(reader.stdin.fileno(), 2)
    reader.stdin.close()
    python_stderr = sys.stderr
    around = _leads_to(sys.stderr, 2)
    if around:
        sys.stderr = os.fdopen(os.dup(original), "w", buffering=1, errors="backslashreplace")
    try:
        yield
    finally:
        if around:
            ours, sys.stderr = sys.stderr, python_stderr
            _hand_back(ours, python_stderr)
            ours.close()
        os.dup2(original, 2)
        os.close(original)
        with suppress(subprocess.TimeoutExpired):  # a child of ours still writes; the filter ends with it
            reader.wait(timeout=1)


def _hand_back(stream: object, to: TextIO) -> None:
    """Give loggers that were made meanwhile, such as TensorFlow's, another stream than one that is about to close."""
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    for handler in [handler for logger in loggers for handler in logger.handlers]:
        if isinstance(handler, logging.StreamHandler) and handler.stream is stream:
            handler.setStream(to)


def _leads_to(stream: object, descriptor: int) -> bool:
    try:
        return stream.fileno() == descriptor  # type: ignore[attr-defined,no-any-return]
    except (AttributeError, OSError):
        return False
