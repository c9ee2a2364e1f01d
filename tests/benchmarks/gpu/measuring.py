"""What the measurements on a card share: batches that lie on it, sides that take turns, and the card's description."""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the other side needs the card's memory too

import jax
import keras

from tfkit.training.quick_steps import quick_steps

# Seconds of one step.
Side = Callable[[], float]
_PACKAGES = ("keras", "keras-hub", "jax", "torch", "torchvision", "transformers", "numpy")
_WARM = 3


def on_host() -> contextlib.AbstractContextManager[None]:
    """Makes models on the processor: operator by operator, a card's compiler takes some minutes for one.

    Their weights go to the card with the first step that is compiled there.
    """
    return jax.default_device(jax.devices("cpu")[0])


def show_kernels(sides: Sequence[Side], count: int) -> None:
    """Where each side's time on the card goes, on stderr; PyTorch's profiler sees the kernels of the whole process."""
    import torch

    for side in sides:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            side()
        table = profile.key_averages().table("self_cuda_time_total", count, max_name_column_width=100)
        print(table, file=sys.stderr, flush=True)


class SameBatch(keras.utils.PyDataset):
    """One batch, on the device already, again and again: what is measured is the step."""

    def __init__(self, batch: Any, steps: int) -> None:
        super().__init__()
        self._batch, self._steps = jax.device_put(batch), steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> Any:
        return self._batch


class TakeTurns(keras.callbacks.Callback):
    """Times the steps of each epoch that Keras fits, and gives the other sides their turn behind it.

    The first of them is the step itself, without what `fit` does between two: the compiled `train_step` of the very
    model that is fitted, on a copy of its state. The first epoch compiles, and is left out.

    Args:
        batch: (inputs, targets) for the bare step.
        steps: Steps of an epoch, `_WARM` of them before the clock starts.
        others: The other sides; each gives the seconds of one step.

    Attributes:
        bare: The bare step's side, once the first epoch is over.
        rounds: Seconds of a step in each later epoch: in `fit`, bare, and the others'.
        compiling: Seconds from the making of this to the first step that is timed.
    """

    async_safe = True  # the clock is read in another thread, when a step's loss is there

    def __init__(self, batch: Any, steps: int, others: Sequence[Side] = ()) -> None:
        super().__init__()
        self._batch, self._steps, self._others = jax.device_put(batch), steps, others
        self.bare: Side | None = None
        self._began = self._own = 0.0
        self.rounds: list[list[float]] = []
        self.compiling: float | None = None
        self._made = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if batch not in (_WARM - 1, self._steps - 1):
            return
        now = time.perf_counter()
        self.compiling = self.compiling or now - self._made
        if batch == _WARM - 1:
            self._began = now
        else:
            self._own = (now - self._began) / (self._steps - _WARM)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.bare is None:
            self.bare = bare_step(self.model, self._batch, self._steps)
            for side in (self.bare, *self._others):
                side()
        else:
            own = self._own
            self.rounds.append([own, self.bare(), *(other() for other in self._others)])


def bare_step(model: keras.Model, batch: Any, steps: int) -> Side:
    """Keras's own compiled step of a compiled model, as tfkit's `fit` makes it, on a copy of its weights."""
    variables = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    state = [[jax.numpy.array(variable.value, copy=True) for variable in part] for part in variables]
    step = jax.jit(model.train_step, donate_argnums=0)

    def seconds() -> float:
        nonlocal state
        with quick_steps(model):
            for index in range(steps):
                if index == _WARM:
                    jax.block_until_ready(state)
                    began = time.perf_counter()
                _, state = step(tuple(state), batch)
            jax.block_until_ready(state)
        return (time.perf_counter() - began) / (steps - _WARM)

    return seconds


def timed(run: Callable[[], Any], wait: Callable[[Any], Any], steps: int) -> Side:
    """A side that runs `run` some times and waits for the device once."""

    def seconds() -> float:
        last = None
        for index in range(steps):
            if index == _WARM:
                wait(last)
                began = time.perf_counter()
            last = run()
        wait(last)
        return (time.perf_counter() - began) / (steps - _WARM)

    return seconds


def spread(values: Sequence[float], form: str = ".2f", *, unit: str = "") -> str:
    """Median and, in brackets, quartiles."""
    low, median, high = statistics.quantiles(values, n=4)
    return f"{median:{form}}{unit} ({low:{form}} to {high:{form}})"


def describe_card() -> str:
    """The card, its driver, cuDNN and the versions of what ran on it."""
    card = str(jax.devices()[0].device_kind)
    if (command := shutil.which("nvidia-smi")) is not None:
        query = [command, "--query-gpu=name,driver_version", "--format=csv,noheader"]
        card = "{}, driver {}".format(*subprocess.run(query, capture_output=True, text=True).stdout.strip().split(", "))
    installed = {found.name: found.version for found in metadata.distributions()}
    versions = [f"{package} {installed[package]}" for package in _PACKAGES if package in installed]
    return f"{card}; {', '.join(versions)}"
