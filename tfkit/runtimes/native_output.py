"""What C++ libraries write to the terminal behind Python's back, held back unless something fails."""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

from tfkit.errors import TfkitError


@contextlib.contextmanager
def held_native_output() -> Iterator[None]:
    """Hold back what is written to stderr, by C++ too, and show it only when the body fails unexpectedly.

    The converter, the interpreter and its delegates log to file descriptor 2 (`INFO: Created TensorFlow Lite
    XNNPACK delegate`, `W0000 ...`), which no Python logging setting reaches; the quantiser draws progress bars
    on `sys.stderr` and warns. None of it tells a user anything while all goes well, when the body raises a
    `TfkitError`, which says itself what is wrong, or when the user stops it. The descriptor belongs to the whole
    process: what another thread writes to stderr meanwhile is held back too.

    Yields:
        Nothing.

    Example:
        >>> import os
        >>> with held_native_output():
        ...     _ = os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.")
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held, contextlib.ExitStack() as restore:
        restore.callback(os.close, terminal)
        os.dup2(held.fileno(), 2)
        restore.callback(os.dup2, terminal, 2)
        # Never closed, and of the descriptor itself: a logger that is made meanwhile keeps this stream for good, and
        # goes on writing to wherever the descriptor leads by then.
        python_stderr = open(2, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115
        restore.enter_context(contextlib.redirect_stderr(python_stderr))
        restore.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        try:
            yield
        except (TfkitError, KeyboardInterrupt):
            raise
        except BaseException:
            python_stderr.flush()
            held.seek(0)
            os.write(terminal, held.read())
            raise
