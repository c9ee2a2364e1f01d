"""What a model takes and which score is which class: asked, and tried on labelled pictures before a file is written."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfkit.artifacts import CAFFE, IMAGENET, RAW, SYMMETRIC, UNIT, ImageSpec, PixelScaling
from tfkit.cli.main import main
from tfkit.cli.options import PixelOptions
from tfkit.errors import ConfigError
from tfkit.models import scales_its_pixels, taking_raw_pixels
from tfkit.runtimes import LiteRTRuntime
from tfkit.verification import find_label_order, probe_inputs

COLOURS = {"blue": (30, 60, 200), "green": (40, 190, 70), "red": (210, 50, 40)}
ORDER = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], np.float32)  # score 0 is blue


def _picture(rng: np.random.Generator, colour: tuple[int, ...]) -> np.ndarray:
    return np.clip(np.array(colour) + rng.integers(-30, 30, (8, 8, 3)), 0, 255).astype(np.uint8)


def _pictures(count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(3 * count) % 3
    return np.stack([_picture(rng, list(COLOURS.values())[label]) for label in labels]), labels.astype(np.int32)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("colours")
    for place, (pixels, label) in enumerate(zip(*_pictures(), strict=True)):
        path = folder / list(COLOURS)[label] / f"{place}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def _model(scaling: PixelScaling, *, order: np.ndarray = ORDER) -> keras.Model:
    """Right on the colours when its pixels are scaled so outside of it, and at a constant answer as raw pixels."""
    pixels = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(3, 1, activation="sigmoid", name="mix")(pixels)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(pixels, keras.layers.Softmax()(x))
    middle = scaling.applied(np.full((1, 1, 1, 3), 128, np.uint8)).reshape(3)
    steepness = 8 / np.ptp(scaling.ends)
    ordered = order[:, ::-1] if scaling.blue_first else order
    model.get_layer("mix").set_weights([(steepness * ordered.T)[None, None], -steepness * ordered @ middle])
    return model


def _told(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join("".join(capsys.readouterr()).split())


@pytest.mark.parametrize("scaling", [UNIT, SYMMETRIC, IMAGENET], ids=lambda one: one.words)
def test_pixels_scaled_outside_are_found_told_and_put_inside(
    scaling: PixelScaling, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _model(scaling).save(tmp_path / "m.keras")
    pixels, labels = _pictures()
    words = ["export", str(tmp_path / "m.keras"), "--format", "tflite_float32", "--calibration", str(data)]
    assert main([*words, "--output", str(tmp_path / "no")]) == 1
    told = _told(capsys)
    assert scaling.option in told and "right on" in told
    assert not list((tmp_path / "no").iterdir()), "nothing is written before it is told"
    assert main([*words, *scaling.option.split(), "--output", str(tmp_path / "out")]) == 0
    with LiteRTRuntime(tmp_path / "out" / "model_float32.tflite") as runtime:
        assert (runtime.scores(pixels).argmax(1) == labels).all()
    verify = ["verify", str(tmp_path / "out"), "--data", str(data), "--reference", str(tmp_path / "m.keras")]
    assert main([*verify, *scaling.option.split(), "--min-agreement", "1"]) == 0


def test_a_model_of_raw_pixels_is_left_alone(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _model(RAW).save(tmp_path / "m.keras")
    words = ["export", str(tmp_path / "m.keras"), "--format", "tflite_float32", "--output", str(tmp_path / "out")]
    assert main([*words, "--calibration", str(data)]) == 0
    assert "right on 100% of 36" in _told(capsys)


def test_labels_in_another_order_than_the_folders_are_told(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _model(RAW, order=ORDER[[2, 0, 1]]).save(tmp_path / "m.keras")
    words = ["export", str(tmp_path / "m.keras"), "--format", "tflite_float32", "--calibration", str(data)]
    assert main([*words, "--output", str(tmp_path / "no")]) == 1
    assert "order of the labels" in (told := _told(capsys)) and "as red, blue, green" in told
    labels = tmp_path / "labels.txt"
    labels.write_text("red\nblue\ngreen\n")
    assert main([*words, "--labels", str(labels), "--output", str(tmp_path / "out")]) == 0
    assert main(["verify", str(tmp_path / "out"), "--data", str(data)]) == 0
    labels.write_text("blue\nred\ngreen\n")
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "out"), "--data", str(data), "--labels", str(labels)]) == 3
    assert "as red, blue, green" in _told(capsys)


def _converted(model: keras.Model, folder: Path, scaling: PixelScaling | None) -> Path:
    """A file of the stock converter: float32, or int8 with the scale that scaled pictures give it."""
    model.export(folder / "saved", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
    if scaling is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        pictures = np.concatenate([_pictures()[0], np.zeros((1, 8, 8, 3)), np.full((1, 8, 8, 3), 255)])
        converter.representative_dataset = lambda: ([one[None]] for one in scaling.applied(pictures))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    path = folder / "outside.tflite"
    path.write_bytes(converter.convert())
    return path


def test_a_float_file_from_elsewhere_is_fed_as_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _converted(_model(UNIT), tmp_path, None)
    verify = ["verify", str(path), "--data", str(data)]
    assert main(verify) == 1
    assert "--input-range 0 1" in _told(capsys)
    assert main([*verify, "--input-range", "0", "1"]) == 0
    assert "100.00 %" in _told(capsys)


@pytest.mark.parametrize("scaling", [UNIT, SYMMETRIC, IMAGENET, RAW], ids=lambda one: one.words)
def test_an_8_bit_file_from_elsewhere_is_fed_by_its_own_scale(scaling: PixelScaling, tmp_path: Path) -> None:
    pixels, labels = _pictures()
    with LiteRTRuntime(_converted(_model(scaling), tmp_path, scaling)) as runtime:
        assert (runtime.scores(pixels).argmax(1) == labels).all()


def test_an_8_bit_file_of_no_usual_range_is_asked_about(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = PixelScaling.standardised((120.0,), (90.0,))
    path = _converted(_model(odd), tmp_path, odd)
    assert main(["predict", str(path), str(next((data / "red").iterdir()))]) == 1
    assert "--input-mean" in _told(capsys)
    words = ["verify", str(path), "--data", str(data), "--input-mean", "120", "--input-std", "90"]
    assert main(words) == 0
    assert "100.00 %" in _told(capsys)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (((1.0, 0.0), None, None, "rgb"), "smaller one first"),
        ((None, "a,b", None, "rgb"), "numbers with commas"),
        ((None, "1,2", None, "rgb"), "one number, or three"),
        ((None, "1", "0", "rgb"), "more than 0"),
        ((None, ".485,.456,.406", ".229,.224,.225", "rgb"), "add --input-range 0 1"),
    ],
)
def test_what_is_said_of_pixels_is_checked(words: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        PixelOptions(*words).scaling()


def test_what_is_said_of_pixels_comes_back_in_words() -> None:
    said = PixelOptions((0, 1), ".485,.456,.406", ".229,.224,.225").scaling()
    assert said == IMAGENET and PixelOptions().scaling() is None
    assert PixelOptions((-1, 1), input_channels="bgr").scaling() == PixelScaling.of_range(-1, 1, blue_first=True)


@pytest.mark.parametrize("scaling", [UNIT, IMAGENET, CAFFE], ids=lambda one: one.words)
def test_scaling_put_inside_gives_the_same_answers(scaling: PixelScaling) -> None:
    model, pixels = _model(scaling), _pictures()[0]
    copy = taking_raw_pixels(model, ImageSpec(8, 8), scaling)
    expected = model.predict(scaling.applied(pixels), verbose=0)
    np.testing.assert_allclose(copy.predict(pixels.astype("float32"), verbose=0), expected, atol=1e-4)
    assert scales_its_pixels(copy) or scaling.blue_first
    assert not scales_its_pixels(model)


def test_few_pictures_of_many_classes_prove_no_order() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(200) % 100
    assert find_label_order(rng.random((200, 100), np.float32), labels.astype(np.int32), classes=100) is None
    order = rng.permutation(100)
    found = find_label_order(np.eye(100, dtype=np.float32)[order][labels], labels.astype(np.int32), classes=100)
    assert found is not None and found.accuracy > 0.9 and found.classes == tuple(np.argsort(order))


@pytest.mark.parametrize("learned", [CAFFE, PixelScaling.of_range(0, 1, blue_first=True)], ids=lambda one: one.words)
def test_blue_first_is_found(learned: PixelScaling) -> None:
    labels = np.arange(90, dtype=np.int32) % 3

    def scores(scaling: PixelScaling) -> np.ndarray:
        sure = np.eye(3, dtype=np.float32)[labels]
        if scaling == learned:
            return sure
        is_near = scaling.ends == learned.ends  # its channels turned round cost it every third picture
        return np.where((np.arange(90) // 3 % 3 == 0)[:, None] | (not is_near), np.float32([1, 0, 0]), sure)

    finding = probe_inputs(scores, labels, given=RAW, classes=3)
    assert finding.ways[0] == learned and finding.order is None


def test_a_model_that_guesses_is_told_nothing_of_its_pixels() -> None:
    rng = np.random.default_rng(2)
    labels = np.arange(100, dtype=np.int32) % 4
    finding = probe_inputs(lambda _: rng.random((100, 4), np.float32), labels, given=RAW, classes=4)
    assert not finding.ways and finding.order is None
