"""Whether a training step's batch fits the memory, found out before a run has spent an hour on what ends it.

A process that takes more memory than there is gets no exception on Linux: it is killed without a word.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import keras
import psutil

from tfkit.errors import TrainingError
from tfkit.models import save_model_file

_FLOAT = 4  # bytes
_COPIES = 4  # of a weight: itself, its gradient, the two moments of Adam
_INSIDE = 16  # what a layer of layers, such as a transformer's block, keeps beside each number that it gives
_WORTH_A_TRIAL = 0.25  # of the free memory: a step that is estimated below it is not tried
_SECONDS = 180
# A control group's limit and what it has taken of it (https://docs.kernel.org/admin-guide/cgroup-v2.html).
_GROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class StepMemory:
    """What a training step takes, in bytes.

    Attributes:
        fixed: Whatever the batch: the libraries, the weights, their gradients and moments.
        each: For each example of the batch.
    """

    fixed: int
    each: int

    def of_batch(self, batch_size: int) -> int:
        """What a batch takes in all.

        Example:
            >>> StepMemory(fixed=10, each=3).of_batch(4)
            22
        """
        return self.fixed + batch_size * self.each

    def largest_batch(self, free: int) -> int:
        """How many examples go into `free` bytes; 0 when not even one does.

        Example:
            >>> StepMemory(fixed=10, each=3).largest_batch(free=22)
            4
        """
        return max((free - self.fixed) // self.each, 0)


def may_not_fit(model: keras.Model, batch_size: int, *, length: int = 1, free: int | None = None) -> bool:
    """Whether a step is so large that it is worth a trial; by an estimate, in no time. Never on a GPU.

    Args:
        model, batch_size, length, free: As for `refuse_too_large_batches`.

    Example:
        >>> may_not_fit(model, 8)
        False
    """
    free = free_memory() if free is None else free
    return not _on_gpu() and _estimated_step(model, length).of_batch(batch_size) > _WORTH_A_TRIAL * free


def refuse_too_large_batches(
    model: keras.Model, batch_size: int, *, noun: str = "image", length: int = 1, free: int | None = None
) -> StepMemory | None:
    """Refuse a batch that does not fit the memory of this machine, and name the one that would.

    A step of two small batches each is tried in a process of its own, about a minute, and what they take is carried on
    to the whole batch.

    Args:
        model: The model that is to be trained, as a whole.
        batch_size: Examples a step.
        noun: What an example is, for the sentence.
        length: Tokens of a text, where the model takes any number.
        free: Bytes that may be taken; None for what this machine, or this container, has free.

    Returns:
        What was measured; None when the trial told nothing.

    Raises:
        TrainingError: When the batch does not fit.

    Example:
        >>> refuse_too_large_batches(model, 8, free=1 << 40)  # doctest: +SKIP
        StepMemory(fixed=851271680, each=18562432)
    """
    free = free_memory() if free is None else free
    estimate = _estimated_step(model, length)
    small = max(min(batch_size // 32, int(_WORTH_A_TRIAL * free / estimate.each / 2)), 1)
    measured = _measured_step(model, (small, 2 * small), length)
    if measured is None or (largest := measured.largest_batch(free)) >= batch_size:
        return measured
    wanted = measured.of_batch(batch_size)
    told = f"a training step of {batch_size} {noun}s takes about {_gib(wanted)}, and {_gib(free)} are free"
    if not largest:
        raise TrainingError(f"{told}; not even one {noun} fits", hint="take a smaller model or smaller inputs")
    raise TrainingError(told, hint=f"data.batch_size={largest} fits; or make the {noun}s smaller")


def free_memory() -> int:
    """Bytes that this process may still take: of the machine, or of the container that it runs in.

    Example:
        >>> free_memory() > 0
        True
    """
    free = int(psutil.virtual_memory().available)
    try:
        limit, taken = ((_GROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        cached = next(
            int(line.split()[1])
            for line in (_GROUP / "memory.stat").read_text().splitlines()
            if line.startswith("inactive_file ")
        )
    except (OSError, StopIteration):
        return free
    return free if limit == "max" else min(free, int(limit) - int(taken) + cached)


def _estimated_step(model: keras.Model, length: int) -> StepMemory:
    """What a step keeps of a model's weights and of what its layers give, without running it."""
    given = sum(_numbers_given(layer, length) for layer in model._flatten_layers(include_self=False))
    return StepMemory(_COPIES * _FLOAT * model.count_params(), max(_FLOAT * given, 1))


def _measured_step(model: keras.Model, batch_sizes: tuple[int, int], length: int) -> StepMemory | None:
    """The line through the peaks of two steps in a process of its own, all weights being trained by Adam.

    None when the process ended without an answer, or the peaks show no growth.
    """
    with tempfile.TemporaryDirectory(prefix="tfkit-") as folder:
        path = Path(folder) / "model.keras"
        save_model_file(model, path)
        words = [sys.executable, "-m", "tfkit.training.memory_worker", str(path), *map(str, (length, *batch_sizes))]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, env=_environment())
        except subprocess.TimeoutExpired:
            return None
    if done.returncode:
        return None
    (fewer, low), (more, high) = json.loads(done.stdout.splitlines()[-1])
    each = (high - low) // (more - fewer)
    return StepMemory(low - fewer * each, each) if each > 0 else None


def _environment() -> dict[str, str]:
    return {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, "CUDA_VISIBLE_DEVICES": "-1"}


def _numbers_given(layer: keras.Layer, length: int) -> int:
    """Numbers that a layer gives for one example."""
    within = _INSIDE if not isinstance(layer, keras.Model) and layer._layers else 1
    given = [tensor.shape[1:] for node in layer._inbound_nodes[:1] for tensor in keras.tree.flatten(node.outputs)]
    return within * sum(math.prod(length if size is None else size for size in shape) for shape in given)


def _on_gpu() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
