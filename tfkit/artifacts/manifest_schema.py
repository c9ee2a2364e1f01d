"""What a manifest may say: every key, its type and its bounds (pydantic)."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tfkit.artifacts import artifact
from tfkit.artifacts.artifact import InputSpec, ModelSignature, TaskName, TensorSpec
from tfkit.artifacts.box_grid import BOX_NUMBERS
from tfkit.artifacts.format import ArtifactFormat, Quantization
from tfkit.artifacts.lineage import Lineage

# What LiteRT and TensorFlow call the types that a classifier's ends can have.
_NO_SCORES = ("string", "int32", "int64")  # labels, and the places of classes
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
_PLACES = 3  # dimensions of what a detector gives
_Count = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class FileEntry(_Part, extra="allow"):
    """One exported file; what it takes stands under the `manifest_key` of its spec."""

    path: Annotated[str, Field(min_length=1)]
    format: ArtifactFormat
    quantization: Quantization
    signature: ModelSignature
    class_names: tuple[Annotated[str, Field(min_length=1)], ...]
    made_by: str
    task: TaskName = "classification"
    thresholds: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    bytes: _Count
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

    def fault(self) -> str | None:
        """What its parts say against each other."""
        if not self.signature.inputs or not self.signature.outputs:
            return f"the signature of '{self.path}' has no inputs or no outputs"
        for tensor in (*self.signature.inputs, *self.signature.outputs):
            if tensor.dtype not in _TYPES:
                return f"'{tensor.dtype}' of tensor '{tensor.name}' of '{self.path}' is no type of numbers or texts"
        scores = [tensor for tensor in self.signature.outputs if tensor.dtype not in _NO_SCORES and tensor.shape]
        if self.class_names and scores and not any(map(self._has_names, scores)):
            return f"'{self.path}' has {len(self.class_names)} class names and gives {scores[0].shape[-1]} scores"
        if len(self.thresholds) not in (0, 1 if self.task == "classification" else len(self.class_names)):
            return f"'{self.path}' has {len(self.thresholds)} thresholds for {len(self.class_names)} scores"
        if len(set(self.class_names)) < len(self.class_names):
            return f"a class name of '{self.path}' stands twice"
        return None

    def _has_names(self, scores: TensorSpec) -> bool:
        """Whether a tensor has a number for each name; of a detector's places those of a box may stand behind."""
        numbers = BOX_NUMBERS if len(scores.shape) == _PLACES else 0
        return scores.shape[-1] in (None, 1, len(self.class_names), len(self.class_names) + numbers)

    def input_spec(self, folder: Path) -> InputSpec:
        """What it takes; paths are relative to a folder.

        Raises:
            ValueError: When it does not say one thing that a file can take.
        """
        known = {spec.manifest_key: spec for spec in artifact.SPECS}
        given = {key: value for key, value in (self.model_extra or {}).items() if value is not None}
        if len(given) != 1 or not set(given) <= set(known):
            raise ValueError(f"'{self.path}' must say {' or '.join(known)}, one of them; it says {', '.join(given)}")
        ((key, value),) = given.items()
        try:
            spec: InputSpec = TypeAdapter(known[key]).validate_json(json.dumps(value), strict=True)
        except ValidationError as fault:
            raise ValueError(f"{key} of '{self.path}': {_told(fault)}") from None
        if (why := spec.fault()) is not None:
            raise ValueError(f"'{self.path}' {why}")
        return spec.placed_in(folder)


class Manifest(_Part):
    """A whole manifest. Version 2 comes with check sums of the folder; version 1 had none. Old ones say no lineage."""

    version: Literal[1, 2]
    artifacts: Annotated[tuple[FileEntry, ...], Field(min_length=1)]
    lineage: Lineage | None = None


def _told(fault: ValidationError) -> str:
    first = fault.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]


_MANIFEST: TypeAdapter[Any] = TypeAdapter(Manifest)


def parse_manifest(content: bytes) -> Manifest:
    """Read and check a manifest's text.

    Raises:
        ValueError: Says in one line where it is not as above.
    """
    try:
        manifest: Manifest = _MANIFEST.validate_json(content, strict=True)
    except ValidationError as fault:
        raise ValueError(_told(fault)) from None
    if told := next((told for entry in manifest.artifacts if (told := entry.fault())), None):
        raise ValueError(told)
    return manifest
