"""A number or several: linear outputs in the targets' own units, squared error, R2."""

from typing import Any

import numpy as np

from tfkit.tasks.task import Decision, Objective, Quality, Task

# Two numbers are called the same when they lie no further apart than this share of the targets' standard deviation.
TOLERANCE = 0.1


def spread(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each number, float32 (k,); a number that never changes has a deviation of 1."""
    deviation = labels.std(axis=0)
    return labels.mean(axis=0), np.where(deviation > 1e-12, deviation, 1.0).astype(np.float32)


def _loss(labels: np.ndarray, label_smoothing: float) -> Any:
    """Mean squared error of standardised numbers: a price in euros and an age in years weigh the same."""
    import keras

    scale = spread(labels)[1]

    def standardised_error(wanted: Any, given: Any) -> Any:
        return keras.ops.mean(keras.ops.square((keras.ops.cast(wanted, given.dtype) - given) / scale), axis=-1)

    return standardised_error


def _metrics() -> list[Any]:
    import keras

    return [keras.metrics.MeanAbsoluteError(name="mae")]


def _given(scores: np.ndarray, decision: Decision) -> np.ndarray:
    return scores


def _quality(labels: np.ndarray, scores: np.ndarray, decision: Decision) -> Quality:
    """R2, of several numbers its mean; of one number also its errors, for years and euros have none in common."""
    error = scores.astype(np.float64) - labels
    scale = labels.astype(np.float64).var(axis=0)
    squared = np.square(error).mean(axis=0)
    r2 = 1 - squared / np.where(scale > 1e-12, scale, 1.0)
    figures = {"r2": float(r2.mean())}
    if labels.shape[1] == 1:
        figures |= {"mae": float(np.abs(error).mean()), "rmse": float(np.sqrt(squared).mean())}
    return Quality({name: value if np.isfinite(value) else -np.inf for name, value in figures.items()})


def tolerances(labels: np.ndarray, decision: Decision) -> np.ndarray:
    """How far two answers may lie apart and still be called the same, float (k,), in the targets' units."""
    if decision.tolerance is not None:
        return np.full(labels.shape[1], decision.tolerance)
    return np.asarray(TOLERANCE * spread(labels)[1])


def _same(scores: np.ndarray, reference: np.ndarray, labels: np.ndarray, decision: Decision) -> np.ndarray:
    return np.asarray((np.abs(scores - reference) <= tolerances(labels, decision)).all(axis=1))


def _chance(labels: np.ndarray, width: int) -> float:
    return 0.0  # R2 of answering with the mean


def _divergence(teacher: Any, student: Any, temperature: float) -> Any:
    """Mean squared difference, as a share of the teacher's spread in the batch; numbers have no temperature."""
    from keras import ops

    wanted, given = ops.cast(teacher, "float32"), ops.cast(student, "float32")
    scale = ops.var(wanted, axis=0) + 1e-7
    return ops.mean(ops.square(wanted - given) / scale)


def _serve(scores: Any, names: tuple[str, ...], thresholds: tuple[float, ...]) -> dict[str, object]:
    return {"values": scores}


def _described(names: tuple[str, ...]) -> str:
    return f"In their own units: {', '.join(names)}"


REGRESSION = Task(
    name="regression",
    title="regression",
    noun="regressor",
    targets="numbers",
    output="values",
    described=_described,
    activation="linear",
    metric="r2",
    unit="R²",
    is_share=False,
    objective=Objective(_loss, _metrics, _divergence),
    quality=_quality,
    same=_same,
    chance=_chance,
    given=_given,
    serve=_serve,
    has_labels=False,
)
