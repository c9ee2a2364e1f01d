"""A tf-keras model together with how its pixels are rescaled before they go in."""

import functools
import importlib
import os
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tfkit.graph import give_weights
from tfkit.keras_types import Array

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras


_FLAG = "TF_USE_LEGACY_KERAS"


@functools.cache
def load_tf_keras() -> ModuleType:
    """The `tf_keras` package, Keras 2 under its own name."""
    return importlib.import_module("tf_keras")


@functools.cache
def load_tfmot() -> ModuleType:
    """The `tensorflow_model_optimization` package, bound to tf-keras."""
    import tensorflow as tf

    _ = tf.keras.Model  # resolves the lazy `tf.keras` while the environment is still the user's
    before = os.environ.get(_FLAG)
    try:
        return importlib.import_module("tensorflow_model_optimization")
    finally:
        if before is None:
            os.environ.pop(_FLAG, None)
        else:
            os.environ[_FLAG] = before


_LARGEST_PIXEL = 255.0


@dataclass(frozen=True)
class TfKerasTwin:
    """A tf-keras model that does what a Keras 3 classifier does, less the Rescaling in front of it.

    Attributes:
        model: The `tf_keras.Model`, flat, from rescaled pixels, float32 (n, height, width, channels), to what the
            Keras model gives.
        pixel_scale: What a 0..255 pixel is multiplied by before it goes in.
        pixel_offset: What is added then. A quantised twin's offset is a whole number of quantisation steps, up to half
            a step from the Keras model's: TFLite's zero points are integers.
        left_out: Names of the Keras layers that the twin does without: the leading Rescaling, and augmentation layers,
            which do nothing outside training (augment in the batches instead).
    """

    model: "tf_keras.Model"
    pixel_scale: float = 1.0
    pixel_offset: float = 0.0
    left_out: tuple[str, ...] = ()

    @property
    def zero_point(self) -> int:
        """The uint8 pixel that stands for 0 after rescaling, to the nearest whole one."""
        return int(np.floor(-self.pixel_offset / self.pixel_scale + 0.5))

    def rescale(self, pixels: "tf.Tensor | Array") -> "tf.Tensor":
        """Turn pixels in 0..255 (any type; a tensor or an array) into the model's float32 input."""
        import tensorflow as tf

        clipped = tf.clip_by_value(tf.cast(pixels, tf.float32), 0.0, _LARGEST_PIXEL)
        return clipped * self.pixel_scale + self.pixel_offset

    def scores(self, pixels: Array, *, batch_size: int = 64) -> NDArray[np.float32]:
        """Run the model as it runs outside training, its quantisers included.

        Args:
            pixels: (n, height, width, channels), 0..255.
            batch_size: Images in a batch.

        Returns:
            float32 (n, classes), what the model gives: scores, or logits where the Keras model gave logits.
        """
        import tensorflow as tf

        starts = range(0, len(pixels), batch_size)
        run = tf.function(lambda batch: self.model(self.rescale(batch), training=False), reduce_retracing=True)
        return np.concatenate([run(pixels[start : start + batch_size]).numpy() for start in starts])


def copied_model(model: "tf_keras.Model") -> "tf_keras.Model":
    """Copy a tf-keras model of plain layers with its weights: tfmot shares layers with the model that it is given."""
    copy = load_tf_keras().models.clone_model(model)
    give_weights(copy, model.get_weights())
    return copy
