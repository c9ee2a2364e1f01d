"""Integer files as models: they answer as LiteRT does, train against their float file, and are written back."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfkit
from tfkit.cli.main import main
from tfkit.errors import ModelError
from tfkit.file_tuning import Tuning, read_integer_file, tune, written_back
from tfkit.runtimes import LiteRTRuntime

SIDE, CLASSES = 16, 4


def pictures(count: int, seed: int = 0) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3))
    return blocks.repeat(4, 1).repeat(4, 2).astype(np.uint8)


def convolutional() -> keras.Model:
    given = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(given)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu6")(x)
    beside = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = keras.layers.Add()([keras.layers.Conv2D(8, 1)(beside), x])
    x = keras.layers.Concatenate()([keras.layers.MaxPooling2D(2)(x), keras.layers.AveragePooling2D(2)(x)])
    x = keras.layers.ZeroPadding2D(1)(x)
    x = keras.layers.Conv2D(12, 3, activation="hard_swish")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(given, keras.layers.Dense(CLASSES, activation="softmax")(x))


def files(model: keras.Model, folder: Path, *, kind: tf.DType = tf.int8, steep: float = 1.0) -> tuple[Path, Path]:
    """TensorFlow's own files: int8 by calibration, and float."""
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([steep * weight for weight in layer.get_weights()])
    made = []
    for name in ("int8", "float32"):
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if name == "int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            shown = pictures(32, seed=5).astype(np.float32)
            converter.representative_dataset = lambda: ([row[None]] for row in shown)  # noqa: B023 - used at once
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = kind
        path = folder / f"{name}.tflite"
        path.write_bytes(converter.convert())
        made.append(path)
    return made[0], made[1]


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    keras.utils.set_random_seed(0)
    return files(convolutional(), tmp_path, steep=1.5)


@pytest.mark.parametrize("kind", [tf.int8, tf.uint8], ids=["int8", "uint8"])
def test_a_file_that_is_read_answers_as_litert_does(tmp_path: Path, kind: tf.DType) -> None:
    keras.utils.set_random_seed(0)
    file, _ = files(convolutional(), tmp_path, kind=kind)
    model, shown = read_integer_file(file), pictures(50)
    with LiteRTRuntime(file) as runtime:
        expected, inputs = runtime.scores(shown), runtime.encoded(shown)
    steps = model(inputs).numpy()
    (number,) = model.graph.outputs.values()
    scale, zero = model.tensor(number).scales[0], model.tensor(number).zero_points[0]
    apart = np.abs((steps - zero) * scale - expected) / scale
    assert apart.max() <= 1.01 and (apart > 0.5).mean() < 0.1, "LiteRT's tables and means round otherwise now and then"


def test_what_was_not_trained_is_written_back_as_it_was(made: tuple[Path, Path], tmp_path: Path) -> None:
    again = tmp_path / "again.tflite"
    again.write_bytes(written_back(made[0].read_bytes(), read_integer_file(made[0])))
    with LiteRTRuntime(made[0]) as old, LiteRTRuntime(again) as new:
        np.testing.assert_array_equal(old.scores(pictures(20)), new.scores(pictures(20)))


def test_files_that_stand_behind_are_kept(made: tuple[Path, Path], tmp_path: Path) -> None:
    from tfkit.artifacts import ImageSpec
    from tfkit.exporters.metadata import with_metadata
    from tfkit.exporters.normalization import normalized
    from tfkit.runtimes.file_metadata import metadata_labels

    names = tuple("abcd")
    content = with_metadata(normalized(made[0].read_bytes()), spec=ImageSpec(SIDE, SIDE), class_names=names)
    told = tmp_path / "told.tflite"
    told.write_bytes(content)
    model = read_integer_file(told)
    told.write_bytes(written_back(content, model))
    assert metadata_labels(told) == names


def test_training_brings_a_file_nearer_to_its_teacher_and_the_file_is_the_model(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    shown, fresh = pictures(300), pictures(200, seed=9)
    with LiteRTRuntime(made[0]) as student, LiteRTRuntime(made[1]) as teacher:
        inputs, wanted = student.encoded(shown), teacher.scores(shown)
        before, expected = student.scores(fresh), teacher.scores(fresh)
        asked = student.encoded(fresh)
    model = read_integer_file(made[0])
    told = tune(model, inputs, wanted, Tuning(epochs=6))
    assert told.best > 0 and told.losses[told.best] < told.losses[0] and told.trained == 240
    path = tmp_path / "tuned.tflite"
    path.write_bytes(written_back(made[0].read_bytes(), model))
    with LiteRTRuntime(path) as runtime:
        after = runtime.scores(fresh)
    assert np.abs(after - expected).mean() < np.abs(before - expected).mean()
    (number,) = model.graph.outputs.values()
    steps = (model(asked).numpy() - model.tensor(number).zero_points[0]) * model.tensor(number).scales[0]
    assert np.abs(steps - after).max() <= 1.01 * model.tensor(number).scales[0]
    assert read_integer_file(path).count_params() == model.count_params()


def test_the_same_seed_gives_the_same_file(made: tuple[Path, Path]) -> None:
    with LiteRTRuntime(made[0]) as student, LiteRTRuntime(made[1]) as teacher:
        inputs, wanted = student.encoded(pictures(40)), teacher.scores(pictures(40))
    found = []
    for _ in range(2):
        model = read_integer_file(made[0])
        tune(model, inputs, wanted, Tuning(epochs=2))
        found.append(written_back(made[0].read_bytes(), model))
    assert found[0] == found[1]


def test_training_that_helps_nothing_changes_nothing(made: tuple[Path, Path]) -> None:
    with LiteRTRuntime(made[0]) as student:
        inputs, own = student.encoded(pictures(40)), student.scores(pictures(40))
    model = read_integer_file(made[0])
    before = [weight.copy() for weight in model.get_weights()]
    assert tune(model, inputs, own, Tuning(epochs=1, learning_rate=20.0)).best == 0, (
        "its own answers are as near as can be"
    )
    for mine, was in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, was)


def test_what_cannot_be_trained_is_told_by_its_operators(tmp_path: Path) -> None:
    given = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.UpSampling2D(2, interpolation="bilinear")(keras.layers.Conv2D(4, 3)(given))
    model = keras.Model(given, keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(x)))
    file, _ = files(model, tmp_path)
    with pytest.raises(ModelError, match=r"no rule trains: RESIZE_BILINEAR$"):
        read_integer_file(file)
    with pytest.raises(ModelError, match="no integer weights"):
        read_integer_file(files(convolutional(), tmp_path)[1])


def test_the_command_trains_a_file_on_pictures_without_labels(made: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, picture in enumerate(pictures(60)):
        (folder / f"{number}.png").write_bytes(tf.io.encode_png(picture).numpy())
    out = tmp_path / "tuned.tflite"
    words = ["tune-file", str(made[0]), str(folder), "--teacher", str(made[1]), "--output", str(out), "--epochs", "4"]
    assert main(words) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "answers as its file, to the step" in told and ("the new file is" in told) == out.exists()
    if out.exists():
        assert main(words) == 1 and "exists already" in capsys.readouterr().err
    tuned = tfkit.tune_file(made[0], made[1], folder, tmp_path / "other.tflite", plan=Tuning(epochs=1))
    assert tuned.pictures == 60 and 0 <= tuned.same_before <= 1
