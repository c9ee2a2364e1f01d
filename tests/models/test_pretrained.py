"""Weights files: what they hold is counted, a nested backbone is found, and what matches nothing is refused."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.errors import ModelError
from tfkit.models import build_backbone
from tfkit.models.pretrained import load_weights_file

SMALL = ImageSpec(32, 32)
# Run by a process of its own: the two Keras do not go well together before one of them is set up.
KERAS_2 = """
import sys
import numpy as np
import tf_keras as keras
base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35)
base.trainable = "frozen" not in sys.argv
whole = keras.Sequential([keras.Input((32, 32, 3)), base, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
whole.save(sys.argv[1])
np.save(sys.argv[2], base.predict(np.full((1, 32, 32, 3), 0.5), verbose=0))
"""


def network(filters: int = 4) -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(filters, 3, name="first")(inputs)
    x = keras.layers.BatchNormalization(name="first_bn")(x)
    return keras.Model(inputs, keras.layers.Conv2D(2, 1, name="second")(x), name="net")


def classifier_of(base: keras.Model) -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(base(keras.layers.Rescaling(1 / 255)(inputs)))
    return keras.Model(inputs, keras.layers.Dense(3)(x))


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_backbone_is_found_in_every_kind_of_file(tmp_path: Path, name: str, nested: bool) -> None:
    kept, fresh = network(), network()
    model = classifier_of(kept) if nested else kept
    model.save_weights(tmp_path / name) if "weights" in name else model.save(tmp_path / name)
    load_weights_file(fresh, tmp_path / name)
    for ours, theirs in zip(fresh.get_weights(), kept.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5"])
def test_weights_that_match_nothing_are_refused_and_the_backbone_is_left_as_it_was(tmp_path: Path, name: str) -> None:
    other = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, name="fist")])
    other.save_weights(tmp_path / name) if "weights" in name else other.save(tmp_path / name)
    model = network()
    before = model.get_weights()
    with pytest.raises(ModelError, match="0 of its 8 tensors"):
        load_weights_file(model, tmp_path / name)
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_file_that_holds_a_part_tells_how_much_and_the_nearest(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 3))
    part = keras.Model(inputs, keras.layers.Conv2D(4, 3, name="first")(inputs))
    part.save(tmp_path / "part.h5")
    with pytest.raises(ModelError, match=r"2 of its 8 tensors; 'first_bn' is not in it; the nearest name is 'first'"):
        load_weights_file(network(), tmp_path / "part.h5")
    network(filters=6).save(tmp_path / "wide.h5")
    with pytest.raises(ModelError, match=r"'first' has \(3, 3, 3, 4\), \(4,\), the file's has \(3, 3, 3, 6\)"):
        load_weights_file(network(), tmp_path / "wide.h5")


@pytest.mark.slow
@pytest.mark.parametrize("state", ["trained", "frozen"])
def test_the_backbone_of_a_whole_keras_2_model_is_loaded(tmp_path: Path, state: str) -> None:
    files = [str(tmp_path / "whole.h5"), str(tmp_path / "answer.npy")]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run([sys.executable, "-c", KERAS_2, *files, state], check=True, env=quiet, capture_output=True)
    model = build_backbone("mobilenet_v2", image=SMALL, weights=files[0], width=0.35)
    answer = model.predict(np.full((1, 32, 32, 3), 1.5 * 127.5, "float32"), verbose=0)
    np.testing.assert_allclose(answer, np.load(files[1]), atol=1e-5)
