"""What a detector learns from: which place answers for which box, and how far its answer is from that box."""

from typing import Any

import numpy as np

from tfkit.artifacts.box_grid import LEVELS, levels, side_of

_CENTRAL = 1.5  # strides: how far a place may lie from a box's middle to answer for it (Tian et al. 2020, FCOS)
_SMALLEST = 1 / 512  # an int8 score of 0 stands for no less: its logarithm is finite and still learns
_BOXES = 2.0  # weight of the boxes beside the scores


def detection_loss(wanted: Any, given: Any) -> Any:
    """The loss of each image's answers.

    Scores: quality focal loss, whose target at a place is how well its box fits (Li et al. 2020, arXiv:2006.04388).
    Boxes: generalised IoU (Rezatofighi et al. 2019, arXiv:1902.09630), weighted by the same fit's target.

    Args:
        wanted: Boxes, float32 (n, most, 5), as `tfkit.data.target_kinds.boxes` has them.
        given: A detector's answers, float32 (n, places, classes + 4).

    Returns:
        float32 (n,).

    Example:
        >>> nothing = np.full((1, 1, 5), -1, np.float32)
        >>> float(detection_loss(nothing, np.zeros((1, 84, 6), np.float32))[0]) < 0.01
        True
    """
    from keras import ops

    wanted, given = ops.cast(wanted, "float32"), ops.cast(given, "float32")
    scores = given[..., :-4]
    chosen, is_box = _answering(wanted, int(given.shape[1]))
    boxes = ops.take_along_axis(wanted, chosen[..., None], axis=1)
    classes = ops.cast(ops.maximum(boxes[..., 0], 0.0), "int32")
    fit, generalised = _fit(boxes[..., 1:], _corners(given))
    of_box = ops.cast(is_box, "float32")
    target = of_box * ops.stop_gradient(fit)
    targets = ops.one_hot(classes, int(scores.shape[-1])) * target[..., None]
    count = ops.maximum(ops.sum(of_box, axis=1), 1.0)
    certain = scores * (1 - 2 * _SMALLEST) + _SMALLEST
    entropy = -(targets * ops.log(certain) + (1 - targets) * ops.log(1 - certain))
    of_scores = ops.sum(ops.square(targets - scores) * entropy, axis=(1, 2)) / count
    of_boxes = ops.sum(of_box * (1 - generalised), axis=1) / count
    return of_scores + _BOXES * of_boxes


def box_fit(wanted: Any, given: Any) -> Any:
    """How well boxes fit at the places that answer for them, the mean intersection over union; float32 (n,)."""
    from keras import ops

    wanted, given = ops.cast(wanted, "float32"), ops.cast(given, "float32")
    chosen, is_box = _answering(wanted, int(given.shape[1]))
    fit, _ = _fit(ops.take_along_axis(wanted, chosen[..., None], axis=1)[..., 1:], _corners(given))
    of_box = ops.cast(is_box, "float32")
    return ops.sum(of_box * fit, axis=1) / ops.maximum(ops.sum(of_box, axis=1), 1.0)


def _corners(given: Any) -> Any:
    """Top, left, bottom and right of answers' boxes, not cut off at the image's border; float32 (n, places, 4)."""
    from keras import ops

    middle, half = given[..., -4:-2], given[..., -2:] / 2
    return ops.concatenate([middle - half, middle + half], axis=-1)


def _answering(wanted: Any, places: int) -> tuple[Any, Any]:
    """For each place the row of the box that it answers for, int32 (n, places), and whether there is one.

    It lies inside of the box and near its middle, on the map for boxes of that size, or nearest to it; of several boxes
    the smallest.
    """
    from keras import ops

    side = side_of(places)
    centres, of = levels(side)
    near = np.array([_CENTRAL * level.stride / side for level in of], np.float32)
    sizes = np.array([level.largest / side for level in of], np.float32)
    floors = np.array([_smaller(level.stride, side) for level in of], np.float32)
    top, left, bottom, right = (wanted[:, None, :, place] for place in (1, 2, 3, 4))
    down, across = (centres.astype(np.float32)[None, :, None, axis] for axis in (0, 1))
    inside = (down > top) & (down < bottom) & (across > left) & (across < right)
    central = ops.abs(down - (top + bottom) / 2) < near[None, :, None]
    central = central & (ops.abs(across - (left + right) / 2) < near[None, :, None])
    longer = ops.maximum(bottom - top, right - left)
    of_size = (longer <= sizes[None, :, None]) & (longer > floors[None, :, None])
    answers = inside & central & of_size
    # A thin box may lie between all places: then the nearest one answers.
    away = ops.square(down - (top + bottom) / 2) + ops.square(across - (left + right) / 2)
    nearest = ops.argmin(ops.where(of_size, away, np.inf), axis=1)
    answers = answers | ops.cast(ops.one_hot(nearest, places, axis=1), "bool")
    answers = answers & (wanted[:, None, :, 0] >= 0)
    area = ops.where(answers, (bottom - top) * (right - left), np.inf)
    return ops.cast(ops.argmin(area, axis=-1), "int32"), ops.any(answers, axis=-1)


def _smaller(stride: int, side: int) -> float:
    """The longer side from which boxes are of a map, as a share of the image."""
    finer = [level.largest for level in LEVELS if level.stride < stride]
    return max(finer, default=0.0) / side


def _fit(boxes: Any, corners: Any) -> tuple[Any, Any]:
    """Intersection over union of pairs of boxes, and the generalised one; float32 (n, places) each."""
    from keras import ops

    first = ops.maximum(boxes[..., :2], corners[..., :2])
    last = ops.minimum(boxes[..., 2:], corners[..., 2:])
    shared = ops.prod(ops.maximum(last - first, 0.0), axis=-1)
    areas = [ops.prod(ops.maximum(one[..., 2:] - one[..., :2], 0.0), axis=-1) for one in (boxes, corners)]
    either = areas[0] + areas[1] - shared + 1e-7
    around = ops.prod(
        ops.maximum(boxes[..., 2:], corners[..., 2:]) - ops.minimum(boxes[..., :2], corners[..., :2]), axis=-1
    )
    fit = shared / either
    return fit, fit - (around - either) / (around + 1e-7)
