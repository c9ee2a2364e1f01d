"""Several formats of one model at once."""

import pytest

from tfkit.artifacts import read_manifest
from tfkit.errors import ExportError
from tfkit.exporters import FORMATS, export_formats


def test_all_formats_are_written_with_manifest_and_labels(
    small_classifier, image, class_names, random_pixels, tmp_path
):
    artifacts = export_formats(
        small_classifier, FORMATS, tmp_path, spec=image, class_names=class_names, calibration=random_pixels
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        "saved_model",
        "model_float32.tflite",
        "model_float16.tflite",
        "model_dynamic_int8.tflite",
        "model_int8.tflite",
        "manifest.json",
        "labels.txt",
    }
    assert [artifact.quantization for artifact in artifacts] == ["none", "none", "float16", "dynamic_int8", "int8"]
    assert read_manifest(tmp_path) == artifacts
    assert (tmp_path / "labels.txt").read_text().splitlines() == list(class_names)


def test_unknown_format_is_refused_with_the_known_ones(small_classifier, image, class_names, tmp_path):
    with pytest.raises(ExportError, match="unknown formats: tflite_int4") as refused:
        export_formats(small_classifier, ["tflite_int4"], tmp_path, spec=image, class_names=class_names)
    assert "tflite_int8" in refused.value.hint
