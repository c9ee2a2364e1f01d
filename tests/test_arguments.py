"""Public functions take what a notebook writes: paths as text; a misspelt choice is told, not taken for another one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tfkit import artifacts, compression, config, data, exporters, models, runtimes, training
from tfkit.artifacts import ImageSpec
from tfkit.compression.channels import plan_channel_pruning
from tfkit.data import text
from tfkit.errors import ModelError, TfkitError

_IMAGE = ImageSpec(16, 16, 1)


def _network() -> keras.Model:
    inputs = keras.Input(_IMAGE.shape)
    x = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x)))


def test_paths_may_be_written_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder: Any = "made"  # Any: annotations ask for a Path
    named = {"spec": _IMAGE, "class_names": ("no", "yes")}
    models.save_model_file(_network(), f"{folder}/model.keras")
    model = models.load_model_file(f"{folder}/model.keras")
    exporters.export_formats(model, ("tflite_float32", "saved_model"), directory=folder, **named)
    exporters.export_tflite(model, f"{folder}/16.tflite", quantization="float16", **named)
    assert runtimes.read_operators(f"{folder}/16.tflite")
    with runtimes.LiteRTRuntime(f"{folder}/16.tflite") as opened:
        assert opened.scores(np.zeros((1, *_IMAGE.shape), np.uint8)).shape == (1, 2)
    assert len(artifacts.read_manifest(folder)) == 2
    assert artifacts.RunDirectory(folder).recipe == Path("made/recipe.yaml")
    Path("texts.csv").write_text("text,label\nwhere is it,find\nI lost it,find\nthank you,thanks\nthanks,thanks\n")
    assert len(text.load_text_examples("texts.csv", class_names=("find", "thanks"))) == 4
    Path("own.yaml").write_text(
        "recipe: finetune_image\ndata: {source: digits, image_size: 16, channels: 1}\nhead: {}\n"
    )
    assert config.load_recipe("own.yaml").data.source == "digits"


_SPLITS: Any = None
_OPTIMIZATION = training.Optimization(epochs=1, learning_rate=1e-3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: data.load_image_splits(source="folder"),
            "source must be 'image_folder', 'npz', 'csv', 'tfds', 'digits' or 'shapes'",
        ),
        (lambda: text.load_text_splits(source="xlsx"), "source must be 'csv', "),
        (lambda: data.training_batches(_SPLITS, _IMAGE, batch_size=8, augmentation="lite"), "got 'lite'"),
        (lambda: data.training_batches(_SPLITS, _IMAGE, batch_size=8, mixing="mixUp"), "'mixup' or 'cutmix'"),
        (lambda: training.Optimization(epochs=1, learning_rate=1.0, schedule="cosin"), "schedule must be 'constant'"),
        (lambda: compression.PruningSettings(method="magnitud"), "method must be 'magnitude'"),
        (lambda: models.build_classifier(_network(), classes=2, pooling="mean"), "pooling must be 'average'"),
        (lambda: models.text.build_text_embedder(_network(), pooling="max"), "pooling must be 'cls' or 'mean'"),
        (lambda: plan_channel_pruning(_network(), criterion="norm", keep=0.5), "criterion must be one of bn_scale"),
        (
            lambda: exporters.export_tflite(_network(), Path("x"), quantization="int4", spec=_IMAGE, class_names=()),
            "quantization must be 'none'",
        ),
        (
            lambda: training.fine_tune(
                _network(), _SPLITS, _SPLITS, _IMAGE, optimization=_OPTIMIZATION, precision="float16"
            ),
            "precision must be 'float32', 'mixed_float16' or 'mixed_bfloat16'; got 'float16'",
        ),
        (
            lambda: training.fine_tune(_network(), _SPLITS, _SPLITS, _IMAGE, optimization=_OPTIMIZATION, jit="no"),
            "jit must be 'auto' when it is a text; got 'no'",
        ),
    ],
)
def test_a_misspelt_choice_is_told_before_any_work(call: Callable[[], object], words: str) -> None:
    with pytest.raises(TfkitError, match=words):
        call()


def test_a_model_without_a_head_of_tfkit_is_told_how_to_get_one() -> None:
    splits = data.load_image_splits(source="digits", channels=1)
    with pytest.raises(ModelError, match="has no layer 'pooling', behind which a classifier's head begins"):
        training.fine_tune(_network(), splits.train, splits.validation, _IMAGE, optimization=_OPTIMIZATION)
