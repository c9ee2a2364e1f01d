"""TFLite metadata goes with every file: its fields as the schema places them, its files as a zip archive."""

import hashlib
import json
import zipfile

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.compiled_model import CompiledModel

from tfkit.artifacts import TextSpec, read_manifest
from tfkit.compression import QuantizationPolicy
from tfkit.data.text import learn_word_pieces
from tfkit.errors import ExportError
from tfkit.exporters import export_formats, rehearse_export
from tfkit.runtimes import LiteRTRuntime

LENGTH = 8
IMAGE_FORMATS = ("tflite_float32", "tflite_float16", "tflite_dynamic_int8", "tflite_int8")


def _entry(flatbuffer):
    """The root table of TFLITE_METADATA."""
    model = schema.Model.GetRootAs(flatbuffer)
    entries = [model.Metadata(number) for number in range(model.MetadataLength())]
    (entry,) = [entry for entry in entries if entry.Name() == b"TFLITE_METADATA"]
    content = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
    assert content[4:8] == b"M001"
    return _table(content, flatbuffers.encode.Get(flatbuffers.packer.uoffset, content, 0))


def _table(content, place):
    return flatbuffers.table.Table(content, place)


def _at(table, field):
    offset = table.Offset(4 + 2 * field)
    return table.Pos + offset if offset else None


def _child(table, field):
    return _table(table.Bytes, table.Indirect(_at(table, field)))


def _children(table, field):
    start = table.Vector(table.Offset(4 + 2 * field))
    count = table.VectorLen(table.Offset(4 + 2 * field))
    return [_table(table.Bytes, table.Indirect(start + 4 * number)) for number in range(count)]


def _text(table, field):
    return table.String(_at(table, field)).decode()


def _floats(table, field):
    return [value.item() for value in table.GetVectorAsNumpy(np.dtype("<f4"), table.Offset(4 + 2 * field))]


@pytest.fixture(scope="module")
def image_files(small_classifier, image, class_names, random_pixels, tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    described = {"spec": image, "class_names": class_names, "calibration": random_pixels}
    return {file.path.stem: file for file in export_formats(small_classifier, IMAGE_FORMATS, folder, **described)}


def test_every_file_of_images_says_its_labels_and_how_pixels_go_in(image_files, class_names):
    assert len(image_files) == len(IMAGE_FORMATS)
    for file in image_files.values():
        (graph,) = _children(_entry(file.path.read_bytes()), 3)
        (pixels,), (scores,) = _children(graph, 2), _children(graph, 3)
        size = _child(_child(_child(pixels, 3), 1), 1)
        assert [size.Get(flatbuffers.number_types.Uint32Flags, _at(size, side)) for side in (0, 1)] == [32, 32]
        (step,) = _children(pixels, 4)
        assert step.Get(flatbuffers.number_types.Uint8Flags, _at(step, 0)) == 1  # NormalizationOptions
        assert _floats(_child(step, 1), 0) == [0] and _floats(_child(step, 1), 1) == [1]
        (labels,) = _children(scores, 6)
        with zipfile.ZipFile(file.path) as archive:
            assert archive.read(_text(labels, 0)).decode().splitlines() == list(class_names)
        assert labels.Get(flatbuffers.number_types.Int8Flags, _at(labels, 2)) == 2  # TENSOR_AXIS_LABELS


def test_a_file_of_numbers_calls_none_of_them_a_label(small_classifier, image, class_names, tmp_path):
    described = {"spec": image, "class_names": class_names, "task": "regression"}
    (file,) = export_formats(small_classifier, ["tflite_float32"], tmp_path, **described)
    (graph,) = _children(_entry(file.path.read_bytes()), 3)
    (numbers,) = _children(graph, 3)
    assert _text(numbers, 0) == "values" and not zipfile.is_zipfile(file.path)
    assert read_manifest(tmp_path)[0].task == "regression"


def test_the_manifest_counts_the_archive_and_the_same_model_gives_the_same_bytes(
    image_files, small_classifier, image, class_names, random_pixels, tmp_path
):
    folder = image_files["model_int8"].path.parent
    written = json.loads((folder / "manifest.json").read_text())["artifacts"]
    digests = {entry["path"]: entry["sha256"] for entry in written}
    for file in read_manifest(folder):
        assert digests[file.path.name] == hashlib.sha256(file.path.read_bytes()).hexdigest()
    described = {"spec": image, "class_names": class_names, "calibration": random_pixels}
    (again,) = export_formats(small_classifier, ["tflite_int8"], tmp_path, **described)
    assert again.path.read_bytes() == image_files["model_int8"].path.read_bytes()


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    learn_word_pieces(["where is my parcel", "I want my money back"] * 4, size=100).save(folder)
    return folder


@pytest.mark.parametrize("segment_ids", [False, True])
def test_files_of_texts_have_labels_and_mediapipes_third_input_where_it_is_asked_for(
    segment_ids, small_text_classifier, short_texts, tokenizer_folder, tmp_path
):
    text = TextSpec(LENGTH, tokenizer_folder, segment_ids)
    described = {"spec": text, "class_names": ("a", "b", "c")}
    plain = small_text_classifier.predict(short_texts, verbose=0)
    formats = ("tflite_float32", "tflite_dynamic_int8")
    for file in export_formats(small_text_classifier, formats, tmp_path / "files", **described):
        (graph,) = _children(_entry(file.path.read_bytes()), 3)
        names = ["ids", "mask", "segment_ids"] if segment_ids else ["ids", "mask"]
        assert sorted(_text(tensor, 0) for tensor in _children(graph, 2)) == names
        with zipfile.ZipFile(file.path) as archive:
            assert archive.namelist() == (["labels.txt", "vocab.txt"] if segment_ids else ["labels.txt"])
        # LiteRT's newer interface refuses a signature that leaves an input of the graph out.
        compiled = CompiledModel.from_file(str(file.path))
        assert sorted(compiled.get_signature_list()["serving_default"]["inputs"]) == sorted(
            ["padding_mask", "token_ids", *(["segment_ids"] if segment_ids else [])]
        )
        with LiteRTRuntime(file.path) as runtime:
            np.testing.assert_allclose(runtime.scores(short_texts), plain, atol=0.05)
    assert read_manifest(tmp_path / "files")[0].input.segment_ids == segment_ids


def test_a_tokenizer_that_mediapipe_does_not_have_is_refused(
    small_text_classifier, short_texts, tokenizer_folder, tmp_path
):
    specification = json.loads((tokenizer_folder / "specification.json").read_text())
    (tmp_path / "specification.json").write_text(json.dumps(specification | {"lowercase": False}))
    text = TextSpec(LENGTH, tmp_path, segment_ids=True)
    with pytest.raises(ExportError, match=r"no tokeniser that gives this model's token ids"):
        export_formats(small_text_classifier, ["tflite_float32"], tmp_path / "files", spec=text, class_names=("a",) * 3)
    assert not list((tmp_path / "files").glob("*.tflite"))
    with pytest.raises(ExportError, match=r"no tokeniser that gives this model's token ids"):  # before the training
        rehearse_export(
            small_text_classifier,
            ["tflite_int8"],
            spec=text,
            class_names=("a", "b", "c"),
            samples=short_texts,
            quantization=QuantizationPolicy(),
        )
