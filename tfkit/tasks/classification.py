"""One class of several: softmax, cross-entropy, accuracy; of two classes also sensitivity and specificity."""

from typing import Any

import numpy as np

from tfkit.data.target_kinds.classes import CLASSES
from tfkit.tasks.task import Decision, Objective, Quality, Task


def _loss(labels: np.ndarray, label_smoothing: float) -> Any:
    import keras

    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)


def _metrics() -> list[Any]:
    import keras

    return [keras.metrics.CategoricalAccuracy(name="accuracy")]


def _given(scores: np.ndarray, decision: Decision) -> np.ndarray:
    """The class of each row, int (n,): of two, the second one from its threshold on."""
    if decision.thresholds and scores.shape[1] == 2:
        return (scores[:, 1] >= decision.thresholds[0]).astype(np.int64)
    return np.asarray(scores.argmax(axis=1))


def _quality(labels: np.ndarray, scores: np.ndarray, decision: Decision) -> Quality:
    """Accuracy; of two classes also the second one's sensitivity and specificity and the area under the ROC curve."""
    given = _given(scores, decision)
    figures = {"accuracy": float(np.mean(given == labels))}
    if scores.shape[1] == 2 and 0 < np.count_nonzero(labels) < len(labels):
        from sklearn.metrics import roc_auc_score  # a second to import

        figures["sensitivity"] = float(np.mean(given[labels == 1] == 1))
        figures["specificity"] = float(np.mean(given[labels == 0] == 0))
        if np.isfinite(scores).all():
            figures["roc_auc"] = float(roc_auc_score(labels, scores[:, 1]))
    return Quality(figures)


def _same(scores: np.ndarray, reference: np.ndarray, labels: np.ndarray, decision: Decision) -> np.ndarray:
    return np.asarray(_given(scores, decision) == _given(reference, decision))


def _chance(labels: np.ndarray, width: int) -> float:
    return 1 / width


def _thresholds(labels: np.ndarray, scores: np.ndarray, sensitivity: float | None) -> tuple[float, ...]:
    """A score of the second class at which the asked share of its examples is found, or more where that costs nothing.

    The highest such score has the best specificity; of those with the same the lowest is taken, which misses least.

    Args:
        labels: int (n,) of the validation split, 0 or 1.
        scores: float32 (n, 2), its scores.
        sensitivity: Share of the second class's examples to find, in (0, 1]; None keeps the larger score.
    """
    positive = np.sort(scores[labels == 1, 1]) if sensitivity is not None and scores.shape[1] == 2 else np.zeros(0)
    if sensitivity is None or not len(positive):
        return ()
    missed = int(np.floor(len(positive) * (1 - sensitivity) + 1e-9))
    highest = positive[min(missed, len(positive) - 1)]
    others = scores[labels != 1, 1]
    free = positive > others[others < highest].max(initial=-np.inf)
    return (float(positive[free][0]),)


def divergence(teacher: Any, student: Any, temperature: float) -> Any:
    """KL divergence of the softened answers, times T squared (Hinton et al. 2015, arXiv:1503.02531)."""
    from keras import ops

    wanted = ops.log_softmax(ops.cast(teacher, "float32") / temperature)
    given = ops.log_softmax(ops.cast(student, "float32") / temperature)
    return temperature**2 * ops.mean(ops.sum(ops.exp(wanted) * (wanted - given), axis=-1))


def _serve(scores: Any, names: tuple[str, ...], thresholds: tuple[float, ...]) -> dict[str, object]:
    import tensorflow as tf

    labels = tf.constant(names, tf.string)
    if thresholds:
        return {"labels": tf.where(scores[:, 1] >= thresholds[0], labels[1], labels[0]), "scores": scores}
    return {"labels": tf.gather(labels, tf.argmax(scores, axis=-1)), "scores": scores}


def _recalls(labels: np.ndarray, scores: np.ndarray, decision: Decision) -> list[float | None]:
    given = _given(scores, decision)
    members = [labels == place for place in range(scores.shape[1])]
    return [float(np.mean(given[one] == place)) if one.any() else None for place, one in enumerate(members)]


def _described(names: tuple[str, ...]) -> str:
    return "How likely each label is"


def _marked(scores: np.ndarray, decision: Decision) -> np.ndarray:
    return np.asarray(np.eye(scores.shape[1], dtype=bool)[_given(scores, decision)])


def _sureness(scores: np.ndarray) -> np.ndarray:
    return np.asarray(scores.max(axis=1, keepdims=True))


CLASSIFICATION = Task(
    name="classification",
    title="classification",
    noun="classifier",
    targets=CLASSES,
    output="scores",
    described=_described,
    activation="softmax",
    metric="accuracy",
    unit="accuracy",
    is_share=True,
    figures={
        "accuracy": "accuracy",
        "sensitivity": "sensitivity",
        "specificity": "specificity",
        "roc_auc": "area under the ROC curve",
    },
    objective=Objective(_loss, _metrics, divergence),
    quality=_quality,
    same=_same,
    chance=_chance,
    thresholds=_thresholds,
    given=_given,
    serve=_serve,
    by_output=_recalls,
    marked=_marked,
    sureness=_sureness,
    outside_notes={
        "softmax": "",
        "linear": "ends in linear units: the scores are logits, not probabilities; end it in softmax for those",
        "sigmoid": "ends in sigmoid units: the scores do not sum to 1; the largest is the class",
        "": "the scores are no probabilities: they need not sum to 1; the largest is the class",
    },
    pipelines={"image": "image-classification", "text": "text-classification"},
)
