"""What a manifest may say: every key, its type and its bounds (pydantic)."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tfkit.artifacts.artifact import ImageSpec, InputSpec, ModelSignature, TaskName, TextSpec
from tfkit.artifacts.format import ArtifactFormat, Quantization

# What LiteRT and TensorFlow call the types that a classifier's ends can have.
_TYPES = frozenset(
    [
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "bfloat16",
        "float32",
        "float64",
        "string",
    ]
)
_Count = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TextEntry(_Part):
    """The texts a file takes; the tokeniser's folder is relative to the manifest's."""

    sequence_length: Annotated[int, Field(ge=3)]
    tokenizer: Annotated[str, Field(min_length=1)]
    segment_ids: bool = False


class FileEntry(_Part):
    """One exported file."""

    path: Annotated[str, Field(min_length=1)]
    format: ArtifactFormat
    quantization: Quantization
    signature: ModelSignature
    class_names: tuple[Annotated[str, Field(min_length=1)], ...]
    made_by: str
    task: TaskName = "classification"
    thresholds: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    image: ImageSpec | None = None
    text: TextEntry | None = None
    bytes: _Count
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

    def fault(self) -> str | None:
        """What its parts say against each other."""
        if (self.image is None) == (self.text is None):
            return f"'{self.path}' must say image or text, one of them"
        if (self.image is not None and min(self.image.height, self.image.width) < 1) or self._channels() not in (1, 3):
            return f"'{self.path}' takes images of an impossible size"
        if not self.signature.inputs or not self.signature.outputs:
            return f"the signature of '{self.path}' has no inputs or no outputs"
        for tensor in (*self.signature.inputs, *self.signature.outputs):
            if tensor.dtype not in _TYPES:
                return f"'{tensor.dtype}' of tensor '{tensor.name}' of '{self.path}' is no type of numbers or texts"
        scores = [tensor.shape[-1] for tensor in self.signature.outputs if tensor.dtype != "string" and tensor.shape]
        if self.class_names and scores and scores[0] not in (None, 1, len(self.class_names)):
            return f"'{self.path}' has {len(self.class_names)} class names and gives {scores[0]} scores"
        if len(self.thresholds) not in (0, 1 if self.task == "classification" else len(self.class_names)):
            return f"'{self.path}' has {len(self.thresholds)} thresholds for {len(self.class_names)} scores"
        if len(set(self.class_names)) < len(self.class_names):
            return f"a class name of '{self.path}' stands twice"
        return None

    def input_spec(self, folder: Path) -> InputSpec:
        """The images or texts it takes; paths are relative to a folder."""
        if self.text is not None:
            return TextSpec(self.text.sequence_length, folder / self.text.tokenizer, self.text.segment_ids)
        assert self.image is not None  # `fault` has asked
        return self.image

    def _channels(self) -> int:
        return self.image.channels if self.image is not None else 3


class Manifest(_Part):
    """A whole manifest. Version 2 comes with check sums of the folder; version 1 had none."""

    version: Literal[1, 2]
    artifacts: Annotated[tuple[FileEntry, ...], Field(min_length=1)]


_MANIFEST: TypeAdapter[Any] = TypeAdapter(Manifest)


def parse_manifest(content: bytes) -> Manifest:
    """Read and check a manifest's text.

    Raises:
        ValueError: Says in one line where it is not as above.
    """
    try:
        manifest: Manifest = _MANIFEST.validate_json(content, strict=True)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from None
    if told := next((told for entry in manifest.artifacts if (told := entry.fault())), None):
        raise ValueError(told)
    return manifest
