"""Which questions are not answered and which replies not given: what a run's classifier of texts says of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfkit import artifacts
from tfkit.artifacts import TextSpec
from tfkit.errors import ModelError
from tfkit.stages.replying import Refuses


def refuses_by_run(run: str, labels: Sequence[str]) -> Refuses:
    """What tells which texts a run of finetune_text gives one of some labels.

    Args:
        run: Its folder.
        labels: The labels with which nothing is answered.

    Raises:
        ModelError: When it is no classifier of texts, or knows no such label.
    """
    file = artifacts.best_artifact(artifacts.read_manifest(artifacts.RunDirectory(Path(run)).artifacts))
    if not isinstance(file.input, TextSpec) or not file.class_names:
        raise ModelError(f"filters.toxicity: '{run}' is no classifier of texts", hint="name a run of finetune_text")
    if missing := [label for label in labels if label not in file.class_names]:
        raise ModelError(
            f"filters.toxic: '{run}' has no label {', '.join(missing)}; it has {', '.join(file.class_names)}",
            hint="name labels of that run",
        )

    def refuses(texts: Sequence[str]) -> NDArray[np.bool_]:
        from tfkit.data.text import TextExamples
        from tfkit.inputs import input_batches
        from tfkit.runtimes import open_runtime
        from tfkit.tasks import Decision, task_named

        examples = TextExamples(
            tuple(texts), np.zeros(len(texts), np.int32), tuple(map(str, range(len(texts)))), file.class_names
        )
        with open_runtime(file) as runtime:
            scores = np.concatenate([
                runtime.scores(feed) for feed in input_batches(examples, file.input, batch_size=32)
            ])  # fmt: skip
        given = task_named(file.task).names_given(scores, file.class_names, Decision(file.thresholds))
        return np.array([bool(names & set(labels)) for names in given])

    return refuses
