"""A recipe for a recommender: its data read, its items' texts as numbers, and the run begun."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkit import artifacts, reports
from tfkit.config import RecommendRecipeConfig
from tfkit.data import DatasetSplits
from tfkit.data.histories import Catalogue, UserExamples, load_history_splits
from tfkit.data.sampled_test import with_sampled_test
from tfkit.errors import ConfigError, DataError
from tfkit.inputs.text_vectors import vectors_by_run
from tfkit.running.display import Display
from tfkit.running.recipe_run import RecipeRun, begin_folder
from tfkit.running.rehearsal import rehearse
from tfkit.tasks import RANKING
from tfkit.training import free_memory

_OF_A_PAIR = 4 * 8  # bytes that each pair of items takes while the weights are solved for


def read_histories(config: RecommendRecipeConfig, display: Display) -> DatasetSplits[UserExamples]:
    """Read a recipe's users and items.

    Raises:
        DataError: When they cannot be read, or are too few.
        ConfigError: When texts are asked for and there are none.
    """
    with display.stage("Data: every row is read") as stage:
        splits = load_history_splits(**config.data.loading_options(), seed=config.run.seed)
        splits, _ = with_sampled_test(splits, config.acceptance.examples, seed=config.run.seed)
        counts = f"{len(splits.train)} train, {len(splits.validation)} validation, {len(splits.test)} test users"
        stage.result(f"{counts}; {len(splits.train.catalogue):,} items")
    items, free = len(splits.train.catalogue), free_memory()
    if (needed := _OF_A_PAIR * items**2) > free:
        raise DataError(
            f"the weights between {items:,} items take {needed / 2**30:.1f} GiB while they are solved for; "
            f"{free / 2**30:.1f} GiB are free",
            hint="leave out items that are hardly ever taken, or take a machine with more memory",
        )
    if config.model.embedder is not None and not any(splits.train.catalogue.texts):
        raise ConfigError(
            "model.item_texts names an embedder, and the items have no texts",
            hint="name data.items and data.text_columns, or leave item_texts out",
        )
    return splits


def item_vectors(config: RecommendRecipeConfig, catalogue: Catalogue) -> NDArray[np.float64] | None:
    """The items' texts as vectors of length 1, 0 for an item without a text; None where they are not used.

    Args:
        config: The recipe.
        catalogue: The items.

    Returns:
        float64 (items, features).

    Raises:
        ModelError: When what is named is no run of sentence embeddings.
    """
    asked = config.model.embedder
    if config.model.item_texts is None or not any(catalogue.texts):
        return None
    if asked is None:
        from sklearn.feature_extraction.text import TfidfVectorizer  # a second to import

        return np.asarray(TfidfVectorizer(sublinear_tf=True).fit_transform(catalogue.texts).todense())
    vectors = vectors_by_run(Path(asked), asked="model.item_texts")(catalogue.texts)
    has_text = np.array([bool(text.strip()) for text in catalogue.texts])
    vectors -= vectors[has_text].mean(axis=0)  # what all texts have in common tells no items apart
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.where(has_text[:, None], vectors, 0.0)


def rehearse_recommender(config: RecommendRecipeConfig, display: Display, splits: DatasetSplits[UserExamples]) -> None:
    """Convert a recommender without weights to each format that the recipe asks for.

    Raises:
        ExportError: For what the export would refuse.
    """
    from tfkit.models import build_recommender
    from tfkit.running.rehearsal import plan_formats

    catalogue, length = splits.train.catalogue, config.model.history_length
    model = build_recommender(np.zeros((len(catalogue), len(catalogue)), np.float32), length=length)
    spec = artifacts.HistorySpec(length, Path("items.csv"))
    plan_formats(config, model, spec, display)
    formats = config.export.formats if config.export else ()
    few = splits.train.select(np.arange(min(8, len(splits.train)))).ids(length)
    rehearse(display, model, formats, spec=spec, samples={"item_ids": few}, task=RANKING.name)


def begin_history_run(
    config: RecommendRecipeConfig, display: Display, splits: DatasetSplits[UserExamples]
) -> RecipeRun:
    """Create the run's folder with the table of items in it."""
    folder = begin_folder(config, display, splits, splits.report.to_json())
    splits.train.catalogue.save(folder.items)
    log = [reports.StageSummary("data", "Data", 0.0, notes=splits.report.notes)]
    return RecipeRun(
        config, display, splits, artifacts.HistorySpec(config.model.history_length, folder.items), folder, log
    )


def planned_history_stages(config: RecommendRecipeConfig) -> tuple[tuple[str, str], ...]:
    """For each section of the recipe its name and what it does."""
    model, data = config.model, config.data
    tried = len(model.regularization) * len(model.text_weight)
    texts = "no texts" if model.item_texts is None else f"texts by {model.item_texts}"
    limits: Any = config.acceptance
    return (
        ("data", f"{data.source}, the latest {100 * data.next_fraction:g} % of each judged user's items to be found"),
        ("model", f"{model.backbone}, {texts}" + (f", the best of {tried} settings" if tried > 1 else "")),
        ("export", ", ".join(config.export.formats) if config.export else ""),
        (
            "acceptance",
            f"recall at most {100 * limits.max_accuracy_drop:g} % points below Keras, "
            f"{100 * limits.min_agreement:g} % of the listed items or more the same",
        ),
    )
