"""A recipe's examples: its own, and those of the run that it goes on from, with that run's model."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfkit import data, models, reports
from tfkit.artifacts import InputSpec, RunDirectory
from tfkit.config import AnyTaskSection, EarlierSection, RecipeConfig, TrainedRecipe, UnlabelledRecipe, load_recipe
from tfkit.data import DatasetSplits
from tfkit.errors import DataError, ModelError, RunError
from tfkit.explaining.methods import refuse_missing_method
from tfkit.running.planning import targets_of
from tfkit.running.recipe_run import decision_on
from tfkit.running.stage_records import fingerprint

if TYPE_CHECKING:
    from tfkit.data.joining import JoinedSplits


@dataclass(frozen=True, eq=False)
class EarlierRun:
    """A finished run that another one goes on from.

    Attributes:
        folder: Its folder.
        joined: Its examples and the new ones.
        max_forgetting: What may be lost on its test examples, a fraction; None for anything.
    """

    folder: RunDirectory
    joined: "JoinedSplits[Any]"
    max_forgetting: float | None

    @property
    def sequence_length(self) -> int:
        """Of a run for texts: the tokens of a text that its model takes."""
        told = json.loads(self.folder.data_report.read_text(encoding="utf-8"))
        return int(told["token_lengths"]["sequence_length"])

    def classifier(self, input_shape: tuple[int, ...] | None = None) -> Any:
        """Its float model, with a score more for each class that is new.

        Args:
            input_shape: The images that it is to take, (height, width, channels); None for texts.

        Raises:
            ModelError: When it takes other images.
        """
        model = models.load_model_file(self.folder.float_model)
        if input_shape is not None and any(
            size not in (None, wanted) for size, wanted in zip(model.input_shape[1:], input_shape, strict=True)
        ):
            raise ModelError(
                f"the earlier run's model takes images of {model.input_shape[1:]}; the recipe gives {input_shape}",
                hint="leave data.image_size and data.channels as they were in it",
            )
        classes = len(self.joined.splits.class_names)
        more = classes > len(self.joined.earlier_names)
        return models.with_more_classes(model, classes) if more else model

    def answers(self, spec: InputSpec, asked: AnyTaskSection) -> reports.EarlierAnswers:
        """What its float model answers on all test examples, new and earlier.

        Args:
            spec: What the model takes.
            asked: What the recipe says of its task.
        """
        model, splits = models.load_model_file(self.folder.float_model), self.joined.splits
        decision = decision_on(model, splits.validation, spec, asked)
        scores = reports.evaluate(model, splits.test, spec, decision=decision).scores
        missing = len(splits.class_names) - len(self.joined.earlier_names)
        if missing:  # a class that it does not know has no score
            scores = np.pad(scores, [(0, 0)] * (scores.ndim - 1) + [(0, missing)])
        return reports.EarlierAnswers(
            run=str(self.folder.path),
            outputs=len(self.joined.earlier_names),
            places=self.joined.earlier_test,
            scores=scores,
            decision=decision,
            replayed=self.joined.replayed,
            replayed_of=self.joined.replayed_of,
            limit=self.max_forgetting,
        )


@dataclass(frozen=True, eq=False)
class ReadData:
    """What a recipe learns from and is judged on.

    Attributes:
        splits: The examples; with `earlier:` those of that run stand behind the new ones.
        drawn: Which test examples were drawn, in a sentence; None for all.
        earlier: The run that it goes on from; None for none.
    """

    splits: DatasetSplits[Any]
    drawn: str | None
    earlier: EarlierRun | None


def read_data(config: TrainedRecipe, *, progress: Callable[[int, int], None] | None = None) -> ReadData:
    """Read a recipe's examples.

    Args:
        config: The recipe.
        progress: Called with (done, total) while images are looked at.

    Raises:
        DataError: When they cannot be read, or those of the run that it goes on from are not as they were.
        RunError: When there is no such run, or it has not come to its end.
        ExportError: When its model has changed since.
        ConfigError: When the report asks for a package that is not installed.
    """
    section, asked = getattr(config, "earlier", None), getattr(config, "task", None)
    refuse_missing_method(getattr(asked, "heat_maps", "auto"), asked="task.heat_maps")
    if asked is not None and (asked.coverage is not None or asked.groups is not None):
        from tfkit.reports.trust import refuse_missing

        refuse_missing(coverage=asked.coverage, groups=asked.groups)
    options: dict[str, Any] = {**config.data.loading_options(), "targets": targets_of(config), "seed": config.run.seed}
    if section is not None:
        options["least_classes"] = 1  # new examples may be of a new class alone
    if isinstance(config, RecipeConfig):
        from tfkit.data import load_image_splits

        splits: DatasetSplits[Any] = load_image_splits(**options, progress=progress)
    else:
        from tfkit.data.text import load_text_splits

        splits = load_text_splits(**options)
    splits, drawn = data.with_sampled_test(splits, config.acceptance.examples, seed=config.run.seed)
    if section is None:
        return ReadData(splits, drawn, None)
    earlier = _open_earlier(section, splits, seed=config.run.seed)
    return ReadData(earlier.joined.splits, drawn, earlier)


def _open_earlier(section: EarlierSection, new: DatasetSplits[Any], *, seed: int) -> EarlierRun:
    """Open the run that a recipe goes on from, and put its examples behind new ones."""
    from tfkit.data.joining import join_splits

    folder = RunDirectory(section.run)
    if not folder.is_sealed or not folder.float_model.is_file():
        raise RunError(
            f"earlier.run: there is no finished run with a float model in '{folder.path}'",
            hint="name the folder of a run that came to its end",
        )
    folder.vouches_for(folder.recipe, folder.data_report, folder.float_model)
    recipe = load_recipe(folder.recipe, may_run=False)
    if isinstance(recipe, UnlabelledRecipe):
        raise RunError(
            f"earlier.run: '{folder.path}' is a run of {recipe.recipe}, which has no labels to remember",
            hint="learn again from all rows",
        )
    try:
        earlier = read_data(recipe).splits
    except DataError as fault:
        raise DataError(
            f"the examples of the earlier run '{folder.path}' cannot be read: {fault}",
            hint=f"put them where '{folder.recipe}' says: without them nobody knows what is forgotten",
        ) from fault
    if folder.began_with("data") not in (None, fingerprint(earlier)):
        raise DataError(
            f"the examples of the earlier run '{folder.path}' are not those that it learned from: files were added, "
            "changed or removed since",
            hint="put them back as they were, and name the new examples alone in data:",
        )
    return EarlierRun(folder, join_splits(new, earlier, replay=section.replay, seed=seed), section.max_forgetting)
