"""What goes into a model: images or texts. Each is one value, `Input`, that every room above asks."""

from collections.abc import Iterator
from typing import cast

from tfkit.artifacts import InputSpec
from tfkit.data.examples import Examples
from tfkit.inputs.images import IMAGES
from tfkit.inputs.input import FileDescription, Input, Prose, Reading, Serving, SpecT, TensorDescription
from tfkit.inputs.texts import TEXTS
from tfkit.runtimes.protocol import Feed

INPUTS = (IMAGES, TEXTS)

__all__ = [
    "IMAGES",
    "INPUTS",
    "TEXTS",
    "FileDescription",
    "Input",
    "Prose",
    "Reading",
    "Serving",
    "TensorDescription",
    "input_batches",
    "input_of",
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
        Arrays by name: `pixels` uint8 (n, height, width, channels); or `token_ids` and `padding_mask`, int32
        (n, length).

    Example:
        >>> next(input_batches(splits.test, ImageSpec(32, 32, channels=1), batch_size=4))["pixels"].shape
        (4, 32, 32, 1)
    """
    yield from input_of(spec).batches(examples, spec, batch_size, on_host)
