"""A class for each pixel: softmax, cross-entropy, mean intersection over union, boundaries.

Masks are uint8 (n, height, width), positions of classes; pixels of 255 are neither learned nor judged.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkit.data.masks import IGNORED
from tfkit.data.target_kinds.masks import MASKS
from tfkit.tasks.classification import divergence
from tfkit.tasks.task import AnswerTable, Decision, Objective, Quality, Task, Wrong

# A boundary is found when one of the answer's lies within this share of the image's diagonal, as in Csurka et al. 2013.
BOUNDARY_REACH = 0.0075


def _loss(labels: np.ndarray, label_smoothing: float) -> Any:
    import keras

    if not label_smoothing:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=IGNORED)

    def smoothed(wanted: Any, given: Any) -> Any:
        asked = keras.ops.not_equal(wanted, IGNORED)
        places = keras.ops.cast(keras.ops.where(asked, wanted, 0), "int32")
        targets = keras.ops.one_hot(places, given.shape[-1]) * (1 - label_smoothing)
        losses = keras.losses.categorical_crossentropy(
            targets + label_smoothing / given.shape[-1], given, from_logits=True
        )
        asked = keras.ops.cast(asked, losses.dtype)
        # As Keras does for an ignored class: the mean over the pixels that are asked of.
        return keras.ops.sum(losses * asked) / keras.ops.maximum(keras.ops.sum(asked), 1.0)

    return smoothed


def _metrics() -> list[Any]:
    import keras

    def pixel_accuracy(wanted: Any, given: Any) -> Any:
        """Of each image, the share of pixels with the right class."""
        asked = keras.ops.not_equal(wanted, IGNORED)
        right = keras.ops.equal(keras.ops.cast(keras.ops.argmax(given, axis=-1), wanted.dtype), wanted)
        counted = keras.ops.sum(keras.ops.cast(asked, "float32"), axis=(1, 2))
        found = keras.ops.sum(keras.ops.cast(keras.ops.logical_and(right, asked), "float32"), axis=(1, 2))
        return found / keras.ops.maximum(counted, 1.0)

    return [keras.metrics.MeanMetricWrapper(pixel_accuracy, name="pixel_accuracy")]


def _given(scores: np.ndarray, decision: Decision) -> np.ndarray:
    """The class of each pixel, uint8 (n, height, width): the first of those with the largest score."""
    return np.concatenate([mask.argmax(axis=-1)[None].astype(np.uint8) for mask in scores])


def confusion(labels: np.ndarray, given: np.ndarray, classes: int) -> NDArray[np.int64]:
    """How many pixels of each class were given each: int (classes, classes), rows are true classes.

    Args:
        labels: uint8 (n, height, width), 255 for pixels that are not judged.
        given: uint8 (n, height, width).
        classes: How many there are.

    Example:
        >>> confusion(np.array([[[0, 1, 255]]], np.uint8), np.array([[[0, 0, 0]]], np.uint8), 2).tolist()
        [[1, 0], [1, 0]]
    """
    counts = np.zeros(classes * classes, np.int64)
    for mask, answer in zip(labels, given, strict=True):
        judged = mask != IGNORED
        counts += np.bincount(mask[judged].astype(np.int64) * classes + answer[judged], minlength=classes * classes)
    return counts.reshape(classes, classes)


def intersections_over_unions(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each class what answer and truth share of all that either covers; NaN where neither has a pixel.

    Example:
        >>> intersections_over_unions(np.array([[2, 0], [2, 0]])).tolist()
        [0.5, 0.0]
    """
    both = np.diag(counts).astype(np.float64)
    either = counts.sum(axis=0) + counts.sum(axis=1) - both
    return np.asarray(np.divide(both, either, out=np.full(len(counts), np.nan), where=either > 0))


def _quality(labels: np.ndarray, scores: np.ndarray, decision: Decision) -> Quality:
    """Mean IoU over the classes that occur in truth or answer, share of right pixels, F1 of the boundaries.

    Pixels are counted over the whole split, as benchmarks do, not image by image.
    """
    given = _given(scores, decision)
    counts = confusion(labels, given, scores.shape[-1])
    figures = {
        "miou": float(np.nan_to_num(np.nanmean(intersections_over_unions(counts)))),
        "pixel_accuracy": float(np.trace(counts) / max(1, counts.sum())),
        "boundary_f1": float(np.nan_to_num(np.nanmean(boundary_f1(labels, given, scores.shape[-1])))),
    }
    if not np.isfinite(scores).all():
        figures = dict.fromkeys(figures, 0.0)
    return Quality(figures)


def boundary_f1(labels: np.ndarray, given: np.ndarray, classes: int) -> NDArray[np.float64]:
    """F1 of each class's boundary, the mean over the images that show the class or are given it (Csurka et al. 2013).

    A pixel lies on a class's boundary when it is of the class and one beside it, above or below it is not; the border
    of the image and pixels that are not judged are no boundary. It is found when a pixel of the other boundary lies
    within `BOUNDARY_REACH` of the diagonal.

    Args:
        labels: uint8 (n, height, width), 255 for pixels that are not judged.
        given: uint8 (n, height, width).
        classes: How many there are.

    Returns:
        float (classes,); NaN for a class without a boundary anywhere.

    Example:
        >>> half = np.repeat(np.array([[[0, 0, 1, 1]]], np.uint8), 4, axis=1)
        >>> boundary_f1(half, half, 2).tolist()
        [1.0, 1.0]
    """
    reach = max(1.0, BOUNDARY_REACH * float(np.hypot(*labels.shape[1:])))
    total, images = np.zeros(classes), np.zeros(classes)
    for mask, answer in zip(labels, given, strict=True):
        judged = mask != IGNORED
        for number in np.union1d(mask[judged], answer[judged]):
            true, found = (np.argwhere(_boundary(held == number, judged)) for held in (mask, answer))
            images[number] += bool(len(true) or len(found))
            if len(true) and len(found):
                precision, recall = _near(found, true, reach), _near(true, found, reach)
                total[number] += 2 * precision * recall / max(precision + recall, 1e-12)
    return np.asarray(np.divide(total, images, out=np.full(classes, np.nan), where=images > 0))


def _near(points: NDArray[np.int64], others: NDArray[np.int64], reach: float) -> float:
    """The share of some points within reach of one of the others."""
    from scipy.spatial import cKDTree  # it takes a moment to import

    distances, _ = cKDTree(others).query(points, distance_upper_bound=reach + 1e-6)
    return float(np.mean(np.isfinite(distances)))


def _boundary(inside: NDArray[np.bool_], judged: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a class beside judged ones that are not of it."""
    outside = judged & ~inside
    beside = np.zeros_like(inside)
    beside[1:] |= outside[:-1]
    beside[:-1] |= outside[1:]
    beside[:, 1:] |= outside[:, :-1]
    beside[:, :-1] |= outside[:, 1:]
    return inside & judged & beside


def _same(scores: np.ndarray, reference: np.ndarray, labels: np.ndarray, decision: Decision) -> np.ndarray:
    """Of each image, the share of pixels of the same class, those that are not judged among them."""
    same: np.ndarray = (_given(scores, decision) == _given(reference, decision)).mean(axis=(1, 2))
    return same


def _chance(labels: np.ndarray, width: int) -> float:
    """Mean IoU of calling every pixel the commonest class."""
    counts = np.bincount(labels.ravel(), minlength=IGNORED + 1)[:IGNORED]
    occurring = max(1, int(np.count_nonzero(counts)))
    return float(counts.max() / max(1, counts.sum()) / occurring)


def _answers(labels: np.ndarray, scores: np.ndarray, names: tuple[str, ...], decision: Decision) -> AnswerTable:
    given = _given(scores, decision)
    counts = confusion(labels, given, len(names))
    shared, edges = intersections_over_unions(counts), boundary_f1(labels, given, len(names))
    true, called, right = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
    rows = []
    for place, name in enumerate(names):
        figures = (shared[place], right[place] / max(1, true[place]), right[place] / max(1, called[place]))
        known = (not np.isnan(shared[place]), bool(true[place]), bool(called[place]))
        told = [float(figure) if is_known else None for figure, is_known in zip(figures, known, strict=True)]
        edge = None if np.isnan(edges[place]) else float(edges[place])
        rows.append((name, float(true[place] / max(1, counts.sum())), *told, edge))
    return AnswerTable(
        title="How well each class is outlined",
        columns=(
            ("Class", "text"),
            ("Share of pixels", "share"),
            ("IoU", "share"),
            ("Found", "share"),
            ("Right when given", "share"),
            ("Boundary F1", "share"),
        ),
        rows=tuple(rows),
        explained="IoU (intersection over union): of the pixels that are of a class or were given it, the share that "
        "is both; its mean over the classes decides. Found (recall): of a class's pixels, the share that was given it. "
        "Right when given (precision): of the pixels that were given it, the share that is. Boundary F1: how much of "
        f"the outlines lies within {100 * BOUNDARY_REACH:.2f} % of the image's diagonal of each other. Masks are "
        "compared at the model's own size; pixels left out of the masks do not count.",
        output="a score for each class at each pixel, 0 to 1, that add up to 1; the largest is the pixel's class",
        same="gives the same class",
        bars=("IoU", tuple(None if np.isnan(value) else float(value) for value in shared)),
    )


def _ious(labels: np.ndarray, scores: np.ndarray, decision: Decision) -> list[float | None]:
    shared = intersections_over_unions(confusion(labels, _given(scores, decision), scores.shape[-1]))
    return [None if np.isnan(value) else float(value) for value in shared]


def _serve(scores: Any, names: tuple[str, ...], thresholds: tuple[float, ...]) -> dict[str, object]:
    import tensorflow as tf

    return {"classes": tf.argmax(scores, axis=-1, output_type=tf.int32), "scores": scores}


def _wrong(labels: np.ndarray, scores: np.ndarray, names: tuple[str, ...], decision: Decision) -> list[Wrong]:
    """All masks, those with the fewest right pixels first."""
    judged = labels != IGNORED
    right = ((_given(scores, decision) == labels) & judged).sum(axis=(1, 2)) / judged.sum(axis=(1, 2))
    order = np.argsort(right, kind="stable")
    return [(int(place), f"{100 * right[place]:.1f} % of its pixels right") for place in order]


def _shares(scores: np.ndarray, decision: Decision) -> np.ndarray:
    """Of each mask the share of pixels of each class: float (n, k)."""
    masks, classes = _given(scores, decision), scores.shape[-1]
    return np.array([np.bincount(mask.ravel(), minlength=classes) / mask.size for mask in masks])


def _marked(scores: np.ndarray, decision: Decision) -> np.ndarray:
    return np.asarray(_shares(scores, decision) > 0)


def _noted(decision: Decision) -> str:
    return "shares of the pixels"


def _described(names: tuple[str, ...]) -> str:
    return "How likely each class is, at each pixel"


SEGMENTATION = Task(
    name="segmentation",
    title="segmentation",
    noun="segmenter",
    targets=MASKS,
    output="scores",
    described=_described,
    activation="softmax",
    metric="miou",
    unit="mean IoU",
    is_share=True,
    figures={
        "miou": "mean IoU",
        "pixel_accuracy": "right pixels",
        "boundary_f1": "F1 of the boundaries, mean over the classes",
    },
    objective=Objective(_loss, _metrics, divergence),
    quality=_quality,
    same=_same,
    chance=_chance,
    given=_given,
    serve=_serve,
    answers=_answers,
    wrong=_wrong,
    by_output=_ious,
    by_output_unit="IoU",
    marked=_marked,
    shown=_shares,
    figure_noun="share",
    noted=_noted,
    outside_notes={"softmax": "", "": "the scores of a pixel are no probabilities; the largest is its class"},
    pipelines={"image": "image-segmentation"},
    gives_several=True,
    answers_pixels=True,
)
