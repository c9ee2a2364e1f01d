"""What a model took for raw pixels outside of it is put inside: as was said."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tfkit.artifacts import UNIT, ImageSpec
from tfkit.errors import ModelError
from tfkit.models import build_backbone, preprocessor_scaling

IMAGE = ImageSpec(16, 16)
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.float32)


def _network() -> keras.Model:
    pixels = keras.Input((16, 16, 3))
    maps = keras.layers.Conv2D(4, 3, name="maps", activation="relu")(pixels)
    return keras.Model(pixels, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(maps)))


def test_a_backbone_from_a_file_takes_raw_pixels_when_its_range_is_said(tmp_path: Path) -> None:
    network = _network()
    assert preprocessor_scaling(network) is None
    network.save(tmp_path / "m.keras")
    backbone = build_backbone(str(tmp_path / "m.keras"), image=IMAGE, scaling=UNIT)
    maps = keras.Model(network.inputs, network.get_layer("maps").output)
    expected = maps.predict(PIXELS / 255, verbose=0)
    np.testing.assert_allclose(backbone.predict(PIXELS, verbose=0), expected, atol=1e-5)


def test_a_range_is_no_matter_of_a_backbone_with_a_name() -> None:
    with pytest.raises(ModelError, match="brings its own preprocessing"):
        build_backbone("resnet8", image=IMAGE, scaling=UNIT)
