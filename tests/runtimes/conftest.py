"""The small classifier as the files that runtimes open."""

import pytest

from tfkit.exporters import convert_to_float, export_saved_model, export_tflite


@pytest.fixture(scope="session")
def float_file(small_classifier, image, class_names, tmp_path_factory):
    path = tmp_path_factory.mktemp("float") / "model.tflite"
    export_tflite(small_classifier, path, quantization="none", spec=image, class_names=class_names)
    return path


@pytest.fixture(scope="session")
def int8_file(small_classifier, image, class_names, random_pixels, tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / "model.tflite"
    export_tflite(
        small_classifier,
        path,
        quantization="int8",
        spec=image,
        class_names=class_names,
        calibration=random_pixels,
        float_flatbuffer=convert_to_float(small_classifier, spec=image),
    )
    return path


@pytest.fixture(scope="session")
def saved_model(small_classifier, image, class_names, tmp_path_factory):
    directory = tmp_path_factory.mktemp("export") / "saved_model"
    return export_saved_model(small_classifier, directory, spec=image, class_names=class_names).path
