"""The answers of a run's Keras model on the evaluation split, and the pictures that belong to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfkit.artifacts import ImageSpec, InputSpec
from tfkit.data.targets import told_target
from tfkit.reports.gallery import Misclassified, MisclassifiedPixels
from tfkit.reports.run_report import Evaluation
from tfkit.reports.tensorboard import write_tensorboard_images
from tfkit.tasks import PLAIN, Decision

# Only for the type checker: this room loads TensorFlow, and `tfkit --help` must not.
if TYPE_CHECKING:
    from tfkit.data import DatasetSplits, Examples, ImageExamples
    from tfkit.data.text import TextExamples


def evaluate(model: Any, test: Examples, spec: InputSpec, *, decision: Decision = PLAIN) -> Evaluation:
    """Run a model over the evaluation split.

    Args:
        model: A Keras classifier of raw pixels or of token ids, or a twin of the tfmot engine.
        test: The split.
        spec: The images or texts the model takes.
        decision: What turns scores into answers.

    Returns:
        Its answers: what every exported file is compared with.
    """
    from tfkit.compression.tfmot import TfKerasTwin
    from tfkit.data import input_batches
    from tfkit.verification import reference_scores

    if isinstance(model, TfKerasTwin):
        scores = np.concatenate([model.scores(inputs) for inputs in input_batches(test, spec, batch_size=64)])
    else:
        scores = reference_scores(model, test, spec)
    return Evaluation(test.class_names, test.labels, scores, test.names, decision)


def pixels_of(examples: ImageExamples, image: ImageSpec) -> MisclassifiedPixels:
    """A function from positions in a split to the pixels there, uint8 (m, height, width, channels)."""
    from tfkit.data import host_pixel_batches

    return lambda chosen: next(host_pixel_batches(examples.select(chosen), image, batch_size=max(1, len(chosen))))


def texts_of(examples: TextExamples) -> Misclassified:
    """A function from positions in a split to the texts there."""
    return lambda chosen: examples.select(chosen).texts


def write_stage_pictures(
    log_dir: Path,
    splits: DatasetSplits,
    image: ImageSpec,
    evaluation: Evaluation,
    *,
    step: int,
    batch_options: Mapping[str, Any],
) -> None:
    """Write a stage's pictures for TensorBoard; see `write_tensorboard_images`.

    Args:
        log_dir: The stage's TensorBoard folder.
        splits: The images.
        image: What the model takes.
        evaluation: The model's answers after the stage.
        step: The epoch the pictures belong to.
        batch_options: Keyword arguments of `tfkit.data.training_batches`: augmentation as in training.
    """
    from tfkit.data import some_views

    views = {name: value for name, value in batch_options.items() if name not in ("batch_size", "cache_bytes")}
    seen, targets = some_views(splits.train, image, **views)
    write_tensorboard_images(
        log_dir,
        seen=seen,
        seen_labels=_told_targets(targets, evaluation),
        evaluation=evaluation,
        misclassified_pixels=pixels_of(splits.test, image),
        step=step,
    )


def _told_targets(targets: np.ndarray, evaluation: Evaluation) -> list[str]:
    """What the rows of training targets say; the larger of two classes that were mixed."""
    if evaluation.task.targets == "classes":
        return [evaluation.class_names[index] for index in np.argmax(targets, axis=1)]
    rows = (targets > 0.5).astype(np.uint8) if evaluation.task.targets == "labels" else targets
    return [told_target(rows, place, evaluation.class_names) for place in range(len(rows))]
