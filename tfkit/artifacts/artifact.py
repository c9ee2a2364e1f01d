"""An exported model on disk, with everything needed to feed it and to read its answer."""

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfkit.artifacts.format import ArtifactFormat, Quantization
from tfkit.artifacts.image_spec import ImageSpec
from tfkit.artifacts.layer_difference import LayerDifference
from tfkit.artifacts.signature import ModelSignature
from tfkit.artifacts.text_spec import TextSpec

InputSpec = ImageSpec | TextSpec
# What is asked of a model: one class of several, each label on its own, numbers, or vectors to be compared.
TaskName = Literal["classification", "multilabel", "regression", "embedding"]

# What `made_by` says of a file that tfkit did not write.
OUTSIDE = "not by tfkit"


@dataclass(frozen=True)
class Artifact:
    """One exported model.

    Attributes:
        path: The `.tflite` file, or the SavedModel's version folder (`saved_model/1`).
        format: `saved_model` or `tflite`.
        quantization: `none` (float32), `float16`, `dynamic_int8` (int8 weights) or `int8` (all
            integer) or `int16x8` (all integer, 16-bit activations).
        signature: Its tensors.
        input: The images, or the texts, it takes.
        class_names: Its classes, labels or numbers, in the order of the scores; none for an embedder.
        made_by: How it was made, in a sentence (converter, quantiser, versions).
        task: What is asked of it; `tfkit.tasks` has what that means.
        thresholds: Of several labels: the score from which each is given; of two classes: that of the second. Empty:
            one half, and the largest score.
        layers: How far each of its tensors was from the Keras model's when it was made from quantisation-aware
            training; otherwise empty. Not in the manifest.
    """

    path: Path
    format: ArtifactFormat
    quantization: Quantization
    signature: ModelSignature
    input: InputSpec
    class_names: tuple[str, ...]
    made_by: str
    task: TaskName = "classification"
    thresholds: tuple[float, ...] = ()
    layers: tuple[LayerDifference, ...] = ()

    @property
    def file_name(self) -> str:
        """What the file is called beside its manifest: `model_int8.tflite`, `saved_model`."""
        return self.path.parent.name if self.format == "saved_model" else self.path.name

    @property
    def bytes(self) -> int:
        """Size on disk in bytes, of the whole folder for a SavedModel."""
        return sum(file.stat().st_size for file in _files(self.path))

    @property
    def sha256(self) -> str:
        """SHA-256 of the file; for a folder, of its files' names and contents in sorted order."""
        if self.path.is_file():
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        digest = hashlib.sha256()
        for file in _files(self.path):
            digest.update(str(file.relative_to(self.path)).encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest()


def compressed_bytes(path: Path) -> int:
    """Size of a file after deflate at its strongest (RFC 1951, level 9), as in an app's archive.

    Args:
        path: A file.

    Returns:
        Bytes.

    Example:
        >>> written = Path("zeros.bin").write_bytes(bytes(1000))
        >>> compressed_bytes(Path("zeros.bin")) < 100
        True
    """
    deflate = zlib.compressobj(9)
    with path.open("rb") as file:
        done = sum(len(deflate.compress(block)) for block in iter(lambda: file.read(1 << 20), b""))
    return done + len(deflate.flush())


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
