"""A few real inputs with the outputs every exported file must give, for tests on the device."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import Artifact, ImageSpec
from tfkit.data import ImageExamples, pixel_batches
from tfkit.data.splitting import spread_over_classes
from tfkit.errors import RunError
from tfkit.runtimes import SavedModelRuntime, open_runtime

_SUFFIXES = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"BM": ".bmp", b"GI": ".gif", b"RI": ".webp"}


def write_golden_samples(
    artifacts: tuple[Artifact, ...],
    examples: ImageExamples,
    directory: Path,
    *,
    image: ImageSpec,
    count: int = 8,
    threads: int = 1,
) -> Path:
    """Write inputs and each artifact's own outputs on them.

    The folder gets `image_<n>.<jpg|png|...>` (what a client sends), `inputs.npz` (`pixels` uint8 (n, height,
    width, channels), what a device feeds; `labels` int32 (n,)), `expected_<file>.npz` (`scores` float32
    (n, classes)) for each artifact, and `golden.json`, which says what belongs together.

    Args:
        artifacts: The exported files, each of which is run once more.
        examples: Where the images come from; they are spread over the classes.
        directory: The folder to write, made when it is missing.
        image: The images the models take.
        count: How many; fewer when there are fewer examples.
        threads: CPU threads.

    Returns:
        The path of `golden.json`.

    Raises:
        ModelError: When an artifact cannot be run.
        RunError: When the folder cannot be written.

    Example:
        >>> write_golden_samples(artifacts, splits.test, run.golden, image=image)  # doctest: +SKIP
    """
    class_count = len(examples.class_names)
    chosen = examples.select(spread_over_classes(examples.labels, count=count, class_count=class_count, seed=0))
    pixels = np.concatenate(list(pixel_batches(chosen, image, batch_size=count)))
    encoded = list(chosen.source.encoded(chosen.indices))
    expected = {_expected_name(artifact): _scores(artifact, pixels, encoded, threads) for artifact in artifacts}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(directory / "inputs.npz", pixels=pixels, labels=chosen.labels)
        for name, scores in expected.items():
            np.savez_compressed(directory / name, scores=scores)
        images = _write_images(encoded, directory)
        path = directory / "golden.json"
        path.write_text(json.dumps(_description(artifacts, chosen, images), indent=2) + "\n", encoding="utf-8")
    except OSError as fault:
        raise RunError(
            f"cannot write golden samples to '{directory}': {fault.strerror}", hint="make room on the disk"
        ) from None
    return path


def _scores(artifact: Artifact, pixels: NDArray[np.uint8], encoded: list[bytes], threads: int) -> NDArray[np.float32]:
    with open_runtime(artifact, threads=threads) as runtime:
        if isinstance(runtime, SavedModelRuntime) and runtime.takes_encoded_images:
            return runtime.scores_from_encoded(encoded)
        return runtime.scores(pixels)


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
