"""The first stage: the backbone is frozen and only the head learns, on features computed once."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import keras
import numpy as np

from tfkit.arguments import takes_text
from tfkit.artifacts import ImageSpec
from tfkit.data import Examples
from tfkit.data.suspicious_labels import SuspiciousLabels
from tfkit.data.targets import target_kind
from tfkit.models import freeze_backbone, head_on_features
from tfkit.models.classifier import LOGITS, SCORES
from tfkit.tasks import task_of
from tfkit.training.features import Features, cache_features, frozen_features
from tfkit.training.fitting import Progress, fit, kept_on_failure
from tfkit.training.label_probe import find_suspicious_labels
from tfkit.training.linear_head import Fit, LinearHead, LinearTask, fit_linear_head, held_out_share
from tfkit.training.optimization import Optimization, aim_of
from tfkit.training.processes import refuse_processes
from tfkit.training.result import StageResult, count_trainable

if TYPE_CHECKING:
    from tfkit.data import AugmentationPolicy, ImageExamples, Mixing

HeadSolver = Literal["lbfgs", "gradient"]

_MOST_FITS = 18


@takes_text
def train_head(
    model: keras.Model,
    train: ImageExamples,
    validation: ImageExamples,
    image: ImageSpec,
    *,
    optimization: Optimization,
    solver: HeadSolver = "gradient",
    batch_size: int = 32,
    cached_views: int = 1,
    suspicious_labels: bool = False,
    augmentation: AugmentationPolicy = "none",
    mixing: Mixing | None = None,
    flip: bool = True,
    seed: int = 0,
    cache_bytes: int = 1 << 30,
    log_directory: Path | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    callbacks: tuple[keras.callbacks.Callback, ...] = (),
) -> StageResult:
    """Train a classifier's head on a frozen backbone.

    A frozen backbone gives the same features in every epoch, so they are computed once for each cached view and the
    head is trained on them; the result is that of training through the backbone, at a fraction of the time.

    Args:
        model: A classifier of `build_classifier`; its head is trained in place.
        train: Training images.
        validation: Validation images; may be empty.
        image: The images the model takes.
        optimization: How to step. Solver `lbfgs` reads of it `label_smoothing` and `class_weights` alone.
        solver: `gradient` steps; or `lbfgs`, which fits the head to the end and chooses its penalty, and how features
            are scaled, on the validation images, or without them on a fifth of the training images.
        batch_size: Images in a batch.
        cached_views: How often each training image is seen: once as it is, the other times augmented.
        suspicious_labels: Whether to look for training images whose class is likely wrong, on the same features; they
            are told and nothing else. Several labels and numbers are not looked at.
        augmentation: Policy of the augmented views: `none`, `light` or `rand_augment`.
        mixing: `mixup`, `cutmix` or None, in the augmented views.
        flip: Whether augmentation may mirror images.
        seed: Seed of shuffling, dropout and augmentation.
        cache_bytes: Decoded images are kept in memory between views up to this size.
        log_directory: Where TensorBoard's scalars go.
        checkpoint: Where the model is kept when training is interrupted (`.keras`).
        progress: Called after each batch with batches done, batches in all, and a text.
        callbacks: Further callbacks of gradient steps.

    Returns:
        The course of the stage.

    Example:
        >>> plan = Optimization(epochs=20, learning_rate=1e-2)
        >>> result = train_head(model, splits.train, splits.validation, image, optimization=plan)
        >>> len(result.history["loss"])
        20
        >>> result = train_head(model, splits.train, splits.validation, image, optimization=plan, solver="lbfgs")
        >>> result.counted_in
        'fit'
    """
    refuse_processes("train_head")
    began = time.perf_counter()
    keras.utils.set_random_seed(seed)
    freeze_backbone(model)
    with kept_on_failure(model, checkpoint):
        extractor = frozen_features(model)
        share = share_to_choose_on(train, validation, solver, seed=seed)
        parts = train if share is None else [train.select(share.kept), train.select(share.held_out)]
        seen = cache_features(
            extractor, parts, image, batch_size=batch_size, views=cached_views, augmentation=augmentation,
            mixing=mixing, flip=flip, seed=seed, cache_bytes=cache_bytes, progress=progress,
        )  # fmt: skip
        held_out = cache_features(extractor, validation, image, batch_size=batch_size) if len(validation) else None
        views = f"{cached_views} views of each image" if cached_views > 1 else "each image once"
        cached = time.perf_counter() - began
        course = learn_on_features(
            model, train, seen, held_out, share, views=cached_views, suspicious_labels=suspicious_labels,
            optimization=optimization, solver=solver, batch_size=batch_size, seed=seed, log_directory=log_directory,
            progress=progress, callbacks=callbacks,
        )  # fmt: skip
    note = f"backbone frozen; its features were computed once in {cached:.1f} s ({views})"
    return course.stage(model, note, time.perf_counter() - began)


@dataclass(frozen=True, eq=False)
class Share:
    """Training examples by their use where there are no validation examples.

    Attributes:
        kept: int64 positions of those that are learned from while choosing.
        held_out: int64 positions of those that are chosen on.
    """

    kept: np.ndarray
    held_out: np.ndarray


def share_to_choose_on(train: Examples, validation: Examples, solver: HeadSolver, *, seed: int) -> Share | None:
    """What a fitted head is chosen on where there are no validation examples; None where nothing is held out."""
    return None if solver == "gradient" or len(validation) else Share(*held_out_share(train.labels, seed=seed))


@dataclass(frozen=True, eq=False)
class HeadCourse:
    """How a head learned; as the fields of `StageResult`, and the fit that was chosen, where one was."""

    history: dict[str, list[float]]
    notes: tuple[str, ...]
    counted_in: Literal["epoch", "fit"]
    suspicious_labels: SuspiciousLabels | None = None
    chosen: Fit | None = None

    def stage(self, model: keras.Model, note: str, seconds: float) -> StageResult:
        """The whole stage: with what was decided before the head learned, and the wall time of both."""
        notes = (note, *self.notes)
        learned = count_trainable(model)
        return StageResult("head", seconds, self.history, notes, learned, self.counted_in, self.suspicious_labels)


def learn_on_features(
    model: keras.Model,
    train: Examples,
    seen: Features,
    held_out: Features | None,
    share: Share | None,
    *,
    optimization: Optimization,
    solver: HeadSolver,
    batch_size: int,
    seed: int,
    views: int = 1,
    suspicious_labels: bool = False,
    log_directory: Path | None = None,
    progress: Progress | None = None,
    callbacks: tuple[keras.callbacks.Callback, ...] = (),
) -> HeadCourse:
    """Train or fit a head on features.

    Args:
        model: The classifier; its head is changed in place.
        train: The training examples, whose labels say the task.
        seen: Their features; with `share` those kept first, then those held out, each with all of their views.
        held_out: The validation examples' features; None without any.
        share: As `share_to_choose_on` gives it.
        optimization, solver, batch_size, seed, suspicious_labels, log_directory, progress, callbacks: As of
            `train_head`.
        views: How often each example is in `seen`, first as it is.

    Returns:
        The course.
    """
    if solver == "lbfgs":
        course = _fitted(
            model, train, seen, held_out, share, views=views, optimization=optimization, log_directory=log_directory,
            progress=progress,
        )  # fmt: skip
    else:
        history = fit(
            head_on_features(model),
            seen.batches(batch_size, shuffle_seed=seed),
            held_out.batches(len(held_out)).cache() if held_out else None,
            optimization=optimization,
            steps_per_epoch=-(-len(seen) // batch_size),
            jit_compile=False,
            aim=aim_of(optimization, train),
            log_directory=log_directory,
            progress=progress,
            callbacks=callbacks,
        )
        course = HeadCourse(history, (), "epoch")
    return _with_doubts(course, train, seen, share, views, seed) if suspicious_labels else course


def _with_doubts(
    course: HeadCourse, train: Examples, seen: Features, share: Share | None, views: int, seed: int
) -> HeadCourse:
    """The course with the training examples whose class is likely wrong, judged by their plain views."""
    if target_kind(train.labels) != "classes":
        return course
    values, order = seen.values[: len(train)], np.arange(len(train))
    if share is not None:
        order = np.concatenate([share.kept, share.held_out])
        begin = len(share.kept) * views
        if views > 1:
            parts = seen.values[: len(share.kept)], seen.values[begin : begin + len(share.held_out)]
            values = np.concatenate(parts)
    names = tuple(train.names[place] for place in order)
    found = find_suspicious_labels(
        values, train.labels[order], train.class_names, names, chosen=course.chosen, seed=seed
    )
    in_training = tuple(replace(one, position=int(order[one.position])) for one in found.found)
    return replace(course, suspicious_labels=replace(found, found=in_training))


def _fitted(
    model: keras.Model,
    train: Examples,
    seen: Features,
    held_out: Features | None,
    share: Share | None,
    *,
    views: int,
    optimization: Optimization,
    log_directory: Path | None,
    progress: Progress | None,
) -> HeadCourse:
    began = time.perf_counter()
    layer, scores, task = model.get_layer(LOGITS), model.get_layer(SCORES), task_of(train.labels)
    asked = LinearTask(
        task=task,
        label_smoothing=optimization.label_smoothing,
        class_weight=aim_of(optimization, train).class_weight,
        **_units(scores) if task.gives_numbers else {},
    )

    def tell(number: int, one: Fit) -> None:
        if progress is not None:
            figure = task.told(one.figures[f"val_{task.metric}"])
            progress(min(number, _MOST_FITS), _MOST_FITS, f"fit {number}, validation {task.unit} {figure}")

    if share is None:
        assert held_out is not None
        chosen_on, learned, everything = f"{len(held_out):,} validation examples", seen, None
    else:
        kept, others = len(share.kept) * views, len(share.held_out)
        chosen_on = f"{others:,} training examples held out, then fitted on all"
        learned, held_out, everything = seen.rows(0, kept), seen.rows(kept, kept + others), seen
    head = fit_linear_head(learned, held_out, asked, everything=everything, tell=tell)
    layer.set_weights([head.kernel, head.bias])  # without its bias the folded scaling would be another answer
    if log_directory is not None:
        _write_scalars(head, log_directory)
    if progress is not None:
        progress(_MOST_FITS, _MOST_FITS, "fitted")
    seconds = time.perf_counter() - began
    path = head.path()
    history = {name: [one.figures[name] for one in path] for name in path[0].figures}
    note = _note(head, asked, chosen_on, rows=len(everything or seen), seconds=seconds)
    note += "; the layer's own L2 was not read" if layer.kernel_regularizer is not None else ""
    return HeadCourse(history, (note,), "fit", chosen=head.chosen)


def _units(scores: keras.layers.Layer) -> dict[str, np.ndarray]:
    """Of numbers: what stands behind the Dense layer."""
    return {"means": np.asarray(scores.offset, np.float32), "deviations": np.asarray(scores.scale, np.float32)}


def _note(head: LinearHead, asked: LinearTask, chosen_on: str, *, rows: int, seconds: float) -> str:
    task, chosen = asked.task, head.chosen
    together = "all features scaled together" if chosen.scaling == "common" else "each feature scaled on its own"
    if task.gives_numbers:
        how, penalty = "ridge regression", f"alpha {chosen.penalty * rows:.2g}"
    else:
        how, penalty = "L-BFGS", f"C {1 / (chosen.penalty * rows):.2g}"
    figure = task.told(chosen.figures[f"val_{task.metric}"])
    told = (
        f"the head was fitted by {how} in {seconds:.1f} s: {penalty} (as scikit-learn counts), {together}, the best of "
    )
    return f"{told}{len(head.fits)} on {chosen_on}: {task.unit} {figure}"


def _write_scalars(head: LinearHead, folder: Path) -> None:
    """TensorBoard's scalars: every fit's figures in the order they were tried, and its penalty."""
    import tensorflow as tf

    with tf.summary.create_file_writer(str(folder)).as_default():
        for step, one in enumerate(head.fits):
            figures = one.figures | {"log10_penalty": float(np.log10(one.penalty))}
            for name, value in figures.items():
                tf.summary.scalar(f"head_{one.scaling}/{name}", value, step=step)
