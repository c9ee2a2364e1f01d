"""The keyword arguments that stages of training hand on, by name and type: a misspelt one is told before any work."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

import keras

from tfkit.training.optimization import Optimization

if TYPE_CHECKING:
    from tfkit.data import AugmentationPolicy, Mixing
    from tfkit.data.text import TextAugmentation
    from tfkit.models.text.adaptation import Method
    from tfkit.training.head import HeadSolver
    from tfkit.training.text_objectives import TextObjectives

Precision = Literal["float32", "mixed_float16", "mixed_bfloat16"]
Jit = Literal["auto"] | bool
Objective = Callable[[keras.Model], keras.Model]
Progress = Callable[[int, int, str], None]


class KeepingOptions(TypedDict, total=False):
    """The number format, where the model is kept, and what else watches; see `train_on`."""

    precision: Precision
    checkpoint: Path | None
    callbacks: tuple[keras.callbacks.Callback, ...]


class WatchingOptions(KeepingOptions, total=False):
    """Where scalars go, where the training's state is kept, and who is told how far it is."""

    log_directory: Path | None
    state: Path | None
    progress: Progress | None


class StepOptions(WatchingOptions, total=False):
    """What `train_batches` takes beside its batches and the optimization."""

    jit: Jit
    objective: Objective | None
    devices: tuple[str, ...]


class BatchOptions(TypedDict, total=False):
    """How batches of images are made, but for their size; see `tfkit.data.training_batches`."""

    augmentation: AugmentationPolicy
    mixing: Mixing | None
    flip: bool
    seed: int
    cache_bytes: int


class ImageOptions(WatchingOptions, BatchOptions, total=False):
    """How batches of images are made, and what training on them takes."""

    devices: tuple[str, ...]


class FineTuneOptions(ImageOptions, total=False):
    """What `train_on` takes beside its images and the optimization."""

    batch_size: int
    jit: Jit
    objective: Objective | None


class QuantizeOptions(ImageOptions, total=False):
    """What `tfkit.stages.quantize` hands on."""

    batch_size: int
    objective: Objective | None


class PruneOptions(ImageOptions, total=False):
    """What `tfkit.stages.prune` hands on."""

    jit: Jit


class TextStepOptions(StepOptions, total=False):
    """How batches of texts are made."""

    buckets: bool
    augmentation: TextAugmentation | None


class TextStageOptions(TextStepOptions, total=False):
    """What `train_on_texts` takes beside its texts, their length and the seed."""

    optimization: Optimization
    batch_size: int


class TextTrainOptions(TextStageOptions, total=False):
    """All that `train_on_texts` takes beside its texts."""

    sequence_length: int
    seed: int


class TextFineTuneOptions(KeepingOptions, total=False):
    """What `fine_tune_text` hands to each of its runs."""

    sequence_length: int
    optimization: Optimization
    method: Method
    layers: int
    rank: int
    solver: HeadSolver
    suspicious_labels: bool
    objectives: TextObjectives | None
    batch_size: int
    buckets: bool
    augmentation: TextAugmentation | None
    jit: Jit
    objective: Objective | None
    devices: tuple[str, ...]


def refuse_unknown(function: str, options: Mapping[str, object], known: type) -> None:
    """Refuse keyword arguments that nobody further down takes, as Python does, and before any work is done.

    Args:
        function: What was called, for the message.
        options: What it was given beside its own arguments.
        known: The `TypedDict` of what it hands on.

    Raises:
        TypeError: Names the first one, and the nearest that there is.

    Example:
        >>> refuse_unknown("quantize", {"augmentatoin": "light"}, QuantizeOptions)
        Traceback (most recent call last):
        TypeError: quantize() got an unexpected keyword argument 'augmentatoin'; did you mean 'augmentation'?
    """
    names = list(known.__annotations__)
    for name in options:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            meant = f"; did you mean '{near[0]}'?" if near else f"; it takes {', '.join(sorted(names))}"
            raise TypeError(f"{function}() got an unexpected keyword argument '{name}'{meant}")
