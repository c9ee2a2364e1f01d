"""Load tf-keras and tensorflow-model-optimization beside Keras 3, in the same process, without touching either.

tensorflow-model-optimization writes `TF_USE_LEGACY_KERAS=1` into the environment when it is imported, and then takes
what `tf.keras` stands for. Left alone, that turns `tf.keras` into Keras 2 for the whole process and for every child of
it. Here `tf.keras` is settled first, so that it stays Keras 3 and tfmot falls back to tf-keras, and the environment is
put back as it was.
"""

import functools
import importlib
import os
from types import ModuleType

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
