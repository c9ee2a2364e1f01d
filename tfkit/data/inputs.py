"""What a model is fed with, for images and texts alike."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from tfkit.artifacts import InputSpec, TextSpec
from tfkit.data.examples import Examples, ImageExamples, host_pixel_batches

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


def encoded_inputs(examples: Examples) -> list[bytes]:
    """What a client of a server sends: encoded images, or texts in UTF-8."""
    if isinstance(examples, ImageExamples):
        return list(examples.source.encoded(examples.indices))
    return [text.encode() for text in cast("TextExamples", examples).texts]
