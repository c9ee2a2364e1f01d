"""A tiny classifier, the pictures it was made for, and its exported files."""

from pathlib import Path

import pytest

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of plain colours, six PNG pictures each, of several shapes."""
    import numpy as np
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir()
        for number in range(6):
            noise = rng.integers(-40, 40, (20 + number, 24, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            (folder / name / f"{number}.png").write_bytes(tf.io.encode_png(pixels).numpy())
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Keras model that tells the colours apart: its weights are set, not trained."""
    import keras
    import numpy as np

    inputs = keras.Input((16, 16, 3), name="pixels")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(3, 1, name="mix")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = keras.Model(inputs, keras.layers.Softmax(name="scores")(x))
    kernel = 4 * np.eye(3)[:, ::-1].reshape(1, 1, 3, 3)
    network.get_layer("mix").set_weights([kernel.astype("float32"), np.zeros(3, "float32")])
    path = tmp_path_factory.mktemp("model") / "colours.keras"
    network.save(path)
    return path


@pytest.fixture(scope="session")
def exported(model: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its artifacts folder, made by `tfkit export`."""
    from tfkit.cli.main import main

    folder = tmp_path_factory.mktemp("exported") / "artifacts"
    words = ["export", str(model), "--output", str(folder), "--calibration", str(pictures)]
    assert main([*words, "--format", "saved_model", "--format", "tflite_float32", "--format", "tflite_int8"]) == 0
    return folder
