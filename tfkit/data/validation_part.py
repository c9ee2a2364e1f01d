"""A validation part for what chooses: the data's own, or some of the training examples."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from tfkit.data.examples import DatasetSplits, Examples, ExamplesT, ImageExamples
from tfkit.data.splitting import stratified_holdout
from tfkit.data.text.examples import TextExamples

_HELD_OUT = 0.2


def with_validation(splits: DatasetSplits[ExamplesT], *, seed: int) -> tuple[DatasetSplits[ExamplesT], str]:
    """Splits whose validation part is not empty: where there is none, a fifth of the training examples is held out.

    Args:
        splits: Images or texts.
        seed: The same seed holds out the same examples.

    Returns:
        The splits, and what their validation part is, in words.

    Raises:
        DataError: When a class has too few examples to share out.

    Example:
        >>> with_validation(splits, seed=0)[1]
        '... validation images'
    """
    noun = "images" if isinstance(splits.train, ImageExamples) else "texts"
    if len(splits.validation):
        return splits, f"{len(splits.validation):,} validation {noun}"
    train = splits.train
    digests = [hashlib.blake2b(content).digest() for content in _contents(train)]
    kept, held_out = stratified_holdout(
        train.labels,
        digests,
        fraction=_HELD_OUT,
        seed=seed,
        class_names=train.class_names,
        what="validation",
        unit=noun,
    )
    divided = replace(splits, train=train.select(kept), validation=train.select(held_out))
    return divided, f"{len(held_out):,} training {noun} held out"


def _contents(examples: Examples) -> Iterator[bytes]:
    if isinstance(examples, ImageExamples):
        return (examples.source.content(int(index)) for index in examples.indices)
    assert isinstance(examples, TextExamples)
    return (text.encode("utf-8", "surrogatepass") for text in examples.texts)
