"""Ctrl-C that arrives while a library is busy.

Python raises `KeyboardInterrupt` wherever it happens to be. Inside a callback of C++ code, a destructor or a library
that catches everything, it is lost, or comes back as an error of another name. So that Ctrl-C was pressed is
remembered here: an error after it is taken for the interruption, and work that went on all the same stops at its next
sign of progress.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_pressed = threading.Event()
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)  # docker stop, systemd, a batch queue, a terminal that was closed
_last = [int(signal.SIGINT)]


@contextmanager
def ctrl_c_remembered() -> Iterator[None]:
    """Remember Ctrl-C, SIGTERM or SIGHUP while the block runs; it raises `KeyboardInterrupt` as ever.

    Where it cannot travel on, such as in a destructor or a garbage collector's callback, Python would print a traceback
    and forget it; nothing is printed, and `stop_if_interrupted` raises it again. In a thread, or where somebody handles
    SIGINT already, nothing is changed.

    Example:
        >>> with ctrl_c_remembered():
        ...     was_interrupted()
        False
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    tell_unraisable = sys.unraisablehook

    def tell_all_but_ctrl_c(unraisable: Any) -> None:
        if unraisable.exc_type is not KeyboardInterrupt:
            tell_unraisable(unraisable)

    signal.signal(signal.SIGINT, _press)
    before = {number: signal.getsignal(number) for number in _ENDINGS}
    for number in (number for number, handler in before.items() if handler is signal.SIG_DFL):
        signal.signal(number, _press)
    sys.unraisablehook = tell_all_but_ctrl_c
    try:
        yield
    finally:
        sys.unraisablehook = tell_unraisable
        _pressed.clear()
        _last[0] = int(signal.SIGINT)
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def was_interrupted() -> bool:
    """Whether Ctrl-C was pressed inside `ctrl_c_remembered`."""
    return _pressed.is_set()


def interrupted_status() -> int:
    """The exit status that a shell expects: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
    return 128 + _last[0]


def stop_if_interrupted() -> None:
    """Raise the interruption that somebody swallowed.

    Raises:
        KeyboardInterrupt: When Ctrl-C was pressed inside `ctrl_c_remembered`.
    """
    if was_interrupted():
        raise KeyboardInterrupt


def _press(number: int, frame: FrameType | None) -> Any:
    _last[0] = number
    _pressed.set()
    signal.default_int_handler(number, frame)
