"""TensorFlow 2.21 with oneDNN crashes on some processors when a convolution narrower than 16 channels is trained."""

import functools
import os
import subprocess
import sys

import keras

NARROWEST_SAFE_CHANNELS = 16
_SECONDS = 180
_PROBE = """
import keras, numpy as np
for channels in (4, 8, 12):
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(channels, 3, use_bias=False),
        keras.layers.BatchNormalization(), keras.layers.ReLU(), keras.layers.Conv2D(channels, 3, strides=2),
        keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    model.fit(np.zeros((64, 32, 32, 3), "float32"), np.zeros(64, "int32"), epochs=2, verbose=0)
print("survived", flush=True)
"""


def narrow_convolutions(model: keras.Model) -> tuple[str, ...]:
    """The names of the convolutions narrower than 16 channels that are to be trained, in the order of the graph.

    Example:
        >>> narrow_convolutions(model)  # none is narrower than 16 channels
        ()
    """
    kinds = keras.layers.Conv2D | keras.layers.DepthwiseConv2D
    return tuple(
        layer.name
        for layer in model.layers
        if isinstance(layer, kinds) and layer.trainable and layer.output.shape[-1] < NARROWEST_SAFE_CHANNELS
    )


@functools.cache
def narrow_convolutions_crash() -> bool:
    """Whether training them crashes on this machine; found out once, in a process of its own (about 10 seconds).

    Returns:
        True when the process died of a signal or gave no answer. `TF_ENABLE_ONEDNN_OPTS=0` in the environment
        avoids the crash, and so does XLA.
    """
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
    try:
        process = subprocess.run(
            [sys.executable, "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True
    return "survived" not in process.stdout
