"""What goes into a model: images, texts, histories or prompts. Each is an `Input`, which every room above asks."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import numpy as np

from tfkit.artifacts import InputSpec
from tfkit.data import Examples
from tfkit.data.splitting import spread_over_classes
from tfkit.inputs.histories import HISTORIES
from tfkit.inputs.images import IMAGES
from tfkit.inputs.input import FileDescription, Input, Prose, Reading, Serving, SpecT, TensorDescription
from tfkit.inputs.prompts import PROMPTS
from tfkit.inputs.texts import TEXTS
from tfkit.runtimes.protocol import Feed

if TYPE_CHECKING:
    import tensorflow as tf

INPUTS = (IMAGES, TEXTS, HISTORIES, PROMPTS)

__all__ = [
    "HISTORIES",
    "IMAGES",
    "INPUTS",
    "PROMPTS",
    "TEXTS",
    "FileDescription",
    "Input",
    "Prose",
    "Reading",
    "Serving",
    "TensorDescription",
    "calibration_inputs",
    "input_batches",
    "input_of",
    "named_batches",
]


def input_of(spec: SpecT) -> Input[SpecT]:
    """What a model takes, by the value that says its size.

    Example:
        >>> input_of(ImageSpec(8, 8)).noun
        'image'
    """
    return cast("Input[SpecT]", next(one for one in INPUTS if isinstance(spec, one.spec)))


def input_batches(examples: Examples, spec: InputSpec, *, batch_size: int, on_host: bool = False) -> Iterator[Feed]:
    """What a model takes, in the examples' order.

    Args:
        examples: Images or texts.
        spec: What the model takes of them.
        batch_size: Examples in a batch; the last may be smaller.
        on_host: Whether to do without TensorFlow where that is possible.

    Yields:
        Arrays by name: `pixels` uint8 (n, height, width, channels); `token_ids` and `padding_mask`, int32 (n,
        length); `item_ids`, int32 (n, length); or `token_ids` and `answer_mask`, int32 (n, length).

    Example:
        >>> next(input_batches(splits.test, ImageSpec(32, 32, channels=1), batch_size=4))["pixels"].shape
        (4, 32, 32, 1)
    """
    yield from input_of(spec).batches(examples, spec, batch_size, on_host)


def calibration_inputs(examples: Examples, spec: InputSpec, *, count: int = 200, seed: int = 0) -> Feed:
    """What ranges are set from: random examples, as many from each class as there are.

    Args:
        examples: Where to take them from: the training split, never the one that is judged on.
        spec: What the model takes of them.
        count: How many; all of them when there are fewer.
        seed: The same seed gives the same examples.

    Returns:
        Arrays by name, as `input_batches` gives them: n = `count` at most.

    Example:
        >>> calibration_inputs(splits.train, image, count=20)["pixels"].shape
        (20, 16, 16, 1)
    """
    chosen = examples.select(spread_over_classes(examples.labels, count=count, seed=seed))
    batches = list(input_batches(chosen, spec, batch_size=64))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def named_batches(batches: "tf.data.Dataset", spec: InputSpec) -> "tf.data.Dataset":
    """Batches to train on whose inputs go by name, whatever they came as.

    `tfkit.data.training_batches` gives bare pixels, which Keras feeds to an only input of any name. What trains inside
    tfkit takes every input by its name.

    Args:
        batches: A `tf.data.Dataset` of (inputs, targets); the tensor of an only input may be bare.
        spec: What the model takes.

    Returns:
        The same as ({name: tensor}, targets).

    Example:
        >>> inputs, targets = next(iter(named_batches(batches, image)))
        >>> inputs["pixels"].shape, targets.shape
        (TensorShape([8, 16, 16, 1]), TensorShape([8, 2]))
    """
    name = input_of(spec).tensors(spec)[0].name
    return batches.map(lambda inputs, targets: (inputs if isinstance(inputs, dict) else {name: inputs}, targets))
