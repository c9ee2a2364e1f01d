"""What a model is fed with, for images and texts alike."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tfkit.artifacts import ImageSpec, InputSpec, TextSpec
from tfkit.data.examples import Examples, ImageExamples

if TYPE_CHECKING:
    from tfkit.data.text import TextExamples


def input_batches(examples: Examples, spec: InputSpec, *, batch_size: int) -> Iterator[Any]:
    """What a model takes, in the examples' order.

    Args:
        examples: Images or texts.
        spec: What the model takes of them.
        batch_size: Examples in a batch; the last may be smaller.

    Yields:
        For images uint8 (n, height, width, channels); for texts a dict of int32 (n, length), `token_ids` and
        `padding_mask`.

    Example:
        >>> next(input_batches(splits.test, ImageSpec(32, 32, channels=1), batch_size=4)).shape
        (4, 32, 32, 1)
    """
    if not isinstance(spec, TextSpec):
        pictures = cast(ImageExamples, examples)
        if not pictures.source.is_encoded:  # quicker than making a pipeline for them
            yield from host_pixel_batches(pictures, spec, batch_size=batch_size)
            return
        from tfkit.data.pipeline import pixel_batches  # it starts TensorFlow

        yield from pixel_batches(pictures, spec, batch_size=batch_size)
        return
    from tfkit.data.text import open_tokenizer  # keras-hub takes seconds to import: only where there are texts

    tokenizer, texts = open_tokenizer(spec.tokenizer), cast("TextExamples", examples).texts
    for start in range(0, len(texts), batch_size):
        yield tokenizer(texts[start : start + batch_size], sequence_length=spec.sequence_length)


def host_pixel_batches(examples: ImageExamples, image: ImageSpec, *, batch_size: int) -> Iterator[np.ndarray]:
    """The pixels of `input_batches`, without TensorFlow where the images' formats allow it.

    Args:
        examples: Which images.
        image: The size to fit them to.
        batch_size: Images an array; the last may hold fewer.

    Yields:
        uint8 (batch, height, width, channels), raw 0..255.

    Raises:
        DataError: When an image is damaged.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(examples), batch_size):
            chosen = map(int, examples.indices[start : start + batch_size])
            yield np.stack(list(pool.map(lambda index: examples.source.fitted_pixels(index, image), chosen)))


def encoded_inputs(examples: Examples) -> list[bytes]:
    """What a client of a server sends: encoded images, or texts in UTF-8."""
    if isinstance(examples, ImageExamples):
        return list(examples.source.encoded(examples.indices))
    return [text.encode() for text in cast("TextExamples", examples).texts]
