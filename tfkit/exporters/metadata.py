"""TFLite metadata: what MediaPipe Tasks, ML Kit and Android Studio read of a `.tflite` file.

The format is `metadata_schema.fbs` of MediaPipe (parser version 1.4, identifier M001): a flatbuffer in a buffer of the
model, and the files that it names as a zip archive behind it. No library kept today writes it beside TensorFlow 2.21.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from importlib import metadata
from typing import cast

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from tfkit.artifacts import LABELS_NAME, ImageSpec, InputSpec, TaskName, TextSpec, labels_file
from tfkit.artifacts.artifact import SPECIFICATION_FILE
from tfkit.errors import ExportError
from tfkit.exporters.normalization import packed
from tfkit.runtimes.file_metadata import METADATA
from tfkit.runtimes.litert_runtime import SEGMENT_IDS
from tfkit.tasks import Task, task_named

VOCABULARY_NAME = "vocab.txt"
_IDENTIFIER = b"M001"
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # of a zip archive: the same model gives the same bytes
_AXIS_LABELS, _VOCABULARY = np.int8(2), np.int8(5)  # AssociatedFileType
_FEATURE, _IMAGE = np.uint8(1), np.uint8(2)  # ContentProperties
_NORMALIZATION, _BERT_TOKENIZER = np.uint8(1), np.uint8(4)  # ProcessUnitOptions
_RGB, _GRAYSCALE = np.int8(1), np.int8(2)  # ColorSpaceType
# What MediaPipe's BERT classifier and embedder call the tensors.
_TEXT_NAMES = {"token_ids": "ids", "padding_mask": "mask", SEGMENT_IDS: "segment_ids"}
_SPECIAL = {"start": "[CLS]", "end": "[SEP]", "unknown": "[UNK]"}

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
    if isinstance(spec, ImageSpec):
        subgraph[2] = [_image(graph.tensors[graph.inputs[0]], spec)]
    else:
        if spec.segment_ids:
            files[VOCABULARY_NAME] = bert_vocabulary(spec)
            _add_segment_ids(model)
            tokenizer = {0: [_file(VOCABULARY_NAME, "Word pieces, one a line, by their id", _VOCABULARY)]}
            subgraph[5] = [{0: _BERT_TOKENIZER, 1: tokenizer}]
        subgraph[2] = [_tokens(graph.tensors[place].name) for place in graph.inputs]
    subgraph[3] = [_answers(class_names, asked)]
    described: _Table = {
        0: f"{'Image' if isinstance(spec, ImageSpec) else 'Text'} {asked.noun}",
        3: [subgraph],
        4: f"tfkit {metadata.version('tfkit')}",
        7: "1.0.0" if isinstance(spec, ImageSpec) else "1.1.0",
    }
    _add_entry(model, _packed_table(described))
    content = packed(model)
    return content + _archive(files, behind=content)


def beyond_mediapipe(spec: InputSpec) -> str | None:
    """Why MediaPipe Tasks refuses a model's `.tflite` files, in a sentence; None where it takes them."""
    if isinstance(spec, ImageSpec):
        grey = "MediaPipe Tasks and ML Kit take colour pictures only and refuse these grey files; LiteRT runs them"
        return grey if spec.channels == 1 else None
    wanted = (
        "MediaPipe's text tasks want a third input, which export.segment_ids of a recipe and tfkit export "
        "--segment-ids add; LiteRT needs none"
    )
    return None if spec.segment_ids else wanted


def _image(tensor: schema.TensorT, image: ImageSpec) -> _Table:
    quantization = tensor.quantization
    scale, zero = 1.0, 0.0
    if quantization is not None and quantization.scale is not None:
        scale, zero = float(quantization.scale[0]), float(quantization.zeroPoint[0])
    # Real value of an input: (pixel - mean) / std; of a quantised one scale * (pixel - zero), so that it is the pixel.
    ends = [scale * (pixel - zero) for pixel in (0.0, 255.0)]
    colours = _RGB if image.channels == 3 else _GRAYSCALE
    size = {0: np.uint32(image.width), 1: np.uint32(image.height)}
    return {
        0: "image",
        1: f"Pixels 0..255, {image.height} x {image.width} x {image.channels}, fitted by '{image.resize}'",
        3: {0: _IMAGE, 1: {0: colours, 1: size}},
        4: [{0: _NORMALIZATION, 1: {0: _floats(zero), 1: _floats(1 / scale)}}],
        5: {0: _floats(ends[1]), 1: _floats(ends[0])},
    }


def _floats(value: float) -> NDArray[np.float32]:
    return np.array([value], np.float32)


def _tokens(tensor_name: bytes | str) -> _Table:
    name = next(known for known in _TEXT_NAMES if known in str(tensor_name))
    told = {
        "token_ids": "Ids of the word pieces, 0 behind the text",
        "padding_mask": "1 for each word piece, 0 behind the text",
        SEGMENT_IDS: "Not read: every text is one segment",
    }
    return {0: _TEXT_NAMES[name], 1: told[name], 3: {0: _FEATURE, 1: {}}}


def _answers(class_names: tuple[str, ...], task: Task) -> _Table:
    told: _Table = {0: task.output, 1: task.described(class_names), 3: {0: _FEATURE, 1: {}}}
    if task.has_labels:
        told[6] = [_file(LABELS_NAME, "Labels, one a line, in the order of the scores", _AXIS_LABELS)]
    return told


def _file(name: str, description: str, kind: np.int8) -> _Table:
    return {0: name, 1: description, 2: kind}


def bert_vocabulary(text: TextSpec) -> bytes:
    """The vocabulary of a model whose files MediaPipe's text tasks are to read.

    Args:
        text: What it takes.

    Returns:
        The word pieces, one a line, by their ids.

    Raises:
        ExportError: When MediaPipe's BERT tokeniser gives other ids of them than this one.
    """
    told = json.loads((text.tokenizer / SPECIFICATION_FILE).read_text(encoding="utf-8"))
    special = {role: (entry["token"], entry["id"]) for role, entry in told["special_tokens"].items()}
    fitting = told["kind"] == "word_piece" and told["lowercase"] and told["suffix_indicator"] == "##"
    fitting = fitting and all(special[role][0] == token for role, token in _SPECIAL.items())
    if not fitting or special["padding"][1] != 0:
        raise ExportError(
            "MediaPipe's text tasks have no tokeniser that gives this model's token ids; they know lower-case "
            f"WordPiece with {', '.join(_SPECIAL.values())} and padding 0, and this one is "
            f"{told['kind'].replace('_', ' ')}",
            hint="leave --segment-ids, or export.segment_ids, out, and tokenise in the app",
        )
    vocabulary: bytes = (text.tokenizer / told["vocabulary_files"][0]).read_bytes()
    return vocabulary


def _add_segment_ids(model: schema.ModelT) -> None:
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    tensor, entry = schema.TensorT(), schema.TensorMapT()
    tensor.name, tensor.type, tensor.buffer = f"serving_default_{SEGMENT_IDS}:0", schema.TensorType.INT32, 0
    tensor.shape = graph.tensors[graph.inputs[0]].shape
    entry.name, entry.tensorIndex = SEGMENT_IDS, len(graph.tensors)
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


def _packed_table(table: _Table) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write(builder, table), _IDENTIFIER)
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
    }
    # What a table refers to is written before the table is begun.
    table = cast(_Table, value)
    fields = {
        at: int(field) if isinstance(field, np.integer) else _write(builder, field) for at, field in table.items()
    }
    builder.StartObject(max(fields, default=-1) + 1)
    for at, field in fields.items():
        scalars.get(type(table[at]), builder.PrependUOffsetTRelativeSlot)(at, field, 0)
    return int(builder.EndObject())
