"""Boxes with a class each: scores and corners at many places, mean average precision, answers matched box by box.

A model of it gives float32 (n, places, classes + 4); see `tfkit.models.build_detector`. What it found is what is left
when boxes of a lower score that cover one of a higher are taken away (non-maximum suppression).
"""

import contextlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkit.data.target_kinds.boxes import BOXES, NOTHING
from tfkit.errors import ModelError
from tfkit.tasks.boxes_found import COVERED, MOST, Found, found_boxes, matched
from tfkit.tasks.detection_loss import box_fit, detection_loss
from tfkit.tasks.task import AnswerTable, Decision, Objective, Quality, Task, Wrong

_SAME_OBJECT = 0.5  # intersection over union from which two boxes of a class are of one object (Pascal VOC)
_SAME_ANSWER = 0.75  # and from which two files' boxes are called the same
_LEAST = 0.01  # score of a box that mean average precision looks at
_HALF = 0.5


def _given(scores: np.ndarray, decision: Decision) -> list[Found]:
    return found_boxes(scores, _limits(decision))


def _limits(decision: Decision) -> "np.ndarray | float":
    return np.array(decision.thresholds, np.float32) if decision.thresholds else _HALF


def _true(labels: np.ndarray) -> list[Found]:
    """True boxes as found ones are written."""
    return [np.insert(rows[rows[:, 0] > NOTHING], 1, 1.0, axis=1).astype(np.float32) for rows in labels]


def refuse_without_coco() -> None:
    """Refuse a detector where its figures cannot be reckoned.

    Raises:
        ModelError: Says what to install.
    """
    try:
        import pycocotools  # noqa: F401
    except ImportError:
        raise ModelError(
            "the figures of detectors need pycocotools, which is not installed", hint="pip install 'tfkit[detection]'"
        ) from None


def average_precisions(labels: np.ndarray, scores: np.ndarray) -> NDArray[np.float64]:
    """Average precision of each class at each overlap from .5 to .95, by pycocotools: float (10, classes).

    Args:
        labels: True boxes, float32 (n, most, 5).
        scores: A detector's answers, float32 (n, places, classes + 4).

    Returns:
        NaN for a class that no image has.

    Raises:
        ModelError: When pycocotools is not installed.
    """
    refuse_without_coco()
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    count = scores.shape[-1] - 4
    images = [{"id": place} for place in range(len(labels))]
    true = [_as_coco(place, row) for place, rows in enumerate(_true(labels)) for row in rows]
    given = [_as_coco(place, row) for place, rows in enumerate(found_boxes(scores, _LEAST)) for row in rows]
    result = np.full((10, count), np.nan)
    if not true:
        return result
    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO()
        data.dataset = {
            "images": images,
            "categories": [{"id": number} for number in range(count)],
            "annotations": [{"id": number + 1, "iscrowd": 0, **one} for number, one in enumerate(true)],
        }
        data.createIndex()
        judged = COCOeval(data, data.loadRes(given) if given else _nothing(data), "bbox")
        judged.params.areaRng, judged.params.areaRngLbl = [[0, 1e10]], ["all"]
        judged.params.maxDets = [MOST]
        judged.evaluate()
        judged.accumulate()
    precision = judged.eval["precision"][..., 0, 0]  # (overlaps, recalls, classes)
    known = precision.max(axis=(0, 1)) >= 0
    result[:, known] = precision[:, :, known].mean(axis=1)
    return result


def _nothing(data: Any) -> Any:
    from pycocotools.coco import COCO

    empty = COCO()
    empty.dataset = {**data.dataset, "annotations": []}
    empty.createIndex()
    return empty


def _as_coco(image: int, row: np.ndarray) -> dict[str, Any]:
    number, score, top, left, bottom, right = map(float, row)
    height, width = (bottom - top) * 1000, (right - left) * 1000  # COCO counts in pixels, and takes halves of them off
    return {
        "image_id": image,
        "category_id": int(number),
        "bbox": [left * 1000, top * 1000, width, height],
        "area": height * width,
        "score": score,
    }


def _quality(labels: np.ndarray, scores: np.ndarray, decision: Decision) -> Quality:
    """Mean average precision at half an overlap and over ten, and what is found and right at the thresholds."""
    if not np.isfinite(scores).all():
        return Quality(dict.fromkeys(DETECTION.figures, 0.0))
    precisions = average_precisions(labels, scores)
    right, given, true = _counted(labels, scores, decision)
    return Quality(
        {
            "map50": float(np.nan_to_num(np.nanmean(precisions[0]))),
            "map": float(np.nan_to_num(np.nanmean(precisions))),
            "found": float(right.sum() / max(1, true.sum())),
            "right": float(right.sum() / max(1, given.sum())),
        }
    )


def _counted(labels: np.ndarray, scores: np.ndarray, decision: Decision) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each class how many boxes were rightly found, were given, and there are: int (classes,) each."""
    count = scores.shape[-1] - 4
    right, given, true = (np.zeros(count, np.int64) for _ in range(3))
    for answer, wanted in zip(_given(scores, decision), _true(labels), strict=True):
        found = matched(answer, wanted, _SAME_OBJECT) >= 0
        for held, rows in ((right, answer[found]), (given, answer), (true, wanted)):
            held += np.bincount(rows[:, 0].astype(np.int64), minlength=count)
    return right, given, true


def _same(scores: np.ndarray, reference: np.ndarray, labels: np.ndarray, decision: Decision) -> np.ndarray:
    """Of each image, the share of both models' boxes that the other has too; 1 where neither has any."""
    shares = []
    for ours, theirs in zip(_given(scores, decision), _given(reference, decision), strict=True):
        pairs = int(np.count_nonzero(matched(ours, theirs, _SAME_ANSWER) >= 0))
        shares.append(2 * pairs / (len(ours) + len(theirs)) if len(ours) + len(theirs) else 1.0)
    return np.array(shares)


def _chance(labels: np.ndarray, width: int) -> float:
    return 0.0


def _thresholds(labels: np.ndarray, scores: np.ndarray, sensitivity: float | None) -> tuple[float, ...]:
    """For each class the threshold with the best F1 on the validation split, or that finds the asked share of boxes.

    A class without validation boxes keeps one half.
    """
    count = scores.shape[-1] - 4
    rows: list[tuple[int, float, bool]] = []
    for answer, wanted in zip(found_boxes(scores, _LEAST), _true(labels), strict=True):
        hits = matched(answer, wanted, _SAME_OBJECT) >= 0
        rows += [(int(row[0]), float(row[1]), bool(hit)) for row, hit in zip(answer, hits, strict=True)]
    true = np.bincount(labels[..., 0][labels[..., 0] >= 0].astype(np.int64), minlength=count)
    return tuple(
        _best_threshold([row[1:] for row in rows if row[0] == place], int(true[place]), sensitivity)
        for place in range(count)
    )


def _best_threshold(rows: list[tuple[float, bool]], true: int, sensitivity: float | None) -> float:
    rows = sorted(rows, reverse=True)
    found = np.cumsum([hit for _, hit in rows]) if rows else np.zeros(0)
    if not true or not len(found) or not found[-1]:
        return _HALF
    if sensitivity is not None:
        enough = np.flatnonzero(found >= sensitivity * true - 1e-9)
        place = int(enough[0]) if len(enough) else len(rows) - 1
        while place + 1 < len(rows) and rows[place + 1][1]:  # right ones more cost nothing
            place += 1
    else:
        place = int((2 * found / (np.arange(1, len(rows) + 1) + true)).argmax())
    below = rows[place + 1][0] if place + 1 < len(rows) else 0.0
    return float((rows[place][0] + below) / 2)


def _by_class(labels: np.ndarray, scores: np.ndarray, decision: Decision) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in average_precisions(labels, scores)[0]]


def _marked(scores: np.ndarray, decision: Decision) -> np.ndarray:
    marked = np.zeros((len(scores), scores.shape[-1] - 4), bool)
    for place, found in enumerate(_given(scores, decision)):
        marked[place, found[:, 0].astype(np.int64)] = True
    return marked


def _shown(scores: np.ndarray, decision: Decision) -> np.ndarray:
    """The best score of each class."""
    return np.asarray(scores[..., :-4].max(axis=1))


def _answers(labels: np.ndarray, scores: np.ndarray, names: tuple[str, ...], decision: Decision) -> AnswerTable:
    precisions = average_precisions(labels, scores)
    right, given, true = _counted(labels, scores, decision)
    limits = np.broadcast_to(_limits(decision), len(names))
    rows = []
    for place, name in enumerate(names):
        known = [
            None if np.isnan(value) else float(value) for value in (precisions[0, place], precisions[:, place].mean())
        ]
        recall = float(right[place] / true[place]) if true[place] else None
        precision = float(right[place] / given[place]) if given[place] else None
        rows.append((name, float(true[place]), *known, float(limits[place]), recall, precision))
    return AnswerTable(
        title="How well each class is found",
        columns=(
            ("Class", "text"),
            ("Boxes", "count"),
            ("AP at half an overlap", "share"),
            ("AP, .5 to .95", "share"),
            ("Threshold", "fixed"),
            ("Found", "share"),
            ("Right when given", "share"),
        ),
        rows=tuple(rows),
        explained="A box is right when it shares half of the area that it and a true box of its class cover together "
        "(intersection over union), and that one is no other's. AP, average precision, does not depend on the "
        "threshold; pycocotools reckons it. Found (recall): of the true boxes, the share that was given. Right when "
        "given (precision): of the given boxes, the share that is right. Thresholds were chosen on the validation "
        "split.",
        output="at each of many places a score for each class and a box (middle row, middle column, height and width, "
        "as shares of the image); boxes that cover a better one are to be taken away",
        same="gives the same box",
        bars=("AP at half an overlap", tuple(row[2] for row in rows)),  # type: ignore[misc]
    )


def _wrong(labels: np.ndarray, scores: np.ndarray, names: tuple[str, ...], decision: Decision) -> list[Wrong]:
    """Images whose boxes are not all right, those with the fewest right ones first."""
    told: list[tuple[float, int, str]] = []
    for place, (answer, wanted) in enumerate(zip(_given(scores, decision), _true(labels), strict=True)):
        right = int(np.count_nonzero(matched(answer, wanted, _SAME_OBJECT) >= 0))
        if right < max(len(answer), len(wanted)):
            share = 2 * right / (len(answer) + len(wanted))
            told.append((share, place, f"{right} of {len(wanted)} found, {len(answer) - right} wrong"))
    return [(place, words) for _, place, words in sorted(told)]


def _loss(labels: np.ndarray, label_smoothing: float) -> Any:
    return detection_loss


def _metrics() -> list[Any]:
    import keras

    return [keras.metrics.MeanMetricWrapper(box_fit, name="box_fit")]


def _divergence(teacher: Any, student: Any, temperature: float) -> Any:
    """Squared differences of the scores, and of the boxes where the teacher sees something."""
    from keras import ops

    wanted, given = ops.cast(teacher, "float32"), ops.cast(student, "float32")
    scores = ops.sum(ops.square(wanted[..., :-4] - given[..., :-4]), axis=(1, 2))
    sure = ops.max(wanted[..., :-4], axis=-1, keepdims=True)
    boxes = ops.sum(sure * ops.square(wanted[..., -4:] - given[..., -4:]), axis=(1, 2))
    return ops.mean(scores + 4 * boxes)


def _serve(scores: Any, names: tuple[str, ...], thresholds: tuple[float, ...]) -> dict[str, object]:
    """The raw answers, and the boxes that are left: (n, 100), those behind `count` empty."""
    import tensorflow as tf

    limits = tf.constant(thresholds or _HALF, tf.float32)
    counted = tf.where(scores[..., :-4] >= limits, scores[..., :-4], 0.0)
    middle, half = scores[..., -4:-2], scores[..., -2:] / 2
    located = tf.concat([middle - half, middle + half], axis=-1)
    boxes, sure, classes, count = tf.image.combined_non_max_suppression(
        located[..., None, :], counted, MOST, MOST, iou_threshold=COVERED, score_threshold=1e-6
    )
    labels = tf.gather(tf.constant(names, tf.string), tf.cast(classes, tf.int32))
    return {"boxes": boxes, "confidences": sure, "labels": labels, "count": count, "scores": scores}


def _noted(decision: Decision) -> str:
    return "boxes as shares of the picture: top, left, bottom, right"


def _described(names: tuple[str, ...]) -> str:
    return "At each place how likely each class is, and a box: middle row, middle column, height, width, as shares"


DETECTION = Task(
    name="detection",
    title="object detection",
    noun="detector",
    targets=BOXES,
    output="scores",
    described=_described,
    activation="sigmoid",
    metric="map50",
    unit="mAP50",
    is_share=True,
    figures={
        "map50": "mean average precision at half an overlap",
        "map": "mean average precision, overlaps of .5 to .95",
        "found": "true boxes that were found",
        "right": "given boxes that are right",
    },
    objective=Objective(_loss, _metrics, _divergence),
    quality=_quality,
    same=_same,
    chance=_chance,
    given=_given,  # type: ignore[arg-type]  # as many boxes as there are in each image
    serve=_serve,
    thresholds=_thresholds,
    always_thresholds=True,
    answers=_answers,
    wrong=_wrong,
    by_output=_by_class,
    by_output_unit="AP at half an overlap",
    marked=_marked,
    shown=_shown,
    noted=_noted,
    refused=refuse_without_coco,
    pipelines={"image": "object-detection"},
    gives_several=True,
    answers_boxes=True,
)
