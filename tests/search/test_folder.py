"""A search's folder goes on with the same search only, and is never half written."""

from pathlib import Path
from typing import Any

import keras
import pytest

from tfkit.errors import RunError
from tfkit.search.folder import SearchFolder, fingerprint_of_model
from tfkit.search.result import Cut, FloatChoice, FloatLayer, LayerSensitivity, Reference

MADE_FROM = {"model": "a" * 64, "max_accuracy_drop": 0.005, "max_bytes": None, "flip": True}


def test_what_was_found_comes_back(tmp_path: Path) -> None:
    layer = LayerSensitivity("conv", ("conv", "bn"), ("dense",), 1e-3, -0.002)
    found = {
        "reference": Reference(0.9, 100, 1000, 4000, 0.3),
        "sensitivity": (layer,),
        "float_choice": FloatChoice((FloatLayer("conv", "it must"),), ((1, 0.01),)),
        "cuts": (Cut(0.5, 500, 9000, 2000, 0.1),),
    }
    SearchFolder(tmp_path / "search", MADE_FROM).keep(**found)
    again = SearchFolder(tmp_path / "search", dict(reversed(MADE_FROM.items())))
    assert {name: getattr(again.state, name) for name in found} == found
    assert not [path for path in again.path.iterdir() if "unfinished" in path.name]


def test_another_search_is_refused_with_what_differs(tmp_path: Path) -> None:
    SearchFolder(tmp_path, MADE_FROM)
    with pytest.raises(RunError, match=r"what differs: model: aaaaaaaa…, now bbbbbbbb…; max_bytes: None, now 5$"):
        SearchFolder(tmp_path, {**MADE_FROM, "model": "b" * 64, "max_bytes": 5})


def test_other_files_and_damage_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="holds something else than a search"):
        SearchFolder(tmp_path, MADE_FROM)
    (tmp_path / "search.json").write_text('{"version": 1')
    with pytest.raises(RunError, match="is damaged"):
        SearchFolder(tmp_path, MADE_FROM)


def test_what_an_interrupted_candidate_left_is_removed(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path, MADE_FROM)
    for name in ("qat.keras", "qat.tflite", "channels_50.keras"):
        (folder.candidates / name).write_text("half")
    folder.clear("qat")
    assert [path.name for path in folder.candidates.iterdir()] == ["channels_50.keras"]


def _model(*, scale: float = 1 / 255, activation: str = "relu", strides: int = 1, twice: bool = False) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, strides=strides, activation=activation)(keras.layers.Rescaling(scale)(inputs))
    other = keras.layers.Conv2D(8, 1)
    x = keras.layers.Add()([other(x), x] if twice else [x, other(x)])
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x[:, 1:])))


@pytest.mark.parametrize(
    "changes",
    [{"scale": 1.0}, {"activation": "tanh"}, {"strides": 2}, {"twice": True}],
    ids=lambda change: next(iter(change)),
)
def test_a_model_that_computes_otherwise_with_the_same_weights_is_another_one(changes: dict[str, Any]) -> None:
    assert fingerprint_of_model(_model(**changes)) != fingerprint_of_model(_model())


def test_the_same_model_built_twice_is_one_whatever_keras_calls_its_layers() -> None:
    assert fingerprint_of_model(_model()) == fingerprint_of_model(_model())
