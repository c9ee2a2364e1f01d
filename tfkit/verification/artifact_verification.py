"""Run an exported model over a whole split through its real runtime, and compare it with Keras."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import OUTSIDE, Artifact
from tfkit.errors import DataError
from tfkit.inputs import input_batches, input_of
from tfkit.runtimes import (
    Operator,
    Portability,
    Runtime,
    SavedModelRuntime,
    open_runtime,
    read_operators,
    read_portability,
)
from tfkit.tasks import CLASSIFICATION, Decision, Quality, task_named
from tfkit.verification.input_probe import find_label_order

if TYPE_CHECKING:  # it starts TensorFlow, which nobody needs who only asks what a file is
    from tfkit.data import Examples

Progress = Callable[[int, int], None]

_BATCH = 32
# Two signatures of one model differ only in how sums are ordered for another batch size.
_SIGNATURES_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class ArtifactVerification:
    """What running an exported model over a split showed.

    Attributes:
        artifact: The model.
        examples: Images it was run on.
        quality: How good its answers are by its task, None when there are no labels to compare with.
        agreement: Share of images on which it and the reference give the same answer, of segmenters the share of all
            pixels; None without a reference.
        chance: The deciding figure of a model that has learned nothing, None when there are no labels.
        max_difference: Largest absolute difference of a score from the reference, None without one.
        mean_difference: Mean absolute difference of a score from the reference, None without one.
        float_ops: Operators of a `.tflite` file that compute in float; 0 for a SavedModel, whose graph is none.
        operators: How often each operator is in a `.tflite` file; empty for a SavedModel.
        problems: What makes the file unfit whatever its accuracy, in sentences; empty when it is fit.
        scores: float32 (n, classes), what it answered; (n, d) vectors of an embedder.
        compared: Further figures of how alike its answers and the reference's are, by name: `mean_cosine` and
            `min_cosine` of an embedder's vectors.
        portability: Which runtimes read a `.tflite` file; None for a SavedModel.
    """

    artifact: Artifact
    examples: int
    quality: Quality | None
    agreement: float | None
    max_difference: float | None
    mean_difference: float | None
    float_ops: int
    operators: dict[str, int]
    problems: tuple[str, ...]
    scores: NDArray[np.float32] = field(repr=False)
    compared: Mapping[str, float] = field(default_factory=dict)
    portability: Portability | None = None
    chance: float | None = None

    @property
    def accuracy(self) -> float | None:
        """`quality` in one number: of classes the share of right answers, else the figure that decides."""
        return None if self.quality is None else self.quality.value


def verify_artifact(
    artifact: Artifact,
    examples: "Examples",
    *,
    reference: NDArray[np.float32] | None,
    threads: int = 1,
    runtime: Runtime | None = None,
    progress: Progress | None = None,
    decision: Decision | None = None,
) -> ArtifactVerification:
    """Run an exported model over a split and compare it with Keras and with the labels.

    A `.tflite` file is run by LiteRT on fitted pixels or token ids, one image or text at a time. A SavedModel is
    loaded afresh by a process of its own and gets the encoded images, or the texts, through `serving_default`, so that
    decoding, resizing and tokenising inside it are proved too; `predict` on the pixels or token ids of the first ones
    must give the same scores.

    Args:
        artifact: The model.
        examples: The images or texts, and their labels.
        reference: float32 (n, classes), the scores of the model it was made from (`reference_scores`); None
            when there is no such model.
        threads: CPU threads.
        runtime: The artifact opened already, for callers who have more to do with it; None opens and closes one.
        progress: Called with (images or texts done, those in all).
        decision: What turns scores into answers: the tolerance of numbers, what an embedder's vectors are compared
            with. None for the artifact's own thresholds.

    Returns:
        What was found.

    Raises:
        ModelError: When the model cannot be loaded or run.
        DataError: When the labels do not fit the model, or `reference` has another shape than the scores.

    Example:
        >>> verify_artifact(artifact, splits.test, reference=reference).agreement  # doctest: +SKIP
        0.995
    """
    operators = read_operators(artifact.path) if artifact.format == "tflite" else ()
    task = task_named(artifact.task)
    with nullcontext(runtime) if runtime else open_runtime(artifact, threads=threads) as opened:
        scores = artifact_scores(opened, artifact, examples, progress)
        problems = [*_score_problems(scores), *_operator_problems(artifact, operators), *portability_problems(artifact)]
        if task.has_names:
            _check_classes(artifact, examples, scores)
        if task is CLASSIFICATION:
            problems += _order_problems(scores, examples)
        if isinstance(opened, SavedModelRuntime):
            problems += _signature_problems(opened, artifact, examples, scores)
    difference = None if reference is None else task.difference(scores, _fitting(reference, scores, artifact))
    decision = decision or Decision(artifact.thresholds)
    same = None if reference is None else task.same(scores, reference, examples.labels, decision)
    quality = task.judged(examples.labels, scores, decision)
    return ArtifactVerification(
        artifact=artifact,
        examples=len(examples),
        quality=quality,
        chance=None if quality is None else task.chance(examples.labels, scores.shape[-1]),
        agreement=None if same is None else float(same.mean()),
        compared={} if reference is None else task.compared(scores, reference),
        max_difference=None if difference is None else float(difference.max()),
        mean_difference=None if difference is None else float(difference.mean()),
        float_ops=sum(operator.is_float for operator in operators),
        operators=dict(Counter(operator.name for operator in operators).most_common()),
        problems=tuple(problems),
        scores=scores,
        portability=read_portability(artifact.path) if artifact.format == "tflite" else None,
    )


def _fitting(reference: NDArray[np.float32], scores: NDArray[np.float32], artifact: Artifact) -> NDArray[np.float32]:
    if np.shape(reference) != scores.shape:
        raise DataError(
            f"'{artifact.path}' gives scores of shape {scores.shape}; the reference has {np.shape(reference)}",
            hint="give reference_scores of the model that the file was made from, on the same examples",
        )
    return reference


def artifact_scores(
    runtime: Runtime, artifact: Artifact, examples: "Examples", progress: Progress | None = None
) -> NDArray[np.float32]:
    """What an exported model answers, as a client would ask it.

    Args:
        runtime: The model, opened.
        artifact: What it is.
        examples: The images or texts.
        progress: Called with (images or texts done, those in all).

    Returns:
        float32 (n, k).

    Raises:
        DataError: When there is none.
    """
    if len(examples) == 0:
        raise DataError("there is nothing to verify on", hint="give a folder or file with labelled examples in it")
    parts: list[NDArray[np.float32]] = []
    done = 0
    for part in _score_batches(runtime, artifact, examples):
        parts.append(part)
        done += len(part)
        if progress is not None:
            progress(done, len(examples))
    return np.concatenate(parts)


def _score_batches(runtime: Runtime, artifact: Artifact, examples: "Examples") -> Iterator[NDArray[np.float32]]:
    sent = input_of(artifact.input).sent
    if sent is not None and isinstance(runtime, SavedModelRuntime) and runtime.takes_encoded:
        for start in range(0, len(examples), _BATCH):
            chosen = examples.select(np.arange(start, min(start + _BATCH, len(examples))))
            yield runtime.scores_from_encoded(list(sent(chosen)))
    else:
        on_host = runtime.name == "litert"
        for feed in input_batches(examples, artifact.input, batch_size=_BATCH, on_host=on_host):
            yield runtime.scores(feed)


def _check_classes(artifact: Artifact, examples: "Examples", scores: NDArray[np.float32]) -> None:
    if artifact.class_names != examples.class_names:
        raise DataError(
            f"'{artifact.path}' has the classes {_listed(artifact.class_names)}; "
            f"the examples have {_listed(examples.class_names)}",
            hint="give examples of the model's own classes",
        )
    if examples.labels.ndim == 1 and int(examples.labels.max()) >= scores.shape[1]:
        raise DataError(
            f"'{artifact.path}' scores {scores.shape[1]} classes; the examples have label {int(examples.labels.max())}"
        )


def _listed(names: tuple[str, ...]) -> str:
    return f"{len(names)}: {', '.join(names[:5])}" + (", ..." if len(names) > 5 else "")


def _score_problems(scores: NDArray[np.float32]) -> list[str]:
    bad = int(np.sum(~np.isfinite(scores).reshape(len(scores), -1).all(axis=1)))
    return [f"{bad} of {len(scores)} answers have scores that are no numbers"] if bad else []


def _order_problems(scores: NDArray[np.float32], examples: "Examples") -> list[str]:
    order = find_label_order(scores, examples.labels, classes=len(examples.class_names))
    return [order.told(examples.class_names)] if order else []


def _operator_problems(artifact: Artifact, operators: tuple[Operator, ...]) -> list[str]:
    custom = sorted({operator.name for operator in operators if operator.custom})
    return [f"it needs operators that no plain interpreter has: {', '.join(custom)}"] if custom else []


def portability_problems(artifact: Artifact) -> tuple[str, ...]:
    """What in a file that tfkit wrote leads other runtimes astray, in phrases; nothing for a file from elsewhere.

    Args:
        artifact: The model.

    Returns:
        The faults; empty for a SavedModel.
    """
    if artifact.format != "tflite" or artifact.made_by == OUTSIDE:
        return ()
    return read_portability(artifact.path).faults


def _signature_problems(
    runtime: SavedModelRuntime, artifact: Artifact, examples: "Examples", scores: NDArray[np.float32]
) -> list[str]:
    if not (runtime.takes_encoded and runtime.numbers_signature.inputs):
        return []
    first = examples.select(np.arange(min(2 * _BATCH, len(examples))))
    found = np.concatenate(
        [runtime.scores(inputs) for inputs in input_batches(first, artifact.input, batch_size=_BATCH)]
    )
    if found.shape[1:] != scores.shape[1:]:
        return [f"predict gives {found.shape[1]} scores and serving_default {scores.shape[1]}"]
    difference = float(np.abs(found - scores[: len(first)]).max())
    if difference <= _SIGNATURES_TOLERANCE:
        return []
    return [
        f"predict on {input_of(artifact.input).holds} and serving_default on what clients send differ by up to "
        f"{difference:.3g} on the first {len(first)} examples"
    ]
