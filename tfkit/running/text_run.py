"""What every recipe for texts begins with: the texts, a backbone with its tokeniser, and the run's folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkit import artifacts, reports
from tfkit.config import EmbeddingRecipeConfig, TextRecipeConfig, dump_recipe
from tfkit.data import DatasetSplits
from tfkit.data.text import LengthReport, TextExamples, Tokenizer, load_text_splits
from tfkit.running.display import Display
from tfkit.running.recipe_run import RecipeRun
from tfkit.running.task_planning import targets_of
from tfkit.running.text_planning import measure_length, open_backbone


@dataclass(frozen=True)
class ReadTexts:
    """A recipe's texts with the backbone and the tokeniser that go with them; no file is written yet."""

    splits: DatasetSplits[TextExamples]
    backbone: Any
    tokenizer: Tokenizer
    length: LengthReport
    log: tuple[reports.StageSummary, ...]

    @property
    def planned_spec(self) -> artifacts.TextSpec:
        """What the model will take; its tokeniser has no folder yet."""
        return artifacts.TextSpec(self.length.sequence_length, Path())


def read_texts(config: TextRecipeConfig | EmbeddingRecipeConfig, display: Display) -> ReadTexts:
    """Read a recipe's texts, and open its backbone and tokeniser.

    Args:
        config: The recipe.
        display: Where progress is shown.

    Returns:
        What was read.

    Raises:
        RunError: When there is such a run already, before anything is read.
        DataError: When the texts cannot be read.
        ModelError: When there is no such backbone, or it cannot be loaded.
    """
    display.header(f"{config.run.name}: {config.model.backbone} on {config.data.source}")
    artifacts.refuse_existing_run(config.run.directory / config.run.name, overwrite=config.run.overwrite)
    with display.stage("Read the texts") as reading:
        splits = load_text_splits(**config.data.loading_options(), targets=targets_of(config), seed=config.run.seed)
        reading.result(f"{len(splits.train)} training, {len(splits.validation)} validation, {len(splits.test)} test")
    with display.stage("Backbone and tokeniser") as opening:
        backbone, tokenizer = open_backbone(config, splits.train)
        length = measure_length(config, splits.train, tokenizer, backbone)
        opening.result(length.sentence)
    log = (
        reports.StageSummary("data", reading.title, reading.seconds, notes=splits.report.notes),
        reports.StageSummary("tokenizer", opening.title, opening.seconds, notes=(length.sentence,)),
    )
    return ReadTexts(splits, backbone, tokenizer, length, log)


def begin_text_run(config: TextRecipeConfig | EmbeddingRecipeConfig, display: Display, read: ReadTexts) -> RecipeRun:
    """Create a run's folder, with the recipe, what was read, and the tokeniser in it.

    Args:
        config: The recipe.
        display: Where progress is shown.
        read: Its texts.

    Returns:
        The run, ready to train.

    Raises:
        RunError: When the folder cannot be created.
    """
    folder = artifacts.create_run_directory(config.run.directory / config.run.name, overwrite=config.run.overwrite)
    described = read.splits.report.to_json() | {"token_lengths": read.length.to_json()}
    folder.record(recipe=dump_recipe(config), data_report=described)
    read.tokenizer.save(folder.tokenizer)
    segment_ids = config.export is not None and config.export.segment_ids
    spec = artifacts.TextSpec(read.length.sequence_length, folder.tokenizer, segment_ids)
    return RecipeRun(config, display, read.splits, spec, folder, list(read.log))
