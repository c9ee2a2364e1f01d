"""What a training stage did, and the memory it took."""

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from tfkit.data.suspicious_labels import SuspiciousLabels

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


@dataclass(frozen=True)
class StageResult:
    """The course of one stage.

    Attributes:
        name: `head` or `fine_tune`.
        seconds: Wall time.
        history: One value per epoch: `loss`, the task's metrics, the same with `val_`, `learning_rate`. Of a fitted
            head one per fit, from the strongest penalty to the chosen one.
        notes: What was decided on the way, for the report, in sentences.
        trainable_parameters: How many numbers learned; None when it was not counted.
        counted_in: What the history has one value for.
        suspicious_labels: Training examples whose class is likely wrong; None where nobody looked.
    """

    name: str
    seconds: float
    history: dict[str, list[float]]
    notes: tuple[str, ...]
    trainable_parameters: int | None = None
    counted_in: Literal["epoch", "fit"] = "epoch"
    suspicious_labels: SuspiciousLabels | None = None

    @property
    def summary(self) -> str:
        """The last figures in a few words."""
        steps = len(self.history["loss"])
        figures = []
        for name, values in self.history.items():
            if name in ("loss", "learning_rate") or name.startswith("val_"):
                continue
            figures.append(f"training {name} {_figure(name, values[-1])}")
            if held_out := self.history.get(f"val_{name}"):
                figures.append(f"validation {_figure(name, held_out[-1])}")
        return ", ".join([*figures, f"{steps} {self.counted_in}{'s' * (steps != 1)}"])


def _figure(name: str, value: float) -> str:
    """An accuracy in per cent, as everywhere on the terminal; another figure as it is."""
    return f"{100 * value:.1f} %" if name == "accuracy" else f"{value:.3g}"


def count_trainable(model: keras.Model) -> int:
    """How many numbers of a model learn.

    Example:
        >>> count_trainable(model) < model.count_params()
        True
    """
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
