"""Finish a `.tflite` file so that every runtime reads the same model in it.

litert-quantizer leaves operator versions as the float file had them, puts weights of 256 KiB and more behind the
flatbuffer, and does not fill in the older field of operator codes. Runtimes other than LiteRT then refuse the file, or
answer wrongly without an error.
"""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfkit.errors import ExportError
from tfkit.runtimes.flatbuffer import DESCRIPTION
from tfkit.runtimes.portability import MIN_RUNTIME, deprecated_code, is_outside, least_runtime, needed_versions

_IDENTIFIER = b"TFL3"
_ALIGNMENT = 16  # `force_align` of Buffer.data in the schema; the generated Python writer does not know it
_LARGEST = 2**31 - 1
_VERSION_BYTES = 16
_ROOM = 1 << 16  # for all but the weights, to begin with


def normalized(flatbuffer: bytes) -> bytes:
    """Put buffers inside and set both operator codes, operator versions, `min_runtime_version` and tfkit's description.

    Operator versions follow TensorFlow's `op_version.cc`; what a file says already is never lowered.

    Args:
        flatbuffer: A `.tflite` model.

    Returns:
        The same model; LiteRT's answers are equal to the bit.

    Raises:
        ExportError: When it would be larger than a flatbuffer can be, 2 GiB.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer))
    _take_buffers_in(model, flatbuffer)
    for code in model.operatorCodes:
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
        code.deprecatedBuiltinCode = deprecated_code(code.builtinCode)
    versions = needed_versions(model)
    for place, version in versions.items():
        model.operatorCodes[place].version = max(version, model.operatorCodes[place].version)
    _say_runtime(model, least_runtime(model, versions))
    model.description = DESCRIPTION
    return packed(model)


def packed(model: schema.ModelT) -> bytes:
    """Write a model whose buffers are inside.

    Args:
        model: The schema's `ModelT`.

    Returns:
        The flatbuffer.
    """
    sizes = sum(len(buffer.data) for buffer in model.buffers if buffer.data is not None)
    model.buffers = [_AlignedBuffer(data=buffer.data) for buffer in model.buffers]
    builder = flatbuffers.Builder(sizes + _ROOM)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


class _AlignedBuffer(schema.BufferT):
    """A buffer whose data start at a multiple of 16 bytes, as kernels expect."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - the schema's own name
        if self.data is None:
            return int(super().Pack(builder))
        content = np.asarray(self.data, np.uint8).tobytes()
        builder.StartVector(1, len(content), _ALIGNMENT)
        builder.head -= len(content)
        builder.Bytes[builder.head : builder.head + len(content)] = content
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return int(schema.BufferEnd(builder))


def _take_buffers_in(model: schema.ModelT, flatbuffer: bytes) -> None:
    inside = []
    for buffer in model.buffers:
        data = buffer.data
        if is_outside(buffer):
            data = np.frombuffer(flatbuffer, np.uint8, buffer.size, buffer.offset)
        inside.append(_AlignedBuffer(data=None if data is None or np.isscalar(data) else data))
    total = sum(len(buffer.data) for buffer in inside if buffer.data is not None)
    if total > _LARGEST:
        raise ExportError(
            f"the weights take {total:,} bytes; a .tflite file holds at most {_LARGEST:,}",
            hint="export a smaller model, or a format with smaller weights such as tflite_dynamic_int8",
        )
    model.buffers = inside


def _say_runtime(model: schema.ModelT, version: str) -> None:
    content = np.zeros(_VERSION_BYTES, np.uint8)
    content[: len(version)] = np.frombuffer(version.encode(), np.uint8)
    model.metadata = list(model.metadata) if model.metadata is not None else []
    for entry in model.metadata:
        if entry.name == MIN_RUNTIME.encode():
            model.buffers[entry.buffer] = _AlignedBuffer(data=content)
            return
    entry = schema.MetadataT()
    entry.name, entry.buffer = MIN_RUNTIME, len(model.buffers)
    model.buffers.append(_AlignedBuffer(data=content))
    model.metadata.append(entry)
