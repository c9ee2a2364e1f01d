"""What a `.tflite` file from elsewhere tells of itself in TFLite metadata: how pixels go in, and its labels.

The format is MediaPipe's
(https://github.com/google-ai-edge/mediapipe/blob/master/mediapipe/tasks/metadata/metadata_schema.fbs). Its tables are
read by their fields' places: no library kept today reads it beside TensorFlow 2.21.
"""

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from flatbuffers import encode, number_types, packer
from flatbuffers.table import Table

from tfkit.arguments import takes_text
from tfkit.artifacts import PixelScaling, labels_of_file
from tfkit.errors import ModelError
from tfkit.files import inflated_fault
from tfkit.runtimes.flatbuffer import opened_flatbuffer

if TYPE_CHECKING:
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers.number_types import TFlags

METADATA = "TFLITE_METADATA"
# Fields of the schema by their places in their tables, and its numbers of kinds.
_GRAPHS, _INPUTS, _OUTPUTS, _STEPS, _FILES = 3, 2, 3, 4, 6
_STEP_KIND, _STEP, _MEAN, _DEVIATION = 0, 1, 0, 1
_FILE_NAME, _FILE_KIND, _FILE_LOCALE = 0, 2, 3
_NORMALIZATION, _AXIS_LABELS = 1, 2


@takes_text
def metadata_scaling(path: Path) -> PixelScaling | None:
    """Read from a `.tflite` file's TFLite metadata what its first input takes for a raw pixel.

    Args:
        path: The file.

    Returns:
        `NormalizationOptions`, (pixel - mean) / std; None where the file tells nothing of it.

    Raises:
        ModelError: When the file or its metadata is damaged, or says numbers that no pixel can be scaled by.

    Example:
        >>> metadata_scaling(Path("mobilenet_v1.tflite")).words  # doctest: +SKIP
        '-1..1'
    """
    with opened_flatbuffer(path) as model:
        for tensor in _tensors(model, _INPUTS):
            for step in _tables(tensor, _STEPS):
                offset = step.Offset(_entry(_STEP))
                if offset and _number(step, _STEP_KIND, number_types.Uint8Flags) == _NORMALIZATION:
                    options = Table(step.Bytes, step.Indirect(step.Pos + offset))
                    return _checked(_floats(options, _MEAN), _floats(options, _DEVIATION), path)
    return None


@takes_text
def metadata_labels(path: Path) -> tuple[str, ...]:
    """Read the labels that go with a `.tflite` file, as its TFLite metadata says.

    Args:
        path: The file.

    Returns:
        The labels of its first output, in the order of the scores; those without a locale where there are several
        languages. None for a file that brings no labels.

    Raises:
        ModelError: When the file or its metadata is damaged, or the labels that it names are not in it.

    Example:
        >>> metadata_labels(Path("model_int8.tflite"))
        ('0', '1')
    """
    with opened_flatbuffer(path) as model:
        listed = [file for tensor in _tensors(model, _OUTPUTS) for file in _tables(tensor, _FILES)]
        listed = [file for file in listed if _number(file, _FILE_KIND, number_types.Int8Flags) == _AXIS_LABELS]
        listed.sort(key=lambda file: file.Offset(_entry(_FILE_LOCALE)) > 0)
        offsets = [(file, file.Offset(_entry(_FILE_NAME))) for file in listed]
        names = [file.String(file.Pos + offset).decode() for file, offset in offsets if offset]
    if not names:
        return ()
    hint = "name its labels, one a line, in the order of the scores: --labels FILE"
    try:
        if (fault := inflated_fault(path)) is not None:
            raise ModelError(f"the labels in '{path}' are not read: {fault}", hint=hint)
        with zipfile.ZipFile(path) as archive:
            return labels_of_file(archive.read(names[0]))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, RuntimeError) as fault:
        message = f"cannot read the labels '{names[0]}' that the metadata of '{path}' names: {fault}"
        raise ModelError(message, hint=hint) from None


def _tensors(model: "schema.Model", side: int) -> Iterator[Table]:
    """What is told of the first input or output."""
    for number in range(model.MetadataLength()):
        entry = model.Metadata(number)
        if entry.Name() == METADATA.encode():
            content = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
            graph = next(_tables(Table(content, encode.Get(packer.uoffset, content, 0)), _GRAPHS), None)
            if graph is not None and (tensor := next(_tables(graph, side), None)) is not None:
                yield tensor


def _checked(mean: tuple[float, ...], deviation: tuple[float, ...], path: Path) -> PixelScaling:
    numbers = all(map(math.isfinite, (*mean, *deviation))) and min(deviation, default=0.0) > 0
    if {len(mean), len(deviation)} not in ({1}, {3}, {1, 3}) or not numbers:
        raise ModelError(
            f"the metadata of '{path}' says mean {list(mean)} and deviation {list(deviation)} of its pixels; expected "
            "one number or three of each, and deviations above 0",
            hint="say what it takes: --input-range LOW HIGH, or --input-mean and --input-std",
        )
    return PixelScaling.standardised(mean, deviation)


def _entry(field: int) -> int:
    """Where a table says where its field is."""
    return 4 + 2 * field


def _tables(table: Table, field: int) -> Iterator[Table]:
    if offset := table.Offset(_entry(field)):
        start = table.Vector(offset)
        for number in range(table.VectorLen(offset)):
            yield Table(table.Bytes, table.Indirect(start + 4 * number))


def _number(table: Table, field: int, kind: "type[TFlags]") -> int:
    offset = table.Offset(_entry(field))
    return int(table.Get(kind, table.Pos + offset)) if offset else 0


def _floats(table: Table, field: int) -> tuple[float, ...]:
    offset = table.Offset(_entry(field))
    return tuple(table.GetVectorAsNumpy(np.dtype("<f4"), offset).tolist()) if offset else ()
