"""A file from elsewhere is fed, and its scores are named, as its TFLite metadata says; what was said goes before it."""

import io
import json
import zipfile
from pathlib import Path

import flatbuffers
import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from PIL import Image

from tfkit.cli.main import main

COLOURS = {"blue": (30, 60, 200), "green": (40, 190, 70), "red": (210, 50, 40)}
LABELS = ("red", "blue", "green")
# Standardised by what no probe tries: a file with it is right only when its metadata is read.
MEAN, DEVIATION = (60.0, 100.0, 140.0), (40.0, 50.0, 60.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder, rng = tmp_path_factory.mktemp("colours"), np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir()
        for place in range(12):
            pixels = np.clip(np.array(colour) + rng.integers(-30, 30, (8, 8, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{place}.png")
    return folder


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> dict[str, bytes]:
    """A classifier of colours on standardised pixels, by the stock converter: in float, and int8 by its own scale."""
    pixels = keras.Input((8, 8, 3))
    mixed = keras.layers.Conv2D(3, 1, name="mix")(pixels)
    model = keras.Model(pixels, keras.layers.Softmax()(keras.layers.GlobalAveragePooling2D()(mixed)))
    colours = np.array([COLOURS[name] for name in LABELS], np.float32)
    seen = (colours - np.float32(MEAN)) / np.float32(DEVIATION)
    model.get_layer("mix").set_weights([(2 * seen.T)[None, None], -(seen**2).sum(1)])
    folder = tmp_path_factory.mktemp("saved")
    model.export(folder, verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    files = {"float": converter.convert()}
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    shown = np.concatenate([colours, np.zeros((1, 3)), np.full((1, 3), 255)])
    pictures = ((shown - np.array(MEAN)) / np.array(DEVIATION)).astype(np.float32)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([np.broadcast_to(one, (1, 8, 8, 3))] for one in pictures)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return files | {"int8": converter.convert()}


def _table(builder: flatbuffers.Builder, fields: dict[int, tuple[str, object]]) -> int:
    builder.StartObject(max(fields) + 1)
    for place, (kind, value) in fields.items():
        getattr(builder, f"Prepend{kind}Slot")(place, value, 0)
    return builder.EndObject()


def _list(builder: flatbuffers.Builder, *tables: int) -> tuple[str, int]:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return "UOffsetTRelative", builder.EndVector()


def _metadata(mean: tuple[float, ...], deviation: tuple[float, ...], labels: str | None) -> bytes:
    """The tables of metadata_schema.fbs, written by their fields' places."""
    builder = flatbuffers.Builder()
    offset = "UOffsetTRelative"
    numbers = [(offset, builder.CreateNumpyVector(np.float32(values))) for values in (mean, deviation)]
    step = _table(builder, {0: ("Uint8", 1), 1: (offset, _table(builder, dict(enumerate(numbers))))})
    taken = _table(builder, {4: _list(builder, step)})
    files = []
    if labels:
        named, german = (offset, builder.CreateString(labels)), (offset, builder.CreateString("labels_de.txt"))
        locale = (offset, builder.CreateString("de"))
        files = [_table(builder, {0: german, 2: ("Int8", 2), 3: locale}), _table(builder, {0: named, 2: ("Int8", 2)})]
    given = _table(builder, {6: _list(builder, *files)})
    graph = _table(builder, {2: _list(builder, taken), 3: _list(builder, given)})
    builder.Finish(_table(builder, {3: _list(builder, graph)}), b"M001")
    return bytes(builder.Output())


def _described(
    model: bytes,
    path: Path,
    *,
    mean: tuple[float, ...] = MEAN,
    deviation: tuple[float, ...] = DEVIATION,
    labels: tuple[str, ...] = LABELS,
    name: str = "labels.txt",
) -> Path:
    parsed = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(_metadata(mean, deviation, name if labels else None), np.uint8)
    entry.name, entry.buffer = "TFLITE_METADATA", len(parsed.buffers)
    parsed.buffers.append(buffer)
    parsed.metadata = [*(parsed.metadata or []), entry]
    builder = flatbuffers.Builder()
    builder.Finish(parsed.Pack(builder), b"TFL3")
    whole = io.BytesIO(bytes(builder.Output()))
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr("labels.txt", "".join(f"{label}\r\n" for label in labels))
    path.write_bytes(whole.getvalue())
    return path


def _told(capsys) -> str:
    return " ".join("".join(capsys.readouterr()).split())


@pytest.mark.parametrize("kind", ["float", "int8"])
def test_a_file_is_fed_and_named_as_its_metadata_says(kind, converted, data, tmp_path, capsys):
    path = _described(converted[kind], tmp_path / "outside.tflite")
    assert main(["predict", str(path), *(str(data / name / "0.png") for name in COLOURS), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)["images"]
    assert [answer["top"][0]["label"] for answer in answers] == list(COLOURS)
    assert all(answer["top"][0]["score"] > 0.9 for answer in answers)
    # The labels are in another order than the folders', and the file's own: no --labels is asked for.
    assert main(["verify", str(path), "--data", str(data)]) == 0
    assert "100.00 %" in _told(capsys)
    assert main(["benchmark", str(path), "--runs", "1", "--seconds", "0", "--warmup-runs", "0"]) == 0


def test_what_the_user_says_goes_before_the_metadata(converted, data, tmp_path, capsys):
    path = _described(converted["float"], tmp_path / "wrong.tflite", mean=(0.0,), deviation=(255.0,), labels=())
    words = ["predict", str(path), str(data / "red" / "0.png"), "--json"]
    said = ["--input-mean", ",".join(map(str, MEAN)), "--input-std", ",".join(map(str, DEVIATION))]
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(name.upper() for name in LABELS))
    assert main([*words, *said, "--labels", str(labels)]) == 0
    assert json.loads(capsys.readouterr().out)["images"][0]["top"][0]["label"] == "RED"


def test_a_scale_that_contradicts_the_metadata_is_asked_about(converted, data, tmp_path, capsys):
    path = _described(converted["int8"], tmp_path / "both.tflite", mean=(0.0,), deviation=(2550.0,))
    assert main(["predict", str(path), str(data / "red" / "0.png")]) == 1
    told = _told(capsys)
    assert "while its metadata says 0..0.1" in told and "--input-mean" in told


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"deviation": (0.0,)}, "deviations above 0"),
        ({"mean": (float("nan"),)}, "deviations above 0"),
        ({"mean": (1.0, 2.0)}, "one number or three of each"),
        ({"labels": ("red", "blue")}, "2 labels in its metadata and gives 3 scores"),
        ({"name": "names.txt"}, "cannot read the labels 'names.txt'"),
    ],
)
def test_metadata_that_cannot_be_right_is_refused(changed, told, converted, data, tmp_path, capsys):
    path = _described(converted["float"], tmp_path / "odd.tflite", **changed)
    assert main(["predict", str(path), str(data / "red" / "0.png")]) == 1
    assert told in (said := _told(capsys)) and "unexpected" not in said


def test_damaged_metadata_is_told(converted, data, tmp_path, capsys):
    whole = _described(converted["float"], tmp_path / "whole.tflite").read_bytes()
    start = whole.index(b"M001") - 4
    for seed in range(15):
        rng = np.random.default_rng(seed)
        damaged = bytearray(whole)
        for place in rng.integers(start, start + 200, 6):
            damaged[place] = rng.integers(256)
        path = tmp_path / "damaged.tflite"
        path.write_bytes(bytes(damaged))
        status = main(["predict", str(path), str(data / "red" / "0.png")])
        said = _told(capsys)
        assert status in (0, 1) and "unexpected" not in said, (seed, said)
