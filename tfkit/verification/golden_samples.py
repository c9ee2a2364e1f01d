"""A few real inputs with the outputs every exported file must give, for tests on the device."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfkit.artifacts import Artifact, ImageSpec
from tfkit.data import ImageExamples, pixel_batches
from tfkit.data.splitting import spread_over_classes
from tfkit.errors import RunError
from tfkit.verification.artifact_verification import ArtifactVerification

_SUFFIXES = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"BM": ".bmp", b"GI": ".gif", b"RI": ".webp"}


def write_golden_samples(
    verifications: Sequence[ArtifactVerification],
    examples: ImageExamples,
    directory: Path,
    *,
    image: ImageSpec,
    count: int = 8,
) -> Path:
    """Write inputs and what each exported file answered on them while it was verified.

    The folder gets `image_<n>.<jpg|png|...>` (what a client sends), `inputs.npz` (`pixels` uint8 (n, height,
    width, channels), what a device feeds; `labels` int32 (n,)), `expected_<file>.npz` (`scores` float32
    (n, classes)) for each artifact, and `golden.json`, which says what belongs together.

    Args:
        verifications: The exported files, verified on `examples`.
        examples: Where the images come from; they are spread over the classes.
        directory: The folder to write, made when it is missing.
        image: The images the models take.
        count: How many; fewer when there are fewer examples.

    Returns:
        The path of `golden.json`.

    Raises:
        RunError: When the folder cannot be written.

    Example:
        >>> write_golden_samples(verifications, splits.test, run.golden, image=image)  # doctest: +SKIP
    """
    positions = spread_over_classes(examples.labels, count=count, class_count=len(examples.class_names), seed=0)
    chosen = examples.select(positions)
    pixels = np.concatenate(list(pixel_batches(chosen, image, batch_size=count)))
    encoded = list(chosen.source.encoded(chosen.indices))
    artifacts = tuple(verification.artifact for verification in verifications)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(directory / "inputs.npz", pixels=pixels, labels=chosen.labels)
        for verification in verifications:
            name = _expected_name(verification.artifact)
            np.savez_compressed(directory / name, scores=verification.scores[positions])
        images = _write_images(encoded, directory)
        path = directory / "golden.json"
        path.write_text(json.dumps(_description(artifacts, chosen, images), indent=2) + "\n", encoding="utf-8")
    except OSError as fault:
        raise RunError(
            f"cannot write golden samples to '{directory}': {fault.strerror}", hint="make room on the disk"
        ) from None
    return path


def _expected_name(artifact: Artifact) -> str:
    stem = artifact.path.parent.name if artifact.format == "saved_model" else artifact.path.stem
    return f"expected_{stem}.npz"


def _write_images(encoded: list[bytes], directory: Path) -> list[str]:
    names = [f"image_{number}{_SUFFIXES[content[:2]]}" for number, content in enumerate(encoded)]
    for name, content in zip(names, encoded, strict=True):
        (directory / name).write_bytes(content)
    return names


def _description(artifacts: tuple[Artifact, ...], chosen: ImageExamples, images: list[str]) -> dict[str, Any]:
    return {
        "version": 1,
        "inputs": "inputs.npz",
        "class_names": list(chosen.class_names),
        "images": [
            {"file": file, "name": name, "label": int(label)}
            for file, name, label in zip(images, chosen.names, chosen.labels, strict=True)
        ],
        "artifacts": [
            {
                "file": artifact.path.name if artifact.format == "tflite" else artifact.path.parent.name,
                "format": artifact.format,
                "quantization": artifact.quantization,
                "sha256": artifact.sha256,
                "expected": _expected_name(artifact),
            }
            for artifact in artifacts
        ],
    }
