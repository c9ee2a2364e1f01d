"""manifest.json: what lies in an artifacts folder and how each file was made."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tfkit.artifacts.artifact import Artifact, InputSpec
from tfkit.artifacts.image_spec import ImageSpec
from tfkit.artifacts.signature import ModelSignature, TensorSpec
from tfkit.artifacts.text_spec import TextSpec
from tfkit.errors import ExportError

MANIFEST_NAME = "manifest.json"
LABELS_NAME = "labels.txt"


def write_manifest(artifacts: tuple[Artifact, ...], directory: Path) -> Path:
    """Write `manifest.json` for the artifacts of one model, and `labels.txt` where it has classes.

    Args:
        artifacts: The artifacts, all below `directory` and with the same class names.
        directory: The artifacts folder.

    Returns:
        The manifest's path.
    """
    entries = []
    for artifact in artifacts:
        entry = asdict(replace(artifact, layers=()))
        del entry["layers"], entry["input"]
        entry["path"] = artifact.path.relative_to(directory).as_posix()
        entry |= _input_entry(artifact.input, directory)
        entries.append({**entry, "bytes": artifact.bytes, "sha256": artifact.sha256})
    path = directory / MANIFEST_NAME
    path.write_text(json.dumps({"version": 1, "artifacts": entries}, indent=2) + "\n")
    if artifacts and artifacts[0].class_names:
        labels = "".join(f"{name}\n" for name in artifacts[0].class_names)
        (directory / LABELS_NAME).write_text(labels, encoding="utf-8")
    return path


def read_manifest(directory: Path) -> tuple[Artifact, ...]:
    """Read the artifacts that `write_manifest` described.

    Args:
        directory: An artifacts folder.

    Returns:
        The artifacts, in the order they were written.

    Raises:
        ExportError: When there is no manifest, it cannot be read, or a file it names is missing, lies outside of the
            folder or has other bytes than were written.
    """
    path = directory / MANIFEST_NAME
    try:
        entries = json.loads(path.read_text())["artifacts"]
        artifacts = tuple(_read_entry(entry, directory) for entry in entries)
        written = [(entry["bytes"], entry["sha256"]) for entry in entries]
        if not artifacts:
            raise ValueError("it names no file")
    except FileNotFoundError:
        raise ExportError(
            f"no {MANIFEST_NAME} in '{directory}'",
            hint="name an artifacts folder that tfkit wrote, or one .tflite file",
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise ExportError(f"'{path}' is not a tfkit manifest: {fault}", hint="export the model again") from None
    missing = [str(artifact.path) for artifact in artifacts if not artifact.path.exists()]
    if missing:
        raise ExportError(
            f"'{path}' names files that are not there: {', '.join(missing)}", hint="export the model again"
        )
    changed = [str(one.path) for one, was in zip(artifacts, written, strict=True) if (one.bytes, one.sha256) != was]
    if changed:
        raise ExportError(
            f"{', '.join(changed)}: other bytes than '{path}' says that tfkit wrote (sha256 and size)",
            hint="copy the file again from where it was exported, or export the model again",
        )
    return artifacts


def _read_entry(entry: dict[str, Any], directory: Path) -> Artifact:
    path = directory / entry["path"]
    if path == directory or not path.resolve().is_relative_to(directory.resolve()):
        raise ValueError(f"the path '{entry['path']}' leaves its folder")
    if not all(isinstance(name, str) for name in entry["class_names"]):
        raise ValueError("a class name is no text")
    signature = ModelSignature(
        inputs=tuple(_read_tensor(tensor) for tensor in entry["signature"]["inputs"]),
        outputs=tuple(_read_tensor(tensor) for tensor in entry["signature"]["outputs"]),
    )
    return Artifact(
        path=path,
        format=entry["format"],
        quantization=entry["quantization"],
        signature=signature,
        input=_read_input(entry, directory),
        class_names=tuple(entry["class_names"]),
        made_by=entry["made_by"],
    )


def _input_entry(given: InputSpec, directory: Path) -> dict[str, Any]:
    if isinstance(given, ImageSpec):
        return {"image": asdict(given)}
    tokenizer = Path(os.path.relpath(given.tokenizer, directory)).as_posix()
    return {"text": {"sequence_length": given.sequence_length, "tokenizer": tokenizer}}


def _read_input(entry: dict[str, Any], directory: Path) -> InputSpec:
    if "text" in entry:
        text = entry["text"]
        return TextSpec(text["sequence_length"], directory / text["tokenizer"])
    return ImageSpec(**entry["image"])


def _read_tensor(tensor: dict[str, Any]) -> TensorSpec:
    return TensorSpec(**{**tensor, "shape": tuple(tensor["shape"])})
