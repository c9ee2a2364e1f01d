"""Pictures and texts for TensorBoard: what the model really sees, what it confuses, where it is wrong."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfkit.artifacts import Artifact
from tfkit.reports.drawing import BAD, INK, Drawing, drawing_style, png
from tfkit.reports.figures import confusion_drawing
from tfkit.reports.findings import Evaluation, Mistake, mistakes
from tfkit.reports.gallery import Misclassified, quoted
from tfkit.reports.overlays import with_parts
from tfkit.reports.quantities import percent
from tfkit.reports.task_view import task_view, wrong_answers

_COLUMNS = 4
_MOST_PICTURES = 16


def write_tensorboard_images(
    log_dir: Path,
    *,
    seen: np.ndarray,
    seen_labels: Sequence[str],
    evaluation: Evaluation,
    misclassified_pixels: Misclassified,
    step: int,
) -> None:
    """Write three pictures for one stage: training images after augmentation, confusion matrix, worst mistakes.

    Args:
        log_dir: The stage's TensorBoard folder.
        seen: (n, h, w, c) pixels 0..255, uint8 or float, just as they enter the model; the first 16 are drawn.
        seen_labels: n texts, one under each picture.
        evaluation: The model's answers after the stage.
        misclassified_pixels: Gives uint8 (m, h, w, c) pixels for int64 (m,) positions in the evaluation split;
            not asked when there is no mistake.
        step: The epoch the pictures belong to.

    Example:
        >>> write_tensorboard_images(  # doctest: +SKIP
        ...     run.tensorboard("head"), seen=pixels, seen_labels=texts, evaluation=evaluation,
        ...     misclassified_pixels=lambda positions: test[positions], step=20)
    """
    import tensorflow as tf

    drawings = {"training images as the model sees them": _grid(seen, [(text, INK) for text in seen_labels])}
    drawings |= _answer_drawings(evaluation, noun="image")
    worst = _worst(evaluation)
    if worst:
        shown = with_parts(evaluation, misclassified_pixels)
        pixels = np.asarray(shown(np.array([mistake.position for mistake in worst], dtype=np.int64)))
        drawings["most confident mistakes"] = _grid(pixels, [(_caption(mistake), BAD) for mistake in worst])
    writer = tf.summary.create_file_writer(str(log_dir))
    with writer.as_default(step=step):
        for title, drawing in drawings.items():
            tf.summary.image(title, tf.io.decode_png(png(drawing), channels=3)[None])
    writer.close()


def write_tensorboard_texts(log_dir: Path, *, evaluation: Evaluation, misclassified: Misclassified, step: int) -> None:
    """Write the confusion matrix of a stage that learned texts, and a table of its most confident mistakes.

    Args:
        log_dir: The stage's TensorBoard folder.
        evaluation: The model's answers after the stage.
        misclassified: Gives m texts for int64 (m,) positions in the evaluation split (`shown_of`); not asked when
            there is no mistake.
        step: The epoch they belong to.

    Example:
        >>> write_tensorboard_texts(run.tensorboard("fine_tune"), evaluation=evaluation,
        ...     misclassified=shown_of(splits.test, text), step=3)  # doctest: +SKIP
    """
    import tensorflow as tf

    worst = _worst(evaluation)
    writer = tf.summary.create_file_writer(str(log_dir))
    with writer.as_default(step=step):
        for title, drawing in _answer_drawings(evaluation, noun="text").items():
            tf.summary.image(title, tf.io.decode_png(png(drawing), channels=3)[None])
        if worst:
            texts = misclassified(np.array([mistake.position for mistake in worst], dtype=np.int64))
            tf.summary.text("most confident mistakes", _table(worst, texts))
    writer.close()


def write_layer_errors(log_dir: Path, artifacts: Sequence[Artifact]) -> None:
    """Write how far each layer of the int8 file is from the Keras model, for TensorBoard's scalars.

    Args:
        log_dir: The stage's TensorBoard folder.
        artifacts: The exported files; nothing is written when none was made from quantisation-aware training.
    """
    import tensorflow as tf

    rows = [row for artifact in artifacts for row in artifact.layers]
    if not rows:
        return
    writer = tf.summary.create_file_writer(str(log_dir))
    with writer.as_default(step=0):  # measured once, after training
        for row in rows:
            tf.summary.scalar(f"file_error_steps/{row.layer}", row.mean_steps)
    writer.close()


def _answer_drawings(evaluation: Evaluation, *, noun: str) -> dict[str, Drawing]:
    view = task_view(evaluation)
    if view is None:
        return {"confusion matrix": confusion_drawing(evaluation, noun=noun)}
    return {drawing.description: drawing for drawing in view.drawings}


def _worst(evaluation: Evaluation) -> tuple[Mistake, ...]:
    chosen = mistakes if evaluation.task.of_classes else wrong_answers
    return chosen(evaluation)[:_MOST_PICTURES]


def _sure(mistake: Mistake) -> str:
    return "" if mistake.confidence is None else percent(mistake.confidence, decimals=0)


def _caption(mistake: Mistake) -> str:
    return f"{mistake.predicted} {_sure(mistake)}\nis {mistake.true}"


def _table(worst: Sequence[Mistake], texts: Sequence[Any] | np.ndarray) -> str:
    rows = [
        (quoted(text), mistake.predicted, _sure(mistake), mistake.true)
        for mistake, text in zip(worst, texts, strict=True)
    ]
    lines = ["text|was called|confidence|is", "---|---|---|---", *("|".join(map(_plain, row)) for row in rows)]
    return "\n".join(lines)


def _plain(text: str) -> str:
    # TensorBoard reads Markdown: a text's own bars, stars and tags must not be taken for it.
    return re.sub(r"([\\`*_{}\[\]()#+.!|~-])", r"\\\1", html.escape(text, quote=False))


def _grid(pixels: np.ndarray, captions: Sequence[tuple[str, str]]) -> Drawing:
    from matplotlib.figure import Figure

    shown = np.clip(pixels[:_MOST_PICTURES], 0, 255).astype(np.uint8)
    rows = max(1, -(-len(shown) // _COLUMNS))
    with drawing_style():
        figure = Figure(figsize=(1.9 * _COLUMNS, 2.3 * rows))  # matplotlib's own layouts take a second
        figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.36 / (2.3 * rows), wspace=0.06, hspace=0.25)
        cells: Any = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for cell in cells:
            cell.axis("off")
        for cell, picture, (text, colour) in zip(cells, shown, captions, strict=False):
            cell.imshow(picture.squeeze(-1) if picture.shape[-1] == 1 else picture, cmap="gray", vmin=0, vmax=255)
            cell.set_title(text, fontsize=8, color=colour, loc="center", pad=4)
    return Drawing(figure, f"{len(shown)} pictures")
