"""How much memory a stage needed at most."""

import contextlib
import sys
from pathlib import Path

# Linux forgets a process's peak when "5" is written to the first, and tells it in the second (proc(5)).
_FORGET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class PeakMemory:
    """Watches the peak from its making on: a GPU's memory where there is one, else the whole process's.

    Only one can watch at a time: a new one forgets what was before. A process's memory includes TensorFlow's own
    half gigabyte and what earlier stages left behind.

    Example:
        >>> memory = PeakMemory()
        >>> history = model.predict(pixels, verbose=0)
        >>> memory.bytes > 0
        True
    """

    def __init__(self) -> None:
        import tensorflow as tf

        self._on_gpu = bool(tf.config.list_physical_devices("GPU"))
        self._before = 0
        if self._on_gpu:
            tf.config.experimental.reset_memory_stats("GPU:0")
            return
        with contextlib.suppress(OSError):
            _FORGET.write_text("5")
            return
        self._before = _peak_of_process() or 0

    @property
    def bytes(self) -> int | None:
        """The most that was held since; None where the system does not tell, as it was once more before."""
        if self._on_gpu:
            import tensorflow as tf

            return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
        peak = _peak_of_process()
        return peak if peak is not None and peak > self._before else None


def _peak_of_process() -> int | None:
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
