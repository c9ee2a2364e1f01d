"""A number or several: linear outputs in the targets' own units, squared error, R2."""

from typing import Any

import numpy as np

from tfkit.data.target_kinds.numbers import NUMBERS
from tfkit.data.targets import mean_and_deviation
from tfkit.tasks.task import AnswerTable, Decision, Objective, Quality, Task, Wrong

# Two numbers are called the same when they lie no further apart than this share of the targets' standard deviation.
TOLERANCE = 0.1


def _loss(labels: np.ndarray, label_smoothing: float) -> Any:
    """Mean squared error of standardised numbers: a price in euros and an age in years weigh the same."""
    import keras

    scale = mean_and_deviation(labels)[1]

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


def _answers(labels: np.ndarray, scores: np.ndarray, names: tuple[str, ...], decision: Decision) -> AnswerTable:
    tolerance, bias = tolerances(labels, decision), (scores - labels).mean(axis=0)
    rows = []
    for place, name in enumerate(names):
        own = _quality(labels[:, [place]], scores[:, [place]], decision).figures
        low, high = float(labels[:, place].min()), float(labels[:, place].max())
        figures = (own["r2"], own["mae"], own["rmse"], float(bias[place]))
        rows.append((name, *figures, f"{low:.4g} to {high:.4g}", float(tolerance[place])))
    return AnswerTable(
        title="How near the numbers are",
        columns=(
            ("Number", "text"),
            ("R²", "number"),
            ("Mean absolute error", "number"),
            ("Root mean squared error", "number"),
            ("Bias", "signed"),
            ("True values", "text"),
            ("Same within", "number"),
        ),
        rows=tuple(rows),
        explained="R² is the share of the numbers' variance that the model explains: 1 is exact, 0 is no better than "
        "their mean. Bias: how far the answers lie too high (+) or too low on average. Two answers are called the same "
        "when they lie no further apart than the last column says. All errors are in the numbers' own units.",
        output="a number for each of " + ", ".join(names),
        same="is within the tolerance",
        scattered=True,
    )


def _r2s(labels: np.ndarray, scores: np.ndarray, decision: Decision) -> list[float | None]:
    places = range(labels.shape[1])
    return [_quality(labels[:, [place]], scores[:, [place]], decision).figures["r2"] for place in places]


def tolerances(labels: np.ndarray, decision: Decision) -> np.ndarray:
    """How far two answers may lie apart and still be called the same, float (k,), in the targets' units."""
    if decision.tolerance is not None:
        return np.full(labels.shape[1], decision.tolerance)
    return np.asarray(TOLERANCE * mean_and_deviation(labels)[1])


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


def _wrong(labels: np.ndarray, scores: np.ndarray, names: tuple[str, ...], decision: Decision) -> list[Wrong]:
    """All answers, those furthest off first, in standard deviations of the true numbers."""
    scale = np.maximum(labels.std(axis=0), 1e-12)
    off = (np.abs(scores - labels) / scale).max(axis=1)
    return [(int(place), NUMBERS.told(scores[place], names)) for place in np.argsort(-off, kind="stable")]


def _marked(scores: np.ndarray, decision: Decision) -> np.ndarray:
    return np.ones(scores.shape, bool)


def _described(names: tuple[str, ...]) -> str:
    return f"In their own units: {', '.join(names)}"


REGRESSION = Task(
    name="regression",
    title="regression",
    noun="regressor",
    targets=NUMBERS,
    output="values",
    described=_described,
    activation="linear",
    metric="r2",
    unit="R²",
    is_share=False,
    figures={"r2": "R²", "mae": "mean absolute error", "rmse": "root mean squared error"},
    objective=Objective(_loss, _metrics, _divergence),
    quality=_quality,
    same=_same,
    chance=_chance,
    given=_given,
    serve=_serve,
    answers=_answers,
    wrong=_wrong,
    by_output=_r2s,
    by_output_unit="R²",
    marked=_marked,
    output_noun="number",
    figure_noun="value",
    has_labels=False,
)
