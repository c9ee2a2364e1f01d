"""A few real inputs with the outputs every exported file must give, for tests on the device."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfkit.arguments import takes_text
from tfkit.artifacts import Artifact, InputSpec
from tfkit.errors import RunError
from tfkit.files import write_whole
from tfkit.inputs import input_batches, input_of
from tfkit.tasks import task_named
from tfkit.verification.artifact_verification import ArtifactVerification

if TYPE_CHECKING:
    from tfkit.data import Examples

_MASKS = 3


@takes_text
def write_golden_samples(
    verifications: Sequence[ArtifactVerification],
    examples: "Examples",
    directory: Path,
    *,
    spec: InputSpec,
    count: int = 8,
) -> Path:
    """Write inputs and what each exported file answered on them while it was verified.

    The folder gets what a client sends, images as `image_<n>.<jpg|png|...>` and texts in `golden.json`; `inputs.npz`,
    what a device feeds (`pixels` uint8 (n, height, width, channels), or `token_ids` and `padding_mask` int32
    (n, length); `labels`, as `tfkit.data.targets` says); `expected_<file>.npz` (`scores` float32 (n, classes),
    `values` of numbers, or an embedder's `embeddings`, float32 (n, d)) for each artifact; and `golden.json`, which says
    what belongs together.

    Args:
        verifications: The exported files, verified on `examples`.
        examples: Where the images or texts come from; they are spread over the classes.
        directory: The folder to write, made when it is missing.
        spec: The images or texts the models take.
        count: How many; fewer when there are fewer examples.

    Returns:
        The path of `golden.json`.

    Raises:
        RunError: When the folder cannot be written.

    Example:
        >>> write_golden_samples(verifications, splits.test, run.golden, spec=image)  # doctest: +SKIP
    """
    from tfkit.data.splitting import spread_over_classes

    positions = spread_over_classes(examples.labels, count=count, seed=0)
    chosen = examples.select(positions)
    arrays: dict[str, Any] = {"labels": chosen.labels, **next(input_batches(chosen, spec, batch_size=count))}
    artifacts = tuple(verification.artifact for verification in verifications)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(directory / "inputs.npz", **arrays)
        for verification in verifications:
            name = _expected_name(verification.artifact)
            answers = task_named(verification.artifact.task).output
            np.savez_compressed(directory / name, **{answers: verification.scores[positions]})
        taken = input_of(spec)
        told = {f"{taken.noun}s": _told(chosen, taken.beside(chosen, directory))}
        path = directory / "golden.json"
        write_whole(path, json.dumps(_description(artifacts, chosen, told), indent=2) + "\n")
    except OSError as fault:
        raise RunError(
            f"cannot write golden samples to '{directory}': {fault.strerror}", hint="make room on the disk"
        ) from None
    return path


def _expected_name(artifact: Artifact) -> str:
    file = Path(artifact.file_name)
    stem = file.stem if file.suffix in ("", ".tflite") else file.name.replace(".", "_")
    return f"expected_{stem}.npz"


def _told(chosen: "Examples", beside: Sequence[Mapping[str, str]]) -> list[dict[str, object]]:
    rows = zip(beside, chosen.names, chosen.labels, strict=True)
    if chosen.labels.ndim == _MASKS:  # they lie in inputs.npz
        return [{**given, "name": name} for given, name, _ in rows]
    return [{**given, "name": name, "label": label.tolist()} for given, name, label in rows]


def _description(
    artifacts: tuple[Artifact, ...], chosen: "Examples", told: Mapping[str, Sequence[Mapping[str, object]]]
) -> dict[str, object]:
    return {
        "version": 1,
        "inputs": "inputs.npz",
        "class_names": list(chosen.class_names),
        **told,
        "artifacts": [
            {
                "file": artifact.file_name,
                "format": artifact.format,
                "quantization": artifact.quantization,
                "sha256": artifact.sha256,
                "expected": _expected_name(artifact),
            }
            for artifact in artifacts
        ],
    }
