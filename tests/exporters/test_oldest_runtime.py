"""Formats that the phones cannot read are refused before anything is trained or written."""

from pathlib import Path

import keras
import pytest

from tfkit.artifacts import TextSpec
from tfkit.errors import ExportError
from tfkit.exporters import export_formats
from tfkit.exporters.rehearsal import refuse_newer_formats
from tfkit.runtimes import read_portability

ALL = ("saved_model", "tflite_float32", "tflite_float16", "tflite_dynamic_int8", "tflite_int8")


def test_images_an_old_runtime_reads_all_but_dynamic_int8(small_classifier, image):
    with pytest.raises(ExportError) as told:
        refuse_newer_formats(small_classifier, ALL, spec=image, oldest="2.14")
    assert str(told.value) == (
        "TensorFlow Lite 2.14 cannot read every format asked for: tflite_dynamic_int8 needs 2.17.0 "
        "(FULLY_CONNECTED version 12)"
    )
    assert "it reads tflite_float32, tflite_float16, tflite_int8" in told.value.hint
    refuse_newer_formats(small_classifier, ALL, spec=image, oldest="2.17.0")
    refuse_newer_formats(small_classifier, ("saved_model",), spec=image, oldest="1.13")


def test_texts_are_told_with_what_their_files_will_say(small_text_classifier, tmp_path):
    text = TextSpec(8, Path())
    with pytest.raises(ExportError) as told:
        refuse_newer_formats(small_text_classifier, ALL, spec=text, oldest="2.2")
    (file,) = export_formats(
        small_text_classifier, ["tflite_dynamic_int8"], tmp_path, spec=text, class_names=("a", "b", "c")
    )
    assert f"tflite_dynamic_int8 needs {read_portability(file.path).min_runtime} (" in str(told.value)
    assert "EMBEDDING_LOOKUP version 4" in str(told.value) and "tflite_float32 needs" in str(told.value)


def test_layers_that_only_training_makes_whole_numbers_of_do_not_hide_the_rest(image):
    pixels = keras.Input(image.shape)
    rows = keras.layers.Reshape((32, 96))(keras.layers.Rescaling(1 / 255)(pixels))
    model = keras.Model(pixels, keras.layers.Dense(3)(keras.layers.GRU(4, unroll=True)(rows)))
    with pytest.raises(ExportError, match=r"tflite_dynamic_int8 needs 2\.17\.0"):
        refuse_newer_formats(model, ALL, spec=image, oldest="2.14")
