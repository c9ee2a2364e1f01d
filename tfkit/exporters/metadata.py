"""TFLite metadata: what MediaPipe Tasks, ML Kit and Android Studio read of a `.tflite` file.

The format is `metadata_schema.fbs` of MediaPipe (parser version 1.4, identifier M001): a flatbuffer in a buffer of the
model, and the files that it names as a zip archive behind it. No library kept today writes it beside TensorFlow 2.21.
"""

import io
import zipfile
from collections.abc import Mapping
from importlib import metadata
from typing import cast

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from tfkit.artifacts import LABELS_NAME, InputSpec, TaskName, labels_file
from tfkit.artifacts.box_grid import BOX_NUMBERS, LOCATION, SCORE
from tfkit.exporters.normalization import packed
from tfkit.inputs import FileDescription, TensorDescription, input_of
from tfkit.runtimes.file_metadata import METADATA
from tfkit.tasks import Task, task_named

VOCABULARY_NAME = "vocab.txt"
_IDENTIFIER, _DETECTOR_IDENTIFIER = b"M001", b"V001"
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # of a zip archive: the same model gives the same bytes
_AXIS_LABELS, _VOCABULARY = np.int8(2), np.int8(5)  # AssociatedFileType
_FEATURE, _IMAGE, _BOX = np.uint8(1), np.uint8(2), np.uint8(3)  # ContentProperties
_BOUNDARIES = np.int8(1)  # BoundingBoxType: the only one that MediaPipe's detector takes; it reads middles and sides
_NORMALIZATION, _BERT_TOKENIZER = np.uint8(1), np.uint8(4)  # ProcessUnitOptions
_RGB, _GRAYSCALE = np.int8(1), np.int8(2)  # ColorSpaceType

# Strings, numbers, arrays of floats, tables and lists of tables, by their field's place in the schema.
_Table = dict[int, object]


def with_metadata(
    flatbuffer: bytes, *, spec: InputSpec, class_names: tuple[str, ...], task: TaskName = "classification"
) -> bytes:
    """Describe a finished `.tflite` model to those who read TFLite metadata.

    - Images: size, colours, how pixels become the input (`NormalizationOptions`), labels with the file. The input
      takes raw pixels, so a float model says mean 0 and standard deviation 1.
    - Texts: labels. MediaPipe's text tasks ask for BERT's third input, `segment_ids`: with `spec.segment_ids` one is
      added that no operator reads, and the vocabulary goes with the file.

    Scores are not calibrated per class (`ScoreCalibrationOptions`): no model of tfkit has such a calibration.

    Args:
        flatbuffer: What `normalized` gave.
        spec: The images or texts it takes.
        class_names: Its labels, in the order of the scores; none for an embedder.
        task: What is asked of it. Numbers have no labels file: who reads one takes them for scores.

    Returns:
        The model with the metadata in it, and the archive of their files behind it.

    Raises:
        ExportError: When `spec.segment_ids` is asked for and MediaPipe's tokeniser gives other ids than this one.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer))
    graph = model.subgraphs[0]
    asked = task_named(task)
    files = {LABELS_NAME: labels_file(class_names).encode()} if asked.has_labels else {}
    subgraph: _Table = {}
    taken = input_of(spec)
    about = taken.described(spec)
    if about.vocabulary is not None:
        files[VOCABULARY_NAME] = about.vocabulary
        tokenizer = {0: [_file(VOCABULARY_NAME, "Word pieces, one a line, by their id", _VOCABULARY)]}
        subgraph[5] = [{0: _BERT_TOKENIZER, 1: tokenizer}]
    for name in about.unread:
        _add_unread(model, name)
    subgraph[2] = [_given(graph.tensors[place], about) for place in graph.inputs]
    subgraph[3] = [_answers(class_names, asked)]
    if asked.answers_boxes:
        subgraph[3] = [_answers(class_names, asked) | {0: SCORE}, _location()]
        subgraph[9] = [{0: "DETECTOR_METADATA", 1: _detector(graph.tensors[graph.outputs[0]].shape)}]
    described: _Table = {
        0: f"{taken.noun.capitalize()} {asked.noun}",
        3: [subgraph],
        4: f"tfkit {metadata.version('tfkit')}",
        7: about.parser,
    }
    _add_entry(model, _packed_table(described))
    content = packed(model)
    return content + _archive(files, behind=content)


def beyond_mediapipe(spec: InputSpec) -> str | None:
    """Why MediaPipe Tasks refuses a model's `.tflite` files, in a sentence; None where it takes them."""
    return input_of(spec).described(spec).beyond_mediapipe


def _given(tensor: schema.TensorT, about: FileDescription) -> _Table:
    named = (told for name, told in about.tensors.items() if name in str(tensor.name))
    told = next(named, next(iter(about.tensors.values())))  # a tensor of the tfmot engine has a name of its own
    if told.image is not None:
        return _image(tensor, told, *told.image)
    return {0: told.name, 1: told.told, 3: {0: _FEATURE, 1: {}}}


def _image(tensor: schema.TensorT, told: TensorDescription, height: int, width: int, channels: int) -> _Table:
    quantization = tensor.quantization
    scale, zero = 1.0, 0.0
    if quantization is not None and quantization.scale is not None:
        scale, zero = float(quantization.scale[0]), float(quantization.zeroPoint[0])
    # Real value of an input: (pixel - mean) / std; of a quantised one scale * (pixel - zero), so that it is the pixel.
    ends = [scale * (pixel - zero) for pixel in (0.0, 255.0)]
    colours = _RGB if channels == 3 else _GRAYSCALE
    return {
        0: told.name,
        1: told.told,
        3: {0: _IMAGE, 1: {0: colours, 1: {0: np.uint32(width), 1: np.uint32(height)}}},
        4: [{0: _NORMALIZATION, 1: {0: _floats(zero), 1: _floats(1 / scale)}}],
        5: {0: _floats(ends[1]), 1: _floats(ends[0])},
    }


def _floats(value: float) -> NDArray[np.float32]:
    return np.array([value], np.float32)


def _answers(class_names: tuple[str, ...], task: Task) -> _Table:
    told: _Table = {0: task.output, 1: task.described(class_names), 3: {0: _FEATURE, 1: {}}}
    if task.has_labels:
        told[6] = [_file(LABELS_NAME, "Labels, one a line, in the order of the scores", _AXIS_LABELS)]
    return told


def _location() -> _Table:
    told = "Middle row, middle column, height and width of each place's box, as shares of the image"
    return {0: LOCATION, 1: told, 3: {0: _BOX, 1: {1: _BOUNDARIES}}}


def _detector(shape: NDArray[np.int32]) -> NDArray[np.uint8]:
    """How boxes are read: as they are. In SSD's words, each place has an anchor of the image's size at its corner."""
    _, places, classes = map(np.int32, shape)
    one = np.float32(1)
    anchors: list[_Table] = [{2: one, 3: one} for _ in range(places)]
    numbers = np.int32(BOX_NUMBERS)
    decoded: _Table = {0: classes, 1: places, 2: numbers, 3: numbers, 5: np.int32(2), 6: one, 7: one, 8: one, 9: one}
    told: _Table = {0: "1.0.0", 1: {0: {0: anchors}}, 2: decoded}
    return np.frombuffer(_packed_table(told, _DETECTOR_IDENTIFIER), np.uint8)


def _file(name: str, description: str, kind: np.int8) -> _Table:
    return {0: name, 1: description, 2: kind}


def _add_unread(model: schema.ModelT, name: str) -> None:
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    tensor, entry = schema.TensorT(), schema.TensorMapT()
    tensor.name, tensor.type, tensor.buffer = f"serving_default_{name}:0", schema.TensorType.INT32, 0
    tensor.shape = graph.tensors[graph.inputs[0]].shape
    entry.name, entry.tensorIndex = name, len(graph.tensors)
    graph.tensors.append(tensor)
    graph.inputs = [*graph.inputs, entry.tensorIndex]
    signature.inputs.append(entry)  # LiteRT's compiled models refuse a signature that leaves an input out


def _add_entry(model: schema.ModelT, content: bytes) -> None:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(content, np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = METADATA, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata.append(entry)


def _archive(files: Mapping[str, bytes], *, behind: bytes) -> bytes:
    """What makes a zip archive of a model: its files, not compressed, as readers on phones expect."""
    if not files:
        return b""
    whole = io.BytesIO(behind)
    with zipfile.ZipFile(whole, "a") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EARLIEST), content)
    return whole.getvalue()[len(behind) :]


def _packed_table(table: _Table, identifier: bytes = _IDENTIFIER) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write(builder, table), identifier)
    return bytes(builder.Output())


def _write(builder: flatbuffers.Builder, value: object) -> int:
    """Write a string, floats, a list of tables or a table, and give its place."""
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, np.ndarray):
        return int(builder.CreateNumpyVector(value))
    if isinstance(value, list):
        places = [_write(builder, table) for table in value]
        builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            builder.PrependUOffsetTRelative(place)
        return int(builder.EndVector())
    scalars = {
        np.int8: builder.PrependInt8Slot,
        np.uint8: builder.PrependUint8Slot,
        np.uint32: builder.PrependUint32Slot,
        np.int32: builder.PrependInt32Slot,
        np.float32: builder.PrependFloat32Slot,
    }
    # What a table refers to is written before the table is begun.
    table = cast(_Table, value)
    fields = {
        at: field.item() if isinstance(field, np.generic) else _write(builder, field) for at, field in table.items()
    }
    builder.StartObject(max(fields, default=-1) + 1)
    for at, field in fields.items():
        scalars.get(type(table[at]), builder.PrependUOffsetTRelativeSlot)(at, field, 0)
    return int(builder.EndObject())
