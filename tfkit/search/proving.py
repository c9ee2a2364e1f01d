"""Export one candidate, run it over the images that choose, time it, and judge it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import Artifact, Quantization
from tfkit.benchmarking import LatencyResult, measure_latency
from tfkit.data import ImageExamples
from tfkit.exporters import export_tflite
from tfkit.runtimes import open_runtime
from tfkit.runtimes.protocol import some_inputs
from tfkit.search.budget import Budget
from tfkit.search.result import Candidate, FloatLayer, TestJudgement, accuracy_drop_interval
from tfkit.search.training import Classroom
from tfkit.search.variants import Variant
from tfkit.verification import ArtifactVerification, reference_scores, verify_artifact

Progress = Callable[[int, int, str], None]
# Other work on the machine slows a second or two at a time; the best of some measurements is the file's own time.
_TIMINGS = 3


@dataclass(frozen=True, eq=False)
class Proof:
    """What was measured on one file."""

    artifact: Artifact
    verification: ArtifactVerification
    latency: LatencyResult


class Prover:
    """Exports and measures files of one search.

    Args:
        classroom: The float model and its images.
        scores_file: Where the float model's scores are kept (`.npy`), so that a resumed search need not run it again.
    """

    def __init__(self, classroom: Classroom, scores_file: Path) -> None:
        self._classroom, self._scores_file = classroom, scores_file
        self._scores: NDArray[np.float32] | None = None

    @property
    def examples(self) -> ImageExamples:
        """The images that choose."""
        return self._classroom.splits.validation

    @property
    def scores(self) -> NDArray[np.float32]:
        """The float model's scores on the images that choose, (n, classes)."""
        if self._scores is None and self._scores_file.is_file():
            self._scores = np.load(self._scores_file)
        if self._scores is None:
            self._scores = reference_scores(self._classroom.teacher, self.examples, self._classroom.image)
            unfinished = self._scores_file.with_name(f"unfinished-{self._scores_file.name}")
            np.save(unfinished, self._scores)
            unfinished.replace(self._scores_file)
        return self._scores

    def prove(
        self, model: keras.Model, path: Path, *, quantization: Quantization = "int8", progress: Progress | None = None
    ) -> Proof:
        """Export a model and measure the file.

        Args:
            model: A float model, or a quantisation-aware one.
            path: The file to write.
            quantization: Its kind.
            progress: Called with images done, images in all, and a text.

        Returns:
            What was measured.

        Raises:
            ExportError: When it cannot be exported so.
            ModelError: When the file cannot be run.
        """
        room = self._classroom
        artifact = export_tflite(
            model,
            path,
            quantization=quantization,
            spec=room.image,
            class_names=room.splits.class_names,
            calibration=room.calibration if quantization == "int8" else None,
        )
        report = (lambda done, total: progress(done, total, "images verified")) if progress else None
        with open_runtime(artifact, threads=1) as runtime:
            verification = verify_artifact(
                artifact, self.examples, reference=self.scores, runtime=runtime, progress=report
            )
            timings = [measure_latency(runtime, some_inputs(room.calibration, slice(1))) for _ in range(_TIMINGS)]
        latency = min(timings, key=lambda timing: timing.latency_ms_p50)
        return Proof(artifact, verification, latency)

    def judge(self, artifact: Artifact, *, name: str, looks: int, progress: Progress | None = None) -> TestJudgement:
        """Run a chosen file, and the float model, over the test images.

        Args:
            artifact: The file.
            name: The candidate's.
            looks: How many files this search has run on the test images, this one included.
            progress: Called with images done, images in all, and a text.

        Returns:
            What it does there.
        """
        room, examples = self._classroom, self._classroom.splits.test
        report = (lambda done, total: progress(done, total, "test images")) if progress else None
        wanted = reference_scores(room.teacher, examples, room.image)
        given = verify_artifact(artifact, examples, reference=wanted, progress=report)
        labels = np.asarray(examples.labels)
        float_right = wanted.argmax(axis=1) == labels
        low, high = accuracy_drop_interval(float_right, given.scores.argmax(axis=1) == labels)
        return TestJudgement(
            name=name,
            examples=len(examples),
            accuracy=given.quality.value if given.quality else 0.0,
            float_accuracy=float(float_right.mean()),
            agreement=given.agreement or 0.0,
            drop_low=low,
            drop_high=high,
            looks=looks,
        )


class Known(TypedDict):
    """What is known of a candidate before its file is proved; see `Candidate`."""

    variant: Variant
    checkpoint: str
    float_layers: tuple[FloatLayer, ...]
    parameters: int
    predicted_bytes: int | None
    predicted_latency_ms: float | None
    seconds: float


def judged(
    proof: Proof, *, budget: Budget, float_accuracy: float, directory: Path, **known: Unpack[Known]
) -> Candidate:
    """Bring what was measured on a file, and what is known of it, together, and hold it against the budget.

    Args:
        proof: What `Prover.prove` gave.
        budget: What is asked for.
        float_accuracy: The float model's accuracy on the images that choose.
        directory: The search's folder.
        **known: The other fields of `Candidate`.

    Returns:
        The candidate with the limits it misses.
    """
    verification, latency = proof.verification, proof.latency
    candidate = Candidate(
        file=proof.artifact.path.relative_to(directory).as_posix(),
        bytes=proof.artifact.bytes,
        accuracy=verification.quality.value if verification.quality else 0.0,
        agreement=verification.agreement or 0.0,
        latency_ms=latency.latency_ms_p50,
        latency_ms_p95=latency.latency_ms_p95,
        float_ops=verification.float_ops,
        operators=sum(verification.operators.values()),
        made_by=proof.artifact.made_by,
        misses=(),
        **known,
    )
    misses = (*verification.problems, *budget.misses(candidate, float_accuracy=float_accuracy))
    return Candidate(**{**vars(candidate), "misses": misses})
