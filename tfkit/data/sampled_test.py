"""A part of a huge test split, on which a run's models and files are judged."""

from dataclasses import replace

import numpy as np

from tfkit.data.examples import DatasetSplits, ExamplesT, ImageExamples
from tfkit.data.histories.examples import UserExamples
from tfkit.data.replies.examples import ReplyExamples
from tfkit.data.splitting import spread_over_classes
from tfkit.data.targets import target_kind


def with_sampled_test(
    splits: DatasetSplits[ExamplesT], count: int | None, *, seed: int
) -> tuple[DatasetSplits[ExamplesT], str | None]:
    """Splits with some of the test examples, in their order: as many of each class as there are.

    Args:
        splits: Images or texts.
        count: How many, 1 or more; None, or as many as there are, takes all.
        seed: The same seed draws the same examples.

    Returns:
        The splits, and what was drawn, in a sentence that is in their report too; None for all.

    Example:
        >>> sampled, told = with_sampled_test(load_image_splits(source="digits"), 100, seed=0)
        >>> len(sampled.test), told
        (100, 'judged on 100 of 359 test images, drawn with seed 0, as many of each class as there are')
    """
    whole = splits.test
    if count is None or count >= len(whole):
        return splits, None
    alike = isinstance(whole, ReplyExamples)  # questions have no classes, and no labels until a tokeniser is there
    labels = np.zeros(len(whole), np.int32) if alike else whole.labels
    drawn = np.sort(spread_over_classes(labels, count=count, seed=seed))
    nouns = {ImageExamples: "images", UserExamples: "users", ReplyExamples: "questions"}
    noun = nouns.get(type(whole), "texts")
    told = f"judged on {count:,} of {len(whole):,} test {noun}, drawn with seed {seed}"
    if not alike and target_kind(labels) == "classes":
        told += ", as many of each class as there are"
    report = replace(splits.report, notes=(*splits.report.notes, told))
    return replace(splits, test=whole.select(drawn), report=report), told
