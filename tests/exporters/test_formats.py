"""Several formats of one model at once."""

import keras
import numpy as np
import pytest

from tfkit.artifacts import FORMAT_NAMES, TextSpec, read_manifest
from tfkit.errors import ExportError
from tfkit.exporters import export_formats


def test_all_formats_are_written_with_manifest_and_labels(
    small_classifier, image, class_names, random_pixels, tmp_path
):
    artifacts = export_formats(
        small_classifier, FORMAT_NAMES, tmp_path, spec=image, class_names=class_names, calibration=random_pixels
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        "saved_model",
        "model_float32.tflite",
        "model_float16.tflite",
        "model_dynamic_int8.tflite",
        "model_int8.tflite",
        "model_float32.onnx",
        "model_int8.onnx",
        "manifest.json",
        "labels.txt",
        "SHA256SUMS",
    }
    kinds = ["none", "none", "float16", "dynamic_int8", "int8", "none", "int8"]
    assert [artifact.quantization for artifact in artifacts] == kinds
    assert read_manifest(tmp_path) == artifacts
    assert (tmp_path / "labels.txt").read_text().splitlines() == list(class_names)


def test_unknown_format_is_refused_with_the_known_ones(small_classifier, image, class_names, tmp_path):
    with pytest.raises(ExportError, match="unknown formats: tflite_int4") as refused:
        export_formats(small_classifier, ["tflite_int4"], tmp_path, spec=image, class_names=class_names)
    assert "tflite_int8" in refused.value.hint


@pytest.mark.parametrize("name", FORMAT_NAMES)
def test_weights_that_are_no_numbers_are_refused(name, small_classifier, image, class_names, tmp_path):
    model = keras.models.clone_model(small_classifier)
    model.get_layer("stem").kernel.assign(np.full((3, 3, 3, 16), np.nan))
    pixels = np.zeros((4, *image.shape), np.uint8)
    with pytest.raises(ExportError, match="stem/kernel"):
        export_formats(model, [name], tmp_path / "a", spec=image, class_names=class_names, calibration=pixels)
    assert not list(tmp_path.rglob("*.tflite*"))


def test_texts_whose_weights_are_no_numbers_are_refused(small_text_classifier, tmp_path):
    model = keras.models.clone_model(small_text_classifier)
    model.weights[0].assign(np.full(model.weights[0].shape, np.inf))
    with pytest.raises(ExportError, match="no numbers"):
        export_formats(model, ["tflite_float32"], tmp_path, spec=TextSpec(8, tmp_path), class_names=("a", "b", "c"))
