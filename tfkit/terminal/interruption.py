"""What stops a command half-way: Ctrl-C that arrives while a library is busy, and faults; and what a run then kept.

Python raises `KeyboardInterrupt` wherever it happens to be. Inside a callback of C++ code, a destructor or a library
that catches everything, it is lost, or comes back as an error of another name. So that Ctrl-C was pressed is
remembered here: an error after it is taken for the interruption, and work that went on all the same stops at its next
sign of progress.
"""

import errno
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tfkit.errors import RunError, TfkitError

_pressed = threading.Event()
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)  # docker stop, systemd, a batch queue, a terminal that was closed
_last = [int(signal.SIGINT)]
OUT_OF_MEMORY_HINT = "lower data.batch_size, data.image_size or data.cache_mb, or end other programs"
# `UnknownError: {{function_node ...}} DataError: 9 of 40 images broke ...\nTraceback ...`, of Python inside a graph
_LOST = re.compile(r"DataError: ([^\n]* broke or vanished after the check[^\n]*)")
# `... Iterator::Root::ParallelMapV2: /photos/a.jpg; No such file or directory\n\t [[{{node ReadFile}}]] ...`
_READING = re.compile(r"([^:{}]+)\n\s*\[\[\{\{[^\]]*node [^\]]*(?:ReadFile|Decode)")


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

    def tell_all_but_ctrl_c(unraisable: "sys.UnraisableHookArgs") -> None:
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
        # After a KeyboardInterrupt inside code that was given as text (a dataclass's methods are), `python -m` ends by
        # SIGINT whatever the exit status, until other such code has run.
        exec("")
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


def _press(number: int, frame: FrameType | None) -> None:
    _last[0] = number
    _pressed.set()
    signal.default_int_handler(number, frame)


class InterruptedRunError(RunError):
    """Ctrl-C stopped a run."""


@contextmanager
def kept_work_noted(run: Path, *, again: str = "the same command") -> Iterator[None]:
    """Note on any fault inside the block which trained model it left in the run's folder.

    Args:
        run: The run's folder; it need not exist yet.
        again: The command that goes on with the run.

    Raises:
        InterruptedRunError: For Ctrl-C inside the block; click would end quietly and forget the note.
        RunError: When the disk is full, memory is used up, or a file of the data has gone bad.
        BaseException: Any other fault as it came, with the note (`__notes__`) when a model was kept.

    Example:
        >>> with kept_work_noted(Path("runs/digits")):
        ...     raise KeyboardInterrupt
        Traceback (most recent call last):
        tfkit.terminal.interruption.InterruptedRunError: interrupted
    """
    before = _models(run)
    try:
        yield
    except BaseException as fault:
        model = _newest_model(run, before)
        told = _told(fault, run, again)
        if model is not None:
            told.add_note(f"'{model}', the model that was saved last")
        if told is fault:
            raise
        raise told from fault


def is_disk_full(fault: BaseException) -> bool:
    """Whether a fault is the system's word that a disk is full."""
    # TensorFlow and HDF5 have kinds of their own for it, and only the system's words in common.
    return getattr(fault, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(fault)


def is_out_of_memory(fault: BaseException) -> bool:
    """Whether a fault says that memory is used up: Python's word for it, TensorFlow's, or NumPy's."""
    names = {kind.__name__ for kind in type(fault).__mro__}
    return bool(names & {"MemoryError", "ResourceExhaustedError"}) or "array is too big" in str(fault)


def _unreadable(fault: BaseException) -> str | None:
    """What TensorFlow says of a file that was whole when the run began and is not now; None for another fault."""
    if type(fault).__name__ not in ("NotFoundError", "InvalidArgumentError", "DataLossError", "PermissionDeniedError"):
        return None
    found = _READING.search(str(fault))
    return " ".join(found[1].split()) if found else None


def _told(fault: BaseException, run: Path, again: str) -> BaseException:
    if isinstance(fault, KeyboardInterrupt) or was_interrupted():
        began = run.is_dir() and any(run.iterdir())
        return InterruptedRunError("interrupted", hint=f"to go on from here: {again}" if began else "")
    if is_disk_full(fault) and not isinstance(fault, TfkitError):
        hint = "make room, or choose another disk with run.directory=FOLDER"
        return RunError(f"cannot write to '{run}': the disk is full", hint=hint)
    if is_out_of_memory(fault) and not isinstance(fault, TfkitError):
        return RunError("out of memory", hint=OUT_OF_MEMORY_HINT)
    if lost := _LOST.search(str(fault)):
        return RunError(lost[1], hint="something changes the data while it is used; tfkit check names what is damaged")
    if reason := _unreadable(fault):
        hint = "it was whole when the run began: tfkit check names damaged files, and something changes the data"
        return RunError(f"a file of the data cannot be read any more: {reason}", hint=hint)
    return fault


def _models(run: Path) -> dict[Path, int]:
    """The Keras models in a run's folder, and when each was written."""
    folders = (run / "models", run / "checkpoints")
    return {path: path.stat().st_mtime_ns for folder in folders for path in folder.glob("[!.]*.keras")}


def _newest_model(run: Path, before: dict[Path, int]) -> Path | None:
    """The model saved last; those from `before` belong to a run that this one was refused to touch."""
    saved = {path: written for path, written in _models(run).items() if before.get(path) != written}
    return max(saved, key=saved.__getitem__, default=None)
