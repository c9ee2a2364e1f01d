"""What no file can hold is told before anything is trained."""

import keras
import numpy as np
import pytest

from tfkit.artifacts import FORMAT_NAMES, ImageSpec
from tfkit.cli.main import main
from tfkit.compression import QuantizationPolicy
from tfkit.errors import ExportError
from tfkit.exporters import rehearse_export

L = keras.layers
IMAGE = ImageSpec(16, 16, 3)
RECIPE = """\
recipe: finetune_image
run: {{directory: {folder}/runs}}
data: {{source: image_folder, directory: {folder}/pictures, image_size: 16, batch_size: 4}}
model: {{backbone: {folder}/backbone.keras}}
head: {{epochs: 1}}
export: {{formats: [saved_model, tflite_float32]}}
"""


def _pixels():
    return np.random.default_rng(0).integers(0, 256, (8, *IMAGE.shape), dtype=np.uint8)


def _untrained():
    """Biases and head of zeros, as they begin."""
    pixels = keras.Input(IMAGE.shape)
    x = L.Conv2D(16, 3, padding="same", name="conv")(L.Rescaling(1 / 255)(pixels))
    x = L.ReLU()(L.BatchNormalization()(L.Conv2DTranspose(16, 3, activation="relu", name="wider")(x)))
    return keras.Model(pixels, L.Dense(3, "softmax", kernel_initializer="zeros")(L.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("policy", [None, QuantizationPolicy()])
def test_every_format_of_an_untrained_model_is_rehearsed_and_its_weights_are_left_alone(policy):
    model = _untrained()
    before = model.get_weights()
    told = []
    rehearse_export(
        model,
        FORMAT_NAMES,
        spec=IMAGE,
        class_names=("a", "b", "c"),
        samples=_pixels(),
        quantization=policy,
        progress=lambda done, total, name: told.append(name),
    )
    assert set(told) | ({"tflite_int8", "onnx_int8"} if policy else set()) == set(FORMAT_NAMES)
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))


def test_the_integer_file_alone_is_rehearsed_too():
    rehearse_export(
        _untrained(),
        ["tflite_int8"],
        spec=IMAGE,
        class_names=("a", "b", "c"),
        samples=_pixels(),
        quantization=QuantizationPolicy(),
    )


def _without_operator():
    features = keras.Input(IMAGE.shape)
    x = L.Conv2D(16, 3, activation="tanh", name="conv")(L.Rescaling(1 / 255)(features))
    return keras.Model(features, L.Conv2D(16, 1, name="last")(keras.ops.erfinv(x * 0.5)), name="backbone")


def test_what_tflite_has_no_operator_for_is_told(tmp_path):
    backbone = _without_operator()
    scores = L.Dense(2, "softmax")(L.GlobalAveragePooling2D()(backbone.output))
    with pytest.raises(ExportError, match="no builtin operator for Erfinv"):
        rehearse_export(
            keras.Model(backbone.input, scores), ["tflite_float32"], spec=IMAGE, class_names="ab", samples=_pixels()
        )


def test_check_and_run_tell_it_before_anything_is_trained_or_written(tmp_path, capsys):
    _without_operator().save(tmp_path / "backbone.keras")
    for number, picture in enumerate(_pixels()):
        path = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        keras.utils.save_img(path, picture, scale=False)
    recipe = tmp_path / "colours.yaml"
    recipe.write_text(RECIPE.format(folder=tmp_path))
    for command in ("check", "run"):
        assert main([command, str(recipe)]) == 1
        assert "no builtin operator for Erfinv" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "runs").exists()
