"""What Keras's layers compute at a price under JAX, computed at a lower one for as long as a model is trained."""

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import keras
from keras import ops

from tfkit.keras_types import Tensor

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


# Rows of a table up to which its gradient is a sum for each of them: BERT's segments are two.
_FEW_ROWS = 4


@contextlib.contextmanager
def quick_steps(model: keras.Model) -> Iterator[None]:
    """Under JAX, let a model's layers compute the same in fewer passes; they are Keras's own again behind it.

    BatchNorm: Keras takes the mean of the maps, and then that of the squares of what differs from it, in two passes;
    the gradient takes one more, for a sum that is always zero. Here both sums run over what differs from the running
    mean, at once, and their gradient has no sums of its own. Such a shift keeps the variance exact to float32's
    rounding as long as mean and running mean do not lie many standard deviations apart. Source: the shifted data
    algorithm of Chan, Golub and LeVeque 1983, Algorithms for Computing the Sample Variance, The American Statistician
    37(3).

    Tables of a few rows: the gradient of a lookup adds a row for each token, in bfloat16 one after the other where they
    meet in one. All tokens of a text have BERT's first segment; here the gradient of its table is a sum over them.

    Args:
        model: The model in training, or an objective around it; under another backend it is left alone.

    Example:
        >>> with quick_steps(model):
        ...     model.fit(batches)  # doctest: +SKIP
    """
    changed = list(_changes(model)) if keras.backend.backend() == "jax" else []
    for layer, method, quick in changed:
        setattr(layer, method, functools.partial(quick, layer))
    try:
        yield
    finally:
        for layer, method, _ in changed:
            delattr(layer, method)


def _changes(model: keras.Model) -> Iterator[tuple[keras.Layer, str, Callable[..., Tensor | tuple[Tensor, Tensor]]]]:
    """Layers, the method of each that is changed, and to what; a method that is not Keras's own is left alone."""
    for layer in model._flatten_layers():
        for kind, method, quick in (
            (keras.layers.BatchNormalization, "_moments", _moments),
            (keras.layers.Embedding, "call", _look_up),
        ):
            own = isinstance(layer, kind) and getattr(type(layer), method) is getattr(kind, method)
            if own and method not in vars(layer) and (quick is not _look_up or layer.input_dim <= _FEW_ROWS):
                yield layer, method, quick


def _moments(norm: keras.layers.BatchNormalization, inputs: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and variance of float32 maps, (channels,) each; with a mask, Keras's way."""
    if mask is not None:
        return keras.layers.BatchNormalization._moments(norm, inputs, mask)  # type: ignore[no-any-return]
    shape = [1] * len(inputs.shape)
    shape[norm.axis] = -1
    shift = ops.stop_gradient(ops.cast(norm.moving_mean, inputs.dtype))
    shifted = inputs - ops.reshape(shift, shape)
    mean = ops.mean(shifted, axis=norm._reduction_axes)
    variance = ops.mean(ops.square(shifted), axis=norm._reduction_axes) - ops.square(mean)
    return mean + shift, ops.maximum(variance, 0.0)


def _look_up(table: keras.layers.Embedding, inputs: Tensor) -> Tensor:
    """Rows of a table of few, to the bit: (..., hidden)."""
    ids = ops.expand_dims(inputs, -1)
    rows = ops.cast(table.embeddings, table.compute_dtype)
    found = ops.broadcast_to(rows[0], (*inputs.shape, rows.shape[-1]))
    for index in range(1, table.input_dim):
        found = ops.where(ids == index, rows[index], found)
    return found
