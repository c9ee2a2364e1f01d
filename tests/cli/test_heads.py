"""Models whose outputs or inputs are not what a classifier's files take for granted."""

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tfkit.cli.heads import head_of
from tfkit.cli.main import main
from tfkit.cli.targets import read_labels
from tfkit.errors import ModelError


def _model(units: int, activation: str | None, outputs: int = 1) -> keras.Model:
    pixels = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(pixels)
    heads = [keras.layers.Dense(units, activation=activation, name=f"head{i}")(pooled) for i in range(outputs)]
    return keras.Model(pixels, heads[0] if outputs == 1 else heads)


@pytest.mark.parametrize(
    ("units", "activation", "outputs", "told"),
    [(1, "sigmoid", 1, "one sigmoid unit"), (1, None, 1, "one unit"), (2, "softmax", 2, "2 outputs.*head0.*head1")],
)
def test_what_is_no_score_a_class_is_refused_by_name(units: int, activation: str, outputs: int, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        head_of(_model(units, activation, outputs), Path("m.keras"))


def test_scores_that_are_no_probabilities_are_said() -> None:
    assert head_of(_model(3, "softmax"), Path("m.keras")) == ""
    assert "logits" in head_of(_model(3, None), Path("m.keras"))
    assert "several labels" in head_of(_model(3, "sigmoid"), Path("m.keras"))


def test_a_byte_order_mark_is_no_part_of_a_label(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"\xef\xbb\xbfdark\r\nlight\r\n")
    assert read_labels(tmp_path / "labels.txt") == ("dark", "light")


def test_a_model_of_scaled_pixels_is_refused_by_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = _model(2, "softmax")
    model.layers[-1].set_weights([np.array([[-3.0, 3.0]] * 3), np.array([4.5, -4.5])])  # trained on pixels / 255
    model.save(tmp_path / "m.keras")
    for name, low, high in (("dark", 20, 100), ("light", 150, 240)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for place, level in enumerate(np.linspace(low, high, 12)):
            pixels = np.full((8, 8, 3), level, np.uint8)
            pixels[0, 0] = place
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{place}.png")
    out = str(tmp_path / "out")
    assert main(["export", str(tmp_path / "m.keras"), "--format", "tflite_float32", "--output", out]) == 0
    labels = tmp_path / "labels.txt"
    labels.write_text("dark\nlight\n")
    assert main(["verify", out, "--data", str(tmp_path / "data"), "--labels", str(labels)]) == 3
    told = " ".join("".join(capsys.readouterr()).split())
    assert "no better than chance" in told
    assert "range of the pixels" in told
