"""Files of Keras 2: built again in Keras 3 with the same answers, or refused by the layer's name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from tfkit.errors import ModelError
from tfkit.models import load_model_file

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype("float32")
# Made by a process of its own, as Keras 2 would be.
MAKE = """
import sys
import numpy as np
import tensorflow as tf
import tf_keras as keras
L, folder = keras.layers, sys.argv[1]
pixels = np.load(f"{folder}/pixels.npy")
inputs = keras.Input((16, 16, 3))

def head(x):
    return L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(x))

def base():
    x = L.BatchNormalization(name="Conv/BatchNorm")(L.Conv2D(8, 3, use_bias=False, name="Conv")(inputs))
    return keras.Model(inputs, L.ReLU(6.0)(x), name="base")

def adapted():
    layer = L.Normalization()
    layer.adapt(pixels)
    return layer(inputs)

shared = base()
models = {
    "nested": keras.Sequential([L.Rescaling(1 / 127.5, -1, input_shape=(16, 16, 3)), base(), L.Flatten(), L.Dense(3)]),
    "twice": keras.Model(inputs, head(shared(inputs / 127.5 - 1.0, training=False) + shared(inputs / 255.0))),
    "caffe": keras.Model(inputs, head(L.Conv2D(4, 3)(keras.applications.resnet50.preprocess_input(inputs)))),
    "kinds": keras.Model(inputs, head(L.PReLU(shared_axes=[1, 2])(L.LeakyReLU(0.1)(L.Conv2DTranspose(4, 3, strides=2)(
        L.SeparableConv2D(6, 3, activation="swish")(L.DepthwiseConv2D(3)(L.RandomFlip()(adapted())))))))),
    "rows": keras.Model(inputs, L.Dense(3)(L.Bidirectional(L.LSTM(4))(L.GRU(5, return_sequences=True)(
        L.TimeDistributed(L.Dense(4))(L.Reshape((16, 48))(L.Rescaling(1 / 255)(inputs))))))),
    "unlike": keras.Model(inputs, head(L.Conv2D(4, 3, activation="hard_sigmoid", name="changed")(inputs))),
    "code": keras.Model(inputs, head(L.Lambda(lambda x: x / 255.0, name="mine")(inputs))),
}
for name, model in models.items():
    for weight in model.weights:
        if "moving_variance" in weight.name:
            weight.assign(weight + 0.5)
    # Keras 2 itself cannot write caffe's slice into a .keras file; folders take seconds to write.
    for ending in (".h5",) + (() if name == "caffe" else (".keras",)) + (("",) if name in ("nested", "code") else ()):
        model.save(f"{folder}/{name}{ending}")
    np.save(f"{folder}/{name}.npy", model.predict(pixels, verbose=0))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("keras2")
    np.save(made / "pixels.npy", PIXELS)
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run([sys.executable, "-c", MAKE, str(made)], env=quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return made


@pytest.mark.parametrize(
    "name",
    [
        "nested.h5",
        "nested.keras",
        "nested",
        "twice.h5",
        "twice.keras",
        "caffe.h5",
        "kinds.h5",
        "kinds.keras",
        "rows.keras",
    ],
)
def test_every_kind_of_file_answers_as_keras_2_did(folder: Path, name: str) -> None:
    answers = load_model_file(folder / name).predict(PIXELS, verbose=0)
    np.testing.assert_allclose(answers, np.load(folder / f"{name.split('.')[0]}.npy"), atol=1e-4)


def test_a_converted_model_is_saved_and_loaded_as_keras_3(folder: Path, tmp_path: Path) -> None:
    for name in ("twice", "caffe"):
        load_model_file(folder / f"{name}.h5").save(tmp_path / "again.keras")
        again = load_model_file(tmp_path / "again.keras").predict(PIXELS, verbose=0)
        np.testing.assert_allclose(again, np.load(folder / f"{name}.npy"), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("unlike.h5", "'changed'.*another function"),
        ("code.h5", "'mine'.*Python code"),
        ("code.keras", "'mine'.*Python code"),
        ("code", "'mine'.*Python code"),
    ],
)
def test_what_has_no_counterpart_is_named(folder: Path, name: str, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        load_model_file(folder / name)


def test_a_file_that_names_a_function_of_the_system_is_refused_before_it_is_loaded(
    folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "attack.h5"
    file.write_bytes((folder / "nested.h5").read_bytes())
    with h5py.File(file, "r+") as content:
        config = json.loads(content.attrs["model_config"])
        config["config"]["layers"][1] = {"module": "os", "class_name": "system", "config": {"command": "true"}}
        content.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ModelError, match=r"os\.system.*none of Keras's own"):
        load_model_file(file)


def test_a_saved_model_without_keras_layers_is_told(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ModelError, match=r"SavedModel.*without Keras's layers"):
        load_model_file(tmp_path)
