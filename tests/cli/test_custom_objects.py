"""Models with layers of the user's own on the command line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tfkit.cli.main import main

_CODE = """
import keras

@keras.saving.register_keras_serializable("mine")
class Gain(keras.layers.Layer):
    def build(self, shape):
        self.gain = self.add_weight(name="gain", shape=(shape[-1],), initializer="ones")

    def call(self, tensor):
        return tensor * self.gain

class Same(keras.layers.Layer):
    def call(self, tensor):
        return tensor + 0.0
"""


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    path = tmp_path / "layers_of_mine.py"
    path.write_text(_CODE)
    return path


@pytest.fixture
def saved(layers: Path, tmp_path: Path) -> Iterator[Path]:
    """A model file with both kinds of layers, which nothing in this process knows any more."""
    import keras

    known = keras.saving.get_custom_objects()
    before = dict(known)
    own: dict = {"__name__": "elsewhere"}
    exec(layers.read_text(), own)
    inputs = keras.Input((12, 12, 3))
    x = own["Same"](name="same")(own["Gain"](name="gain")(keras.layers.Conv2D(4, 3)(inputs)))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x)))
    model.save(tmp_path / "own.keras")
    known.clear()
    known.update(before)
    yield tmp_path / "own.keras"
    known.clear()
    known.update(before)


def _export(saved: Path, *more: str) -> int:
    return main(["export", str(saved), "--format", "tflite_float32", "--output", str(saved.parent / "out"), *more])


def test_a_refusal_names_every_layer_of_ones_own(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _export(saved) == 1
    told = capsys.readouterr().err
    assert "'gain' (class Gain of module elsewhere)" in told and "'same' (class Same" in told
    assert "--custom-objects" in told


def test_a_named_file_makes_them_known(
    saved: Path, layers: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--custom-objects", str(layers)]
    (saved.parent / "labels.txt").write_text("blue\ngreen\nred\n")
    assert _export(saved, *given, "--labels", str(saved.parent / "labels.txt")) == 0
    image = str(pictures / "red" / "0.png")
    assert main(["predict", str(saved), image, *given]) == 0
    assert main(["benchmark", str(saved), "--runs", "1", "--seconds", "0", *given]) == 0
    file = str(saved.parent / "out" / "model_float32.tflite")
    assert main(["verify", file, "--data", str(pictures), "--reference", str(saved), *given]) == 0
    assert "100.00 %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("nowhere.py", "there is no file 'nowhere.py'"),
        ("no.such.module", "cannot be imported: ModuleNotFoundError"),
        ("json", "define no layer"),
        ("broken.py", "cannot be imported: ZeroDivisionError"),
    ],
)
def test_a_module_that_does_not_serve_is_told(
    module: str, told: str, saved: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(saved.parent)
    Path("broken.py").write_text("1 / 0\n")
    assert _export(saved, "--custom-objects", module) == 1
    assert told in capsys.readouterr().err
