"""Models whose outputs or inputs are not what a classifier's files take for granted."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfkit.artifacts import read_manifest
from tfkit.cli.main import main
from tfkit.opening.targets import read_labels


def _model(units: int, activation: str | None, outputs: int = 1) -> keras.Model:
    pixels = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(pixels)
    heads = [keras.layers.Dense(units, activation=activation, name=f"head{i}")(pooled) for i in range(outputs)]
    return keras.Model(pixels, heads[0] if outputs == 1 else heads)


def _export(model: keras.Model, folder: Path, *words: str) -> int:
    model.save(folder / "m.keras")
    return main(
        ["export", str(folder / "m.keras"), "--format", "tflite_float32", "--output", str(folder / "out"), *words]
    )


def _labels(folder: Path, *names: str) -> str:
    path = folder / "labels.txt"
    path.write_text("".join(f"{name}\n" for name in names))
    return str(path)


def _said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join("".join(capsys.readouterr()).split())


@pytest.fixture(scope="module")
def shades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve dark and twelve light pictures."""
    folder = tmp_path_factory.mktemp("shades")
    for name, low, high in (("dark", 20, 100), ("light", 150, 240)):
        (folder / name).mkdir()
        for place, level in enumerate(np.linspace(low, high, 12)):
            pixels = np.full((8, 8, 3), level, np.uint8)
            pixels[0, 0] = place
            Image.fromarray(pixels).save(folder / name / f"{place}.png")
    return folder


def _light(activation: str | None, units: int = 1) -> keras.Model:
    """Over .5, or over 0, for light pictures."""
    pixels = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(pixels))
    model = keras.Model(pixels, keras.layers.Dense(units, activation=activation)(pooled))
    model.layers[-1].set_weights([np.full((3, units), 6.0), np.full(units, -9.0)])
    return model


@pytest.mark.parametrize(
    ("units", "outputs", "told"), [(2, 2, "2 outputs: 'head0' (None, 2), 'head1' (None, 2)"), (1, 1, "softmax")]
)
def test_outputs_that_are_no_score_a_class_are_refused_by_name(
    units: int, outputs: int, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _export(_model(units, "softmax", outputs), tmp_path) == 1
    assert told in _said(capsys)


@pytest.mark.parametrize("words", [[], pytest.param(["--task", "classification"], marks=pytest.mark.slow)])
def test_one_sigmoid_unit_is_two_classes_in_every_file(
    words: list[str], shades: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = _light("sigmoid") if not words else _light(None)
    words += ["--calibration", str(shades), "--format", "saved_model", "--format", "tflite_int8"]
    assert _export(model, tmp_path, *words) == 0
    assert "two classes" in _said(capsys)
    pictures = [str(shades / "light" / "11.png"), str(shades / "dark" / "0.png")]
    for file in ("saved_model", "model_float32.tflite", "model_int8.tflite"):
        assert main(["predict", str(tmp_path / "out" / file), *pictures, "--top", "1", "--json"]) == 0
        answers = json.loads(capsys.readouterr().out)["images"]
        assert [answer["top"][0]["label"] for answer in answers] == ["light", "dark"]
    verify = ["verify", str(tmp_path / "out" / "model_int8.tflite"), "--data", str(shades), "--min-agreement", "1"]
    assert main([*verify, "--reference", str(tmp_path / "m.keras")]) == 0
    assert "accepted" in _said(capsys)


def test_one_linear_unit_is_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _export(_light(None), tmp_path) == 1
    assert "--task classification or --task regression" in _said(capsys)
    (tmp_path / "number").mkdir()
    assert _export(_light(None), tmp_path / "number", "--task", "regression") == 1
    assert "gives numbers" in _said(capsys)


def test_one_sigmoid_unit_of_a_file_from_elsewhere_is_two_classes(
    shades: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _light("sigmoid").export(tmp_path / "saved", verbose=False)
    path = tmp_path / "outside.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert())
    assert main(["verify", str(path), "--data", str(shades)]) == 0
    assert "100.00 %" in _said(capsys)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["softmax", None])
def test_a_saved_model_from_elsewhere_gives_classes_where_its_scores_sum_to_one(
    activation: str | None, shades: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _model(3, activation).export(tmp_path / "saved", verbose=False)
    assert main(["predict", str(tmp_path / "saved"), str(shades), "--resize", "stretch"]) == (0 if activation else 1)
    said = _said(capsys)
    assert ("may be logits" in said) == (activation is None)


def test_logits_are_asked_about_until_labels_say_what_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _export(_model(3, None), tmp_path) == 1
    assert "may be logits" in _said(capsys)
    assert _export(_model(3, None), tmp_path, "--labels", _labels(tmp_path, "a", "b", "c")) == 0
    assert "logits" in _said(capsys)


def test_sigmoid_units_are_labels_of_their_own_in_every_file(
    shades: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = _light("sigmoid", units=3)
    model.layers[-1].set_weights([np.full((3, 3), 6.0), np.array([-9.0, -20.0, 3.0])])
    words = ["--labels", _labels(tmp_path, "bright", "glaring", "any"), "--format", "saved_model"]
    assert _export(model, tmp_path, *words) == 0
    assert "several labels" in _said(capsys)
    assert {artifact.task for artifact in read_manifest(tmp_path / "out")} == {"multilabel"}
    served = tf.saved_model.load(str(tmp_path / "out" / "saved_model" / "1")).signatures["serving_default"]
    encoded = tf.constant([(shades / "light" / "11.png").read_bytes(), (shades / "dark" / "0.png").read_bytes()])
    assert served(image_bytes=encoded)["labels"].numpy().tolist() == [[b"bright", b"", b"any"], [b"", b"", b"any"]]
    pictures = [str(shades / "light" / "11.png"), str(shades / "dark" / "0.png")]
    for file in ("out/model_float32.tflite", "m.keras"):
        words = ["predict", str(tmp_path / file), *pictures, "--json", "--labels", str(tmp_path / "labels.txt")]
        assert main(words) == 0
        answers = json.loads(capsys.readouterr().out)["images"]
        assert [sorted(answer["labels"]) for answer in answers] == [["any", "bright"], ["any"]]


def test_several_labels_are_accepted_by_no_data_of_one_label(
    shades: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _export(_light("sigmoid", units=2), tmp_path, "--labels", _labels(tmp_path, "dark", "light")) == 0
    verify = ["verify", str(tmp_path / "out"), "--data", str(shades), "--min-agreement", "1"]
    assert main([*verify, "--reference", str(tmp_path / "m.keras")]) == 0
    told = _said(capsys)
    assert "accepted" not in told and "no labels compared" in told


def test_an_input_beside_the_picture_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels, age = keras.Input((8, 8, 3), name="pixels"), keras.Input((1,), name="age")
    joined = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(pixels), age])
    assert _export(keras.Model([pixels, age], keras.layers.Dense(2, activation="softmax")(joined)), tmp_path) == 1
    assert "'age' (None, 1)" in _said(capsys)


def test_a_byte_order_mark_is_no_part_of_a_label(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"\xef\xbb\xbfdark\r\nlight\r\n")
    assert read_labels(tmp_path / "labels.txt") == ("dark", "light")


def test_a_model_of_scaled_pixels_is_refused_by_verify(
    shades: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = _model(2, "softmax")
    model.layers[-1].set_weights([np.array([[-3.0, 3.0]] * 3), np.array([4.5, -4.5])])  # trained on pixels / 255
    assert _export(model, tmp_path) == 0
    assert "--input-range 0 1" in _said(capsys), "nothing scales its pixels, and there are none to try"
    words = ["verify", str(tmp_path / "out"), "--data", str(shades), "--labels", _labels(tmp_path, "dark", "light")]
    assert main(words) == 3
    told = _said(capsys)
    assert "no better than chance" in told
    assert "range of the pixels" in told


@pytest.mark.parametrize("kind", ["linear", "sigmoid"])
def test_numbers_are_predicted_as_they_are_and_never_served(
    kind: str, shades: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = _light(None if kind == "linear" else kind)
    model.save(tmp_path / "m.keras")
    (tmp_path / "m.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    picture = shades / "light" / "3.png"
    with Image.open(picture) as opened:
        expected = float(model.predict(np.asarray(opened, np.float32)[None], verbose=0)[0, 0])
    capsys.readouterr()
    for name in ("m.keras", "m.tflite"):
        assert main(["predict", str(tmp_path / name), str(picture), "--task", "regression", "--json"]) == 0
        (answer,) = json.loads(capsys.readouterr().out)["images"]
        assert answer["top"] == [{"label": "0", "score": pytest.approx(expected, abs=1e-4)}]
    labels = _labels(tmp_path, "brightness")
    words = ["predict", str(tmp_path / "m.tflite"), str(picture), "--task", "regression"]
    assert main([*words, "--labels", labels]) == 0
    assert "brightness" in _said(capsys)
    assert main(["verify", str(tmp_path / "m.tflite"), "--data", str(shades), "--task", "regression"]) == 1
    assert "of models from elsewhere tfkit exports and proves classifiers" in _said(capsys)
