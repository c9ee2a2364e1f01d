"""Everything a report says about one exported file: run over the whole split, timed and judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tfkit.artifacts import Artifact
from tfkit.reports.run_report import ArtifactResult, Evaluation, artifact_result

# Only for the type checker: these rooms load TensorFlow, and `tfkit --help` must not.
if TYPE_CHECKING:
    from tfkit.data import ImageExamples
    from tfkit.verification import AcceptancePolicy


def prove_artifact(
    artifact: Artifact,
    examples: ImageExamples,
    evaluation: Evaluation,
    *,
    policy: AcceptancePolicy,
    directory: Path,
    threads: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
) -> ArtifactResult:
    """Run an exported file over the evaluation split in its own runtime, time it, and judge it.

    Args:
        artifact: The file.
        examples: The evaluation split.
        evaluation: What the Keras model answered on the same split.
        policy: What the file must keep to.
        directory: The run's folder, which the file's name is told relative to.
        threads: CPU threads the file runs on.
        progress: Called with images done, images in all, and the file's name.

    Returns:
        One row of the report.

    Raises:
        ModelError: When the file cannot be loaded or run.
    """
    from tfkit.benchmarking import measure_latency
    from tfkit.data import pixel_batches
    from tfkit.runtimes import open_runtime
    from tfkit.verification import refusals, verify_artifact

    name = artifact.path.relative_to(directory).name

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress(done, total, name)

    verification = verify_artifact(artifact, examples, reference=evaluation.scores, threads=threads, progress=report)
    with open_runtime(artifact, threads=threads) as runtime:
        latency = measure_latency(runtime, next(pixel_batches(examples, artifact.image, batch_size=1)))
    reasons = refusals(verification, latency.latency_ms_p95, keras_accuracy=evaluation.keras, policy=policy)
    return artifact_result(verification, latency, reasons, directory=directory)
