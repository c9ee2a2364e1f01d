"""An exported model on disk, with everything needed to feed it and to read its answer: spec, signature, labels."""

import hashlib
import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Self

from tfkit.arguments import takes_text
from tfkit.artifacts.format import ArtifactFormat, Quantization


@dataclass(frozen=True)
class LayerDifference:
    """How far one tensor of a file is from the Keras model's.

    Attributes:
        layer: The Keras quantiser whose output it is.
        operator: The operator that writes it.
        mean_steps: Mean difference, in steps of its own grid.
        worst_steps: The largest.
        clipped: Share of its values that lie at the ends of the range.
    """

    layer: str
    operator: str
    mean_steps: float
    worst_steps: float
    clipped: float


@dataclass(frozen=True)
class TensorSpec:
    """One input or output tensor.

    Attributes:
        name: The tensor's name in the file's signature.
        shape: Its shape; None where any size is taken.
        dtype: NumPy's name of its type (`uint8`, `float32`, `string`).
        scale: Real value of one quantisation step, None when the tensor is not quantised.
        zero_point: The integer that stands for 0.0, None when the tensor is not quantised.

    Example:
        >>> TensorSpec("pixels", (1, 224, 224, 3), "uint8", scale=1 / 255, zero_point=0).dtype
        'uint8'
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}  # where a manifest is read

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class ModelSignature:
    """The inputs and outputs of one model file.

    Example:
        >>> pixels, scores = TensorSpec("pixels", (1, 8, 8, 3), "uint8"), TensorSpec("scores", (1, 2), "uint8")
        >>> ModelSignature((pixels,), (scores,)).outputs[0].shape
        (1, 2)
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class InputSpec:
    """How large what goes into a model is; a dataclass of plain values, which a manifest holds under `manifest_key`."""

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}  # where a manifest is read
    manifest_key: ClassVar[str]

    def manifest_entry(self, folder: Path) -> dict[str, object]:
        """What the manifest of an artifacts folder says of it: paths are relative to the folder."""
        return dict(vars(self))

    def placed_in(self, folder: Path) -> Self:
        """What a manifest said of it, with paths that are no longer relative to its folder."""
        return self

    def fault(self) -> str | None:
        """Why no model can take it, for files "that take images of an impossible size"; None where one can."""
        return None


# In a tokeniser's folder: what kind it is, and its vocabulary's files.
SPECIFICATION_FILE = "specification.json"


@dataclass(frozen=True)
class TextSpec(InputSpec):
    """Length and tokeniser of a model's input.

    Attributes:
        sequence_length: Tokens of one text at most, its start and end included; longer texts are cut.
        tokenizer: The tokeniser's folder, as `tfkit.data.text.Tokenizer.save` wrote it.
        segment_ids: Whether its `.tflite` files have a third input of that name, which MediaPipe's text tasks ask for
            and no operator reads.

    Example:
        >>> TextSpec(sequence_length=32, tokenizer=Path("runs/intents/tokenizer")).sequence_length
        32
    """

    manifest_key: ClassVar[str] = "text"
    sequence_length: int
    tokenizer: Path
    segment_ids: bool = False

    def manifest_entry(self, folder: Path) -> dict[str, object]:
        tokenizer = Path(os.path.relpath(self.tokenizer, folder)).as_posix()
        text: dict[str, object] = {"sequence_length": self.sequence_length, "tokenizer": tokenizer}
        return text | ({"segment_ids": True} if self.segment_ids else {})

    def placed_in(self, folder: Path) -> Self:
        return replace(self, tokenizer=folder / self.tokenizer)

    def fault(self) -> str | None:
        return "takes texts of an impossible length" if self.sequence_length < 3 else None


ResizeMode = Literal["crop", "pad", "stretch"]


@dataclass(frozen=True)
class ImageSpec(InputSpec):
    """Size, channels and resize rule of a model's input; pixels are always raw 0..255.

    Attributes:
        height: Rows of pixels.
        width: Columns of pixels.
        channels: 1 for grey, 3 for RGB.
        resize: How another shape is fitted: `crop` keeps the aspect ratio and cuts the longer side at its
            centre, `pad` keeps it and adds black borders, `stretch` ignores it.

    Example:
        >>> ImageSpec(height=224, width=224).shape
        (224, 224, 3)
    """

    manifest_key: ClassVar[str] = "image"
    height: int
    width: int
    channels: int = 3
    resize: ResizeMode = "crop"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels).

        Example:
            >>> ImageSpec(height=32, width=48, channels=1).shape
            (32, 48, 1)
        """
        return (self.height, self.width, self.channels)

    def fault(self) -> str | None:
        possible = min(self.height, self.width) >= 1 and self.channels in (1, 3)
        return None if possible else "takes images of an impossible size"


@dataclass(frozen=True)
class HistorySpec(InputSpec):
    """How many items of a user's history a recommender takes, and which items there are.

    Attributes:
        length: Items at most; of a longer history the latest.
        items: The table of items, as `tfkit.data.histories.Catalogue.save` wrote it.

    Example:
        >>> HistorySpec(length=50, items=Path("runs/recommend_shop/artifacts/items.csv")).length
        50
    """

    manifest_key: ClassVar[str] = "history"
    length: int
    items: Path

    def manifest_entry(self, folder: Path) -> dict[str, object]:
        return {"length": self.length, "items": Path(os.path.relpath(self.items, folder)).as_posix()}

    def placed_in(self, folder: Path) -> Self:
        return replace(self, items=folder / self.items)

    def fault(self) -> str | None:
        return "takes histories of an impossible length" if self.length < 1 else None


@dataclass(frozen=True)
class PromptSpec(InputSpec):
    """How many tokens a language model takes, and how a question becomes tokens.

    Attributes:
        length: Tokens of a question, what stands around it, and its answer, at most.
        prefill: Tokens of a prompt that a file reads at once.
        folder: The folder of prompts: tokeniser, conversation, and known answers, as `tfkit.data.replies` writes them.

    Example:
        >>> PromptSpec(length=256, prefill=32, folder=Path("runs/replies_small/artifacts/prompts")).cache
        288
    """

    manifest_key: ClassVar[str] = "prompt"
    length: int
    prefill: int
    folder: Path

    @property
    def cache(self) -> int:
        """Tokens that a file's cache holds: a last part of a prompt is read with empty places behind it."""
        return self.length + self.prefill

    def manifest_entry(self, folder: Path) -> dict[str, object]:
        place = Path(os.path.relpath(self.folder, folder)).as_posix()
        return {"length": self.length, "prefill": self.prefill, "folder": place}

    def placed_in(self, folder: Path) -> Self:
        return replace(self, folder=folder / self.folder)

    def fault(self) -> str | None:
        return "takes prompts of an impossible length" if min(self.length, self.prefill) < 1 else None


# What a manifest may say of a file's input.
SPECS: tuple[type[InputSpec], ...] = (ImageSpec, TextSpec, HistorySpec, PromptSpec)
# What is asked of a model: one class of several, each label on its own, numbers, or vectors to be compared.
TaskName = str  # `tfkit.tasks` lists them

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
        return path_sha256(self.path)


def path_sha256(path: Path) -> str:
    """SHA-256 of a file; of a folder, of its files' names and contents in sorted order.

    Example:
        >>> written = Path("ants.txt").write_text("ants")
        >>> path_sha256(Path("ants.txt"))[:8]
        'b9ff6bf2'
    """
    if path.is_file():
        return _digest(path).hexdigest()
    digest = hashlib.sha256()
    for file in _files(path):
        digest.update(str(file.relative_to(path)).encode() + b"\0")
        digest.update(_digest(file).digest())
    return digest.hexdigest()


def _digest(path: Path) -> "hashlib._Hash":
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256")


@takes_text
def best_artifact(artifacts: tuple[Artifact, ...]) -> Artifact:
    """Of a run's files the one that ships: int8 where there is one, else the first."""
    return next((artifact for artifact in artifacts if artifact.quantization == "int8"), artifacts[0])


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
