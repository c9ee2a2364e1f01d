"""What trials learn from and are compared on: training and validation examples; the test split is let go at once."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic

import numpy as np

from tfkit.artifacts import ImageSpec
from tfkit.config import RecipeConfig, TrainedRecipe
from tfkit.data import keep_pixels, load_image_splits
from tfkit.data.examples import ExamplesT
from tfkit.data.text import load_text_splits
from tfkit.data.validation_part import with_validation
from tfkit.running import Display
from tfkit.running.planning import targets_of
from tfkit.running.stage_records import fingerprint


@dataclass(frozen=True, eq=False)
class TrialExamples(Generic[ExamplesT]):
    """All that a trial is given of the data.

    Attributes:
        train: What it learns from.
        validation: What it is compared on with the others; never empty.
        chosen_on: What the validation part is, in words.
        digest: Of the names, labels and contents of both.
    """

    train: ExamplesT
    validation: ExamplesT
    chosen_on: str
    digest: str


class ExamplesOfTrials:
    """Reads a recipe's examples once for all trials that say the same of them.

    Args:
        display: Where it is shown.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._read: tuple[str, TrialExamples[Any]] | None = None
        self._told = ""

    def of(self, config: TrainedRecipe) -> TrialExamples[Any]:
        """The examples of a recipe.

        Raises:
            DataError: When they cannot be read.
        """
        asked = json.dumps([config.data.loading_options(), config.run.seed], default=str)
        if self._read is None or self._read[0] != asked:
            self._read = asked, self._load(config)
        return self._read[1]

    def keep_pixels(self, config: RecipeConfig, folder: Path) -> None:
        """Decode each image once for all trials that take it in the size of this recipe, and for those after them.

        Args:
            config: A recipe whose examples were read.
            folder: A folder on the disk that takes what `data.cache_mb` does not.
        """
        examples, data = self.of(config), config.data
        image = ImageSpec(*data.image_height_width, data.channels, data.resize)
        parts = (examples.train, examples.validation)
        note = keep_pixels(parts, image, memory_bytes=data.cache_mb << 20, folder=folder)
        if note and note != self._told:
            self._told = note
            self._display.note(note)

    def _load(self, config: TrainedRecipe) -> TrialExamples[Any]:
        asked: dict[str, Any] = {"targets": targets_of(config), "seed": config.run.seed}
        with self._display.stage("Read the data") as stage:
            if isinstance(config, RecipeConfig):
                splits: Any = load_image_splits(**config.data.loading_options(), **asked)
            else:
                splits = load_text_splits(**config.data.loading_options(), **asked)
            splits = replace(splits, test=splits.test.select(np.arange(0)))  # no trial can come to it
            splits, chosen_on = with_validation(splits, seed=config.run.seed)
            stage.result(f"{len(splits.train)} training; compared on {chosen_on}; the test split is not touched")
        return TrialExamples(splits.train, splits.validation, chosen_on, fingerprint(splits))
