"""What a run proves: the answers of its Keras model and of every file, timed and judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfkit.artifacts import Artifact, ImageSpec, InputSpec, RunDirectory
from tfkit.inputs import input_batches, input_of
from tfkit.reports.findings import Evaluation
from tfkit.reports.gallery import Misclassified
from tfkit.reports.overlays import boxed, class_colours, overlaid
from tfkit.reports.run_report import ArtifactResult, artifact_result
from tfkit.reports.tensorboard import write_layer_errors, write_tensorboard_images
from tfkit.tasks import PLAIN, Decision

if TYPE_CHECKING:
    from tfkit.data import DatasetSplits, Examples
    from tfkit.reports.forgetting import EarlierAnswers
    from tfkit.verification import AcceptancePolicy


def evaluate(model: Any, test: Examples, spec: InputSpec, *, decision: Decision = PLAIN) -> Evaluation:
    """Run a model over the evaluation split.

    Args:
        model: A Keras classifier of raw pixels or of token ids, or a twin of the tfmot engine.
        test: The split.
        spec: The images or texts the model takes.
        decision: What turns scores into answers.

    Returns:
        Its answers: what every exported file is compared with.
    """
    from tfkit.compression.tfmot import TfKerasTwin
    from tfkit.verification import reference_scores

    if isinstance(model, TfKerasTwin):
        scores = np.concatenate([model.scores(*feed.values()) for feed in input_batches(test, spec, batch_size=64)])
    else:
        scores = reference_scores(model, test, spec)
    return Evaluation(test.class_names, test.labels, scores, test.names, decision)


def shown_of(examples: Examples, spec: InputSpec) -> Misclassified:
    """A function from positions in a split to what reports show of the examples there.

    Args:
        examples: The split.
        spec: What the model takes.

    Returns:
        From int64 (m,) positions to uint8 (m, height, width, channels) pixels, or m texts.
    """
    return lambda chosen: input_of(spec).shown(examples.select(chosen), spec)


def write_stage_pictures(
    log_dir: Path,
    splits: DatasetSplits,
    image: ImageSpec,
    evaluation: Evaluation,
    *,
    step: int,
    batch_options: Mapping[str, Any],
) -> None:
    """Write a stage's pictures for TensorBoard; see `write_tensorboard_images`.

    Args:
        log_dir: The stage's TensorBoard folder.
        splits: The images.
        image: What the model takes.
        evaluation: The model's answers after the stage.
        step: The epoch the pictures belong to.
        batch_options: Keyword arguments of `tfkit.data.training_batches`: augmentation as in training.
    """
    from tfkit.data import some_views

    views = {name: value for name, value in batch_options.items() if name not in ("batch_size", "cache_bytes")}
    seen, targets = some_views(splits.train, image, **views)
    if evaluation.task.answers_pixels:
        colours = class_colours(len(evaluation.class_names))
        seen = np.stack([overlaid(*pair, colours) for pair in zip(seen, targets, strict=True)])
    if evaluation.task.answers_boxes:
        colours, names = class_colours(len(evaluation.class_names)), evaluation.class_names
        seen = np.stack([boxed(*pair, names=names, colours=colours) for pair in zip(seen, targets, strict=True)])
    write_tensorboard_images(
        log_dir,
        seen=seen,
        seen_labels=_told_targets(targets, evaluation),
        evaluation=evaluation,
        misclassified_pixels=shown_of(splits.test, image),
        step=step,
    )


def _told_targets(targets: np.ndarray, evaluation: Evaluation) -> list[str]:
    """What the rows of training targets say; the larger of two classes that were mixed."""
    kind = evaluation.task.targets
    return [kind.told(row, evaluation.class_names) for row in kind.of_dense(targets)]


def prove_artifacts(
    artifacts: Sequence[Artifact],
    examples: Examples,
    evaluation: Evaluation,
    run: RunDirectory,
    *,
    policy: AcceptancePolicy,
    threads: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
    float_accuracy: float | None = None,
    earlier: EarlierAnswers | None = None,
) -> tuple[ArtifactResult, ...]:
    """Run every exported file over the evaluation split in its own runtime, time it, and judge it.

    Each layer's difference from the Keras model goes to TensorBoard, where it is known. A few inputs with each file's
    answers are kept in the run's `golden/`.

    Args:
        artifacts: The exported files of one model.
        examples: The evaluation split.
        evaluation: What the Keras model answered on the same split.
        run: The run's folder.
        policy: What a file must keep to.
        threads: CPU threads a file runs on.
        progress: Called with images or texts done, those in all (over all files), and the file's name.
        float_accuracy: What the model had before it was pruned or quantised; None when it was not. The files are
            judged against it too: `evaluation` knows the compressed model only.
        earlier: What the run that this one goes on from answers: a file must not forget more than may be.

    Returns:
        One row of the report for each file.

    Raises:
        ModelError: When a file cannot be loaded or run.
        RunError: When `golden/` cannot be written.
    """
    from tfkit.benchmarking import measure_latency
    from tfkit.runtimes import open_runtime, read_stored_weights
    from tfkit.verification import refusals, verify_artifact, write_golden_samples

    decision = replace(evaluation.decision, tolerance=policy.tolerance)
    one = next(input_batches(examples, artifacts[0].input, batch_size=1))
    verifications, results = [], []
    for number, artifact in enumerate(artifacts):
        report = _overall(progress, number, len(artifacts), artifact.path.relative_to(run.artifacts).as_posix())
        with open_runtime(artifact, threads=threads) as runtime:
            verification = verify_artifact(
                artifact,
                examples,
                reference=evaluation.scores,
                runtime=runtime,
                progress=report,
                decision=decision,
            )
            latency = measure_latency(runtime, one)
        reasons = refusals(
            verification,
            latency.latency_ms_p95,
            keras_accuracy=evaluation.keras,
            float_accuracy=float_accuracy,
            policy=policy,
            further=earlier.faults(examples.labels, verification.scores, decision) if earlier else (),
        )
        verifications.append(verification)
        stored = read_stored_weights(artifact.path) if artifact.format == "tflite" else None
        results.append(artifact_result(verification, latency, reasons, directory=run.path, stored=stored))
    write_layer_errors(run.tensorboard("quantization"), artifacts)
    write_golden_samples(verifications, examples, run.golden, spec=artifacts[0].input)
    return tuple(results)


def _overall(
    progress: Callable[[int, int, str], None] | None, number: int, files: int, name: str
) -> Callable[[int, int], None] | None:
    """One file's progress as a part of the progress over all files."""
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, files * total, name)
