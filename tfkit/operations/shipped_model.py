"""The file of a run that ships, asked about examples without labels; and what its Keras model sees in them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import RunDirectory, best_artifact, refuse_changed_files
from tfkit.data import Examples, LeftOut
from tfkit.errors import ModelError
from tfkit.inputs import input_of
from tfkit.opening import find_artifacts, is_keras_file, read_unlabelled
from tfkit.operations.values import TextTable
from tfkit.running import Display
from tfkit.tasks import task_named
from tfkit.terminal import import_tensorflow


class ShippedModel:
    """A run's int8 file where there is one, else its first.

    Args:
        run: The folder of a finished run.
        display: Where progress is shown.

    Attributes:
        run: The folder.
        artifact: The file.
        spec: What it takes.
        task: What is asked of it.
        noun: What an example is called.
        notes: Why its Keras model cannot be asked, in sentences; known once that was tried.

    Raises:
        ModelError: When the run exported nothing.
        ExportError: When a file has changed since the run ended.
    """

    def __init__(self, run: Path, display: Display) -> None:
        if run.is_dir() and is_keras_file(run):
            raise ModelError(f"'{run}' exported no file", hint="the file that ships is asked: give the recipe export:")
        self.run, self.display = RunDirectory(run), display
        self.artifact = best_artifact(find_artifacts(run))
        if run.is_dir():
            refuse_changed_files(run)
        self.spec = self.artifact.input
        self.task = task_named(self.artifact.task)
        if not self.task.answers_whole:
            raise ModelError(
                f"'{self.artifact.path}' is a {self.task.noun}; drift and label queues compare whole answers",
                hint="judge it on new examples: tfkit verify RUN --data FILE",
            )
        self.noun = input_of(self.spec).noun
        self.notes: list[str] = []

    def unlabelled(
        self, paths: Sequence[Path], *, at_most: int, seed: int, table: TextTable
    ) -> tuple[Examples, tuple[LeftOut, ...]]:
        """Examples that nobody has labelled, and those that cannot be read; see `read_unlabelled`."""
        return read_unlabelled(
            paths,
            self.spec,
            model=self.run.path,
            class_names=self.artifact.class_names,
            at_most=at_most,
            seed=seed,
            text_column=table.text_column,
            header=table.header,
        )

    def scores(self, title: str, examples: Examples) -> NDArray[np.float32]:
        """What the file answers, float32 (n, k).

        Raises:
            ModelError: When a score is no number.
        """
        from tfkit.runtimes import open_runtime
        from tfkit.verification import artifact_scores

        with self.display.stage(title) as stage, open_runtime(self.artifact) as runtime:
            scores = artifact_scores(runtime, self.artifact, examples, stage.progress)
            stage.result(f"{len(examples)} {self.noun}s")
        if not np.isfinite(scores).all():
            raise ModelError(f"'{self.artifact.path}' answers with scores that are no numbers (NaN or infinite)")
        return scores

    def vectors(self, examples: Examples, scores: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """What the model sees in examples, float32 (n, d).

        Args:
            examples: The images or texts.
            scores: What the file answers to them: of sentence embeddings, the vectors themselves.

        Returns:
            What the run's Keras model gives behind its pooling; None where there is none, and `notes` says why.
        """
        if not self.task.has_names:
            return scores
        model = self.run.float_model
        if not model.is_file():
            self.notes.append("the run's models/float.keras is not there: nothing is known of its features")
            return None
        import_tensorflow()
        from tfkit.models import feature_extractor, load_model_file
        from tfkit.verification import reference_scores

        try:
            extractor = feature_extractor(load_model_file(model))
        except ModelError as fault:
            self.notes.append(f"nothing is known of its features: {fault}")
            return None
        return reference_scores(extractor, examples, self.spec)
