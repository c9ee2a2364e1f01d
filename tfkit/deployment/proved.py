"""What of a run was proved and accepted: only that is packaged."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import Artifact, ArtifactFormat, RunDirectory, read_manifest
from tfkit.artifacts.format import Quantization
from tfkit.errors import ExportError
from tfkit.tasks import task_named

_KINDS: tuple[Quantization, ...] = ("int8", "dynamic_int8", "int16x8", "float16", "none")  # the smallest first


def proved_files(run: RunDirectory) -> list[dict[str, Any]]:
    """What a finished run's report says of each file.

    Args:
        run: The run.

    Returns:
        For each: `file`, `format`, `accepted`, `refusals` and the figures.

    Raises:
        ExportError: When the run has not finished, its report has changed, or its model is a segmenter.
    """
    if not run.is_finished:
        raise ExportError(f"'{run.path}' is no finished run", hint="name the folder of a run, such as runs/digits")
    run.vouches_for(run.report_json)
    said = json.loads(run.report_json.read_text(encoding="utf-8"))
    task = task_named(said["evaluation"].get("task", "classification"))
    if not task.answers_whole:
        raise ExportError(
            f"'{run.path}' is a {task.noun}, and the clients of bundles read one answer for a whole example",
            hint="ship the proved file itself: the report names its tensors, and golden/ has answers to compare with",
        )
    results: list[dict[str, Any]] = said["artifacts"]
    return results


def accepted_file(
    run: RunDirectory,
    formats: Sequence[ArtifactFormat],
    *,
    file: str | None = None,
    kinds: Sequence[Quantization] = _KINDS,
) -> Artifact:
    """The model file of a run that a bundle holds.

    Args:
        run: The run.
        formats: Which formats will do, the preferred one first.
        file: The name of the file; None chooses.
        kinds: Which numbers will do, the preferred ones first.

    Returns:
        A file that was accepted.

    Raises:
        ExportError: When the run has not finished or has changed, or has no such file that was accepted.

    Example:
        >>> accepted_file(RunDirectory(Path("runs/digits")), ("tflite", "onnx")).path.name  # doctest: +SKIP
        'model_int8.tflite'
    """
    accepted = {result["file"].rsplit("/", 1)[-1]: result["accepted"] for result in proved_files(run)}
    artifacts = [one for one in read_manifest(run.artifacts) if one.format in formats]
    named = " or ".join(f".{one}" for one in formats)
    named = f"int8 {named}" if tuple(kinds) == ("int8",) else named
    if file is not None:
        artifacts = [one for one in artifacts if one.path.name == file]
        if not artifacts:
            raise ExportError(f"'{run.path}' has no file '{file}'", hint=f"name one of its {named} files")
    found = [one for one in artifacts if accepted.get(one.path.name) and one.quantization in kinds]
    if not found:
        told = ", ".join(one.path.name for one in artifacts) or "none"
        wanted = [f"{formats[0]}_int8", *([f"{formats[0]}_float32"] if "none" in kinds else [])]
        raise ExportError(
            f"'{run.path}' has no {named} file that was accepted; it has {told}",
            hint=f"run the recipe again with {' or '.join(wanted)} among export.formats",
        )
    return min(found, key=lambda one: (formats.index(one.format), kinds.index(one.quantization)))


def proved_answers(run: RunDirectory, served: Artifact) -> NDArray[np.float32]:
    """What a file answered the run's golden samples in its proof.

    Args:
        run: The run.
        served: One of its files.

    Returns:
        Scores, values or embeddings, float32 (samples, width).

    Raises:
        ExportError: When the run has no golden samples, or they have changed.
    """
    described = run.golden / "golden.json"
    if not described.is_file():
        raise ExportError(f"'{run.golden}' holds no golden samples", hint="run the recipe again")
    run.vouches_for(described)
    said = json.loads(described.read_text(encoding="utf-8"))
    entry = next(one for one in said["artifacts"] if one["file"] == served.file_name)
    expected = run.golden / entry["expected"]
    run.vouches_for(expected)
    with np.load(expected) as arrays:
        return np.asarray(arrays[task_named(served.task).output], np.float32)
