"""Trained kernels, scales and biases written back into the `.tflite` file that they came from."""

import copy
import io
import zipfile
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfkit.exporters.normalization import packed
from tfkit.file_tuning.model import IntegerFileModel, integers_of
from tfkit.file_tuning.operators import WEIGHTED


def written_back(flatbuffer: bytes, model: IntegerFileModel) -> bytes:
    """The file with what was trained in it: the same operators, tensors and metadata.

    Args:
        flatbuffer: The file that the model was read from.
        model: The model.

    Returns:
        The new file's bytes; files that were appended to the old one are appended to it.
    """
    file = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer))
    graph = file.subgraphs[0]
    shared = [tensor.buffer for tensor in graph.tensors]
    for number in model.kernels:
        integers, scales = integers_of(model, number)
        _put(file, number, integers, scales, shared)
    for operator in model.graph.operators:
        if operator.name not in WEIGHTED or len(operator.inputs) < 3 or operator.inputs[2] not in model.biases:
            continue
        given, out = (model.tensor(number) for number in (operator.inputs[0], operator.outputs[0]))
        _, scale = model.kernel(operator.inputs[1])
        step = np.float32(given.scales[0]) * np.asarray(scale, np.float32).reshape(-1)  # type: ignore[index]
        bias = model.bias(operator.inputs[2], step, float(out.scales[0])).numpy()  # type: ignore[index]
        limits = np.iinfo(np.int32)
        _put(file, operator.inputs[2], np.clip(bias, limits.min, limits.max).astype(np.int32), step, shared)
    content = packed(file)
    return content + _archive(flatbuffer, behind=content)


def _put(file: Any, number: int, integers: np.ndarray, scales: np.ndarray, shared: list[int]) -> None:
    tensor = file.subgraphs[0].tensors[number]
    if shared.count(tensor.buffer) > 1:  # another tensor has the same bytes
        tensor.buffer = len(file.buffers)
        file.buffers.append(schema.BufferT())
    buffer = file.buffers[tensor.buffer] = copy.copy(file.buffers[tensor.buffer])
    buffer.data, buffer.offset, buffer.size = np.frombuffer(integers.tobytes(), np.uint8), 0, 0
    tensor.quantization.scale = np.asarray(scales, np.float32)


def _archive(flatbuffer: bytes, *, behind: bytes) -> bytes:
    """Files that stand behind a flatbuffer as a zip archive, as TFLite metadata have their labels."""
    whole = io.BytesIO(behind)
    try:
        with zipfile.ZipFile(io.BytesIO(flatbuffer)) as old, zipfile.ZipFile(whole, "a") as new:
            for entry in old.infolist():
                new.writestr(entry, old.read(entry))
    except zipfile.BadZipFile:
        return b""
    return whole.getvalue()[len(behind) :]
