"""Any of several labels at once: a sigmoid for each, F1, average precision, thresholds from the validation split."""

from typing import Any

import numpy as np

from tfkit.data.target_kinds.labels import LABELS
from tfkit.tasks.task import AnswerTable, Decision, Objective, Quality, Task, Wrong

_HALF = 0.5


def _loss(labels: np.ndarray, label_smoothing: float) -> Any:
    import keras

    return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)


def _metrics() -> list[Any]:
    import keras

    return [keras.metrics.AUC(name="auc", multi_label=True, from_logits=True)]


def _given(scores: np.ndarray, decision: Decision) -> np.ndarray:
    """The labels of each row, bool (n, k)."""
    return np.asarray(scores >= (np.array(decision.thresholds, np.float32) if decision.thresholds else _HALF))


def _quality(labels: np.ndarray, scores: np.ndarray, decision: Decision) -> Quality:
    """F1, average precision and ROC AUC, each the mean over the labels that occur; and equal label sets."""
    rows = label_figures(labels, scores, decision)
    figures = {"f1": _mean([row["f1"] for row in rows])}
    figures["map"] = _mean([row["average_precision"] for row in rows])
    figures["auc"] = _mean([row["auc"] for row in rows])
    figures["exact_sets"] = float(np.mean((_given(scores, decision) == (labels > 0)).all(axis=1)))
    return Quality(figures)


def label_figures(labels: np.ndarray, scores: np.ndarray, decision: Decision) -> list[dict[str, float | None]]:
    """The figures of each label on its own.

    Args:
        labels: uint8 (n, k), which labels are true.
        scores: float32 (n, k).
        decision: Their thresholds.

    Returns:
        For each label `examples` (how many have it), `threshold`, `precision`, `recall`, `f1`, `auc` and
        `average_precision`; None where a figure has no meaning because all or no examples have the label.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score  # a second to import

    given, true = _given(scores, decision), labels > 0
    rows: list[dict[str, float | None]] = []
    for place in range(labels.shape[1]):
        right = int(np.sum(given[:, place] & true[:, place]))
        called, there = int(given[:, place].sum()), int(true[:, place].sum())
        ranked = 0 < there < len(labels) and bool(np.isfinite(scores[:, place]).all())
        rows.append(
            {
                "examples": there,
                "threshold": decision.thresholds[place] if decision.thresholds else _HALF,
                "precision": right / called if called else None,
                "recall": right / there if there else None,
                "f1": 2 * right / (called + there) if there else None,
                "auc": float(roc_auc_score(true[:, place], scores[:, place])) if ranked else None,
                "average_precision": float(average_precision_score(true[:, place], scores[:, place]))
                if ranked
                else None,
            }
        )
    return rows


def _answers(labels: np.ndarray, scores: np.ndarray, names: tuple[str, ...], decision: Decision) -> AnswerTable:
    rows = label_figures(labels, scores, decision)
    keys = ("examples", "threshold", "recall", "precision", "f1", "auc", "average_precision")
    return AnswerTable(
        title="How well each label is found",
        columns=(
            ("Label", "text"),
            ("Examples", "count"),
            ("Threshold", "fixed"),
            ("Found", "share"),
            ("Right when given", "share"),
            ("F1", "share"),
            ("ROC AUC", "share"),
            ("Average precision", "share"),
        ),
        rows=tuple((name, *(row[key] for key in keys)) for name, row in zip(names, rows, strict=True)),
        explained="A label is given from its threshold on; thresholds were chosen on the validation split. "
        "Found (recall): of the examples with the label, the share that got it. Right when given (precision): of those "
        "that got it, the share that has it. ROC AUC and average precision do not depend on the threshold.",
        output="one score for each label, 0 to 1; several may be true at once, and they do not add up to 1",
        same="gives the same set of labels",
        bars=("F1", tuple(row["f1"] for row in rows)),
    )


def _f1s(labels: np.ndarray, scores: np.ndarray, decision: Decision) -> list[float | None]:
    return [row["f1"] for row in label_figures(labels, scores, decision)]


def _mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else 0.0


def _same(scores: np.ndarray, reference: np.ndarray, labels: np.ndarray, decision: Decision) -> np.ndarray:
    return np.asarray((_given(scores, decision) == _given(reference, decision)).all(axis=1))


def _chance(labels: np.ndarray, width: int) -> float:
    """F1 of giving every label to every example is the best that can be had without looking."""
    share = (labels > 0).mean(axis=0)
    return float(np.mean(2 * share[share > 0] / (1 + share[share > 0]))) if (share > 0).any() else 0.0


def _thresholds(labels: np.ndarray, scores: np.ndarray, sensitivity: float | None) -> tuple[float, ...]:
    """For each label the threshold with the best F1 on the validation split, or that finds the asked share.

    A label without validation examples keeps one half. Between two scores the middle is taken.
    """
    return tuple(
        _best_threshold(labels[:, place] > 0, scores[:, place].astype(np.float64), sensitivity)
        for place in range(scores.shape[1])
    )


def _best_threshold(true: np.ndarray, scores: np.ndarray, sensitivity: float | None) -> float:
    if not true.any() or true.all():
        return _HALF
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(true[order])
    called = np.arange(1, len(scores) + 1)
    f1 = 2 * found / (called + true.sum())
    last_of_its_score = np.append(np.diff(scores[order]) != 0, True)
    if sensitivity is not None:
        enough = (found >= sensitivity * true.sum() - 1e-9) & last_of_its_score
        wrong = called - found
        # Of those that find enough with the fewest wrong ones the last, which misses least.
        place = int(np.flatnonzero(enough & (wrong == wrong[enough][0]))[-1])
    else:
        place = int(np.where(last_of_its_score, f1, -1).argmax())
    below = scores[order[place + 1]] if place + 1 < len(scores) else 0.0
    return float(np.clip((scores[order[place]] + below) / 2, 0.0, 1.0))


def _divergence(teacher: Any, student: Any, temperature: float) -> Any:
    """KL divergence of each label's softened answer, summed over the labels, times T squared."""
    from keras import ops

    wanted, given = (ops.cast(logits, "float32") / temperature for logits in (teacher, student))
    true = ops.sigmoid(wanted)
    yes = ops.log_sigmoid(wanted) - ops.log_sigmoid(given)
    no = ops.log_sigmoid(-wanted) - ops.log_sigmoid(-given)
    return temperature**2 * ops.mean(ops.sum(true * yes + (1 - true) * no, axis=-1))


def _serve(scores: Any, names: tuple[str, ...], thresholds: tuple[float, ...]) -> dict[str, object]:
    """The name of each label that reaches its threshold, and nothing in the place of the others."""
    import tensorflow as tf

    labels, limits = tf.constant(names, tf.string), tf.constant(thresholds or _HALF, tf.float32)
    return {"labels": tf.where(scores >= limits, labels[None], tf.constant("")), "scores": scores}


def _wrong(labels: np.ndarray, scores: np.ndarray, names: tuple[str, ...], decision: Decision) -> list[Wrong]:
    """Label sets that are not the true ones, the surest first."""
    given, true = _given(scores, decision), labels > 0
    limits = np.array(decision.thresholds or _HALF)
    margin = np.where(given != true, np.abs(scores - limits), -1.0).max(axis=1)
    places = [int(place) for place in np.argsort(-margin, kind="stable") if margin[place] >= 0]
    return [(place, LABELS.told(given[place], names)) for place in places]


def _sureness(scores: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(scores, 1 - scores))


def _noted(decision: Decision) -> str:
    limits = "their own thresholds" if decision.thresholds else "0.5"
    return f"several labels may be true at once: those that reach {limits} are given"


def _described(names: tuple[str, ...]) -> str:
    return "How likely each label is"


MULTILABEL = Task(
    name="multilabel",
    title="multi-label classification",
    noun="classifier of several labels",
    targets=LABELS,
    output="scores",
    described=_described,
    activation="sigmoid",
    metric="f1",
    unit="F1",
    is_share=True,
    figures={
        "f1": "F1, mean over the labels",
        "map": "mean average precision",
        "auc": "area under the ROC curve, mean over the labels",
        "exact_sets": "all labels right",
    },
    objective=Objective(_loss, _metrics, _divergence),
    quality=_quality,
    same=_same,
    chance=_chance,
    thresholds=_thresholds,
    always_thresholds=True,
    given=_given,
    serve=_serve,
    answers=_answers,
    wrong=_wrong,
    by_output=_f1s,
    by_output_unit="F1",
    marked=_given,
    sureness=_sureness,
    output_noun="label",
    noted=_noted,
    outside_notes={
        "sigmoid": "ends in sigmoid units: scores of several labels that do not sum to 1; each label of .5 or more is "
        "given (--task classification: only the largest)"
    },
    pipelines={"image": "image-classification", "text": "text-classification"},
    gives_several=True,
)
