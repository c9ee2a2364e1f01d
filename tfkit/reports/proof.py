"""Everything a report says about the exported files: run over the whole split, timed and judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tfkit.artifacts import Artifact, RunDirectory
from tfkit.reports.run_report import ArtifactResult, Evaluation, artifact_result
from tfkit.reports.tensorboard import write_layer_errors

# Only for the type checker: these rooms load TensorFlow, and `tfkit --help` must not.
if TYPE_CHECKING:
    from tfkit.data import Examples
    from tfkit.verification import AcceptancePolicy


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

    Returns:
        One row of the report for each file.

    Raises:
        ModelError: When a file cannot be loaded or run.
        RunError: When `golden/` cannot be written.
    """
    from tfkit.benchmarking import measure_latency
    from tfkit.data import input_batches
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
