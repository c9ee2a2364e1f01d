"""Layers and operations of Keras 2 in the words of Keras 3."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import keras
import numpy as np

from tfkit.keras_types import Tensor

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras

# What Keras 2 wrote into configurations and Keras 3 does without; none of them changes what a layer answers.
_WITHOUT_MEANING = {
    "batch_input_shape",
    "sparse",
    "ragged",
    "implementation",
    "fused",
    "experimental_autocast",
    "input_dim",
    "input_length",
    "synchronized",
    "vocabulary_size",
    "rng_type",
}
_RENAMED = {"LeakyReLU": {"alpha": "negative_slope"}}
# Keras 3 gave the name to another function: relu6(x + 3) / 6 for clip(0.2 x + 0.5).
_CHANGED_ACTIVATIONS = {"hard_sigmoid"}


def plain_name(name: str) -> str:
    """A layer's name as Keras 3 takes it, without the `/` of scopes.

    Example:
        >>> plain_name("block_1/conv")
        'block_1_conv'
    """
    return name.replace("/", "_")


def converted_layer(old: "tf_keras.layers.Layer") -> keras.layers.Layer:
    """A Keras 3 layer with the configuration of a tf-keras layer, not built.

    Args:
        old: The layer.

    Returns:
        Its counterpart; the weights are the caller's to copy, in the same order.

    Raises:
        ValueError: When there is none, or an argument has no counterpart.
    """
    kind = type(old).__name__
    made = getattr(keras.layers, kind, None)
    if made is None or not type(old).__module__.startswith("tf_keras."):
        raise ValueError(f"Keras 3 has no layer {kind}")
    renamed = _RENAMED.get(kind, {})
    config = {renamed.get(key, key): value for key, value in old.get_config().items()}
    known = {*inspect.signature(made.__init__).parameters, "name", "trainable", "dtype"} - {"self", "kwargs"}
    wrapped = {
        key: converted_layer(getattr(old, "forward_layer" if key == "layer" and kind == "Bidirectional" else key))
        for key in ("layer", "backward_layer")
        if isinstance(config.get(key), dict)
    }
    given = {}
    for key, value in config.items():
        if key.endswith("_initializer"):  # the weights are copied
            continue
        if key not in known:
            if key not in _WITHOUT_MEANING and value not in (None, False, 1):
                raise ValueError(f"Keras 3's {kind} has no {key}={value}")
        elif key not in wrapped:
            given[key] = _value(key, value)
    return made(**{**given, **wrapped, "name": plain_name(old.name)})


def _value(key: str, value: object) -> object:
    if key == "dtype":
        return value["config"]["name"] if isinstance(value, dict) else value
    if key == "axis" and isinstance(value, list | tuple) and len(value) == 1:
        return int(value[0])
    if key.endswith("activation"):
        return _activation(cast("str | Mapping[str, str] | None", value))
    if isinstance(value, dict) and key.endswith(("_regularizer", "_constraint")):
        module = keras.regularizers if key.endswith("_regularizer") else keras.constraints
        return module.deserialize({"class_name": value["class_name"], "config": value["config"]})
    return list(value) if isinstance(value, tuple) else value


def _activation(value: str | Mapping[str, str] | None) -> str | None:
    name = value if isinstance(value, str) or value is None else value.get("registered_name") or value.get("config")
    if name in _CHANGED_ACTIVATIONS:
        raise ValueError(f"'{name}' is another function in Keras 3")
    return name


def converted_operation(symbol: str, args: tuple[object, ...], kwargs: dict[str, object]) -> Tensor:
    """Call the Keras 3 operation that a TensorFlow operation of a functional model stands for.

    Args:
        symbol: TensorFlow's name for it, as `math.truediv`.
        args, kwargs: What it was called with, tensors replaced.

    Returns:
        Its output.

    Raises:
        ValueError: When there is no counterpart.
    """
    if symbol not in OPERATIONS:
        raise ValueError(f"Keras 3 has no operation {symbol}")
    return OPERATIONS[symbol](*args, **{key: value for key, value in kwargs.items() if key != "name"})


def _slice(x: Tensor, slice_spec: object) -> Tensor:
    def part(entry: object) -> object:
        if isinstance(entry, dict):
            return slice(*(entry[end] for end in ("start", "stop", "step")))
        return Ellipsis if entry == "..." else entry

    spec = tuple(slice_spec) if isinstance(slice_spec, list | tuple) else (slice_spec,)
    return x[tuple(map(part, spec))]


def _reduced(operation: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(input_tensor: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
        return operation(input_tensor, axis=axis, keepdims=keepdims)

    return call


def _of_two(operation: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, y: operation(*(np.asarray(part, "float32") if isinstance(part, list) else part for part in (x, y)))


def _of_one(operation: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(x: Tensor | None = None, features: Tensor | None = None) -> Tensor:
        return operation(features if x is None else x)

    return call


def _cast(x: Tensor, dtype: "str | tf.DType") -> Tensor:
    return keras.ops.cast(x, getattr(dtype, "name", dtype))


def _softmax(logits: Tensor, axis: int | None = None) -> Tensor:
    return keras.ops.softmax(logits, axis=-1 if axis is None else axis)


def _bias_add(value: Tensor, bias: Tensor | list[float], data_format: str | None = None) -> Tensor:
    if data_format not in (None, "NHWC", "channels_last"):
        raise ValueError(f"the bias is added to {data_format}")
    return keras.ops.add(value, np.asarray(bias, "float32") if isinstance(bias, list) else bias)


def _clip(t: Tensor, clip_value_min: float | Tensor, clip_value_max: float | Tensor) -> Tensor:
    return keras.ops.clip(t, clip_value_min, clip_value_max)


OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "math.truediv": _of_two(keras.ops.true_divide),
    "math.divide": _of_two(keras.ops.true_divide),
    "math.multiply": _of_two(keras.ops.multiply),
    "math.add": _of_two(keras.ops.add),
    "__operators__.add": _of_two(keras.ops.add),
    "math.subtract": _of_two(keras.ops.subtract),
    "math.maximum": _of_two(keras.ops.maximum),
    "math.minimum": _of_two(keras.ops.minimum),
    "math.pow": _of_two(keras.ops.power),
    "math.negative": _of_one(keras.ops.negative),
    "math.abs": _of_one(keras.ops.absolute),
    "math.square": _of_one(keras.ops.square),
    "math.sqrt": _of_one(keras.ops.sqrt),
    "math.exp": _of_one(keras.ops.exp),
    "math.tanh": _of_one(keras.ops.tanh),
    "math.sigmoid": _of_one(keras.ops.sigmoid),
    "nn.relu": _of_one(keras.ops.relu),
    "nn.relu6": _of_one(keras.ops.relu6),
    "nn.silu": _of_one(keras.ops.silu),
    "nn.elu": _of_one(keras.ops.elu),
    "nn.selu": _of_one(keras.ops.selu),
    "nn.softmax": _softmax,
    "nn.bias_add": _bias_add,
    "math.reduce_mean": _reduced(keras.ops.mean),
    "math.reduce_sum": _reduced(keras.ops.sum),
    "math.reduce_max": _reduced(keras.ops.max),
    "math.reduce_min": _reduced(keras.ops.min),
    "reshape": lambda tensor, shape: keras.ops.reshape(tensor, shape),
    "transpose": lambda a, perm=None: keras.ops.transpose(a, axes=perm),
    "concat": lambda values, axis: keras.ops.concatenate(values, axis=axis),
    "stack": lambda values, axis=0: keras.ops.stack(values, axis=axis),
    "expand_dims": lambda input, axis: keras.ops.expand_dims(input, axis),
    "squeeze": lambda input, axis=None: keras.ops.squeeze(input, axis=axis),
    "clip_by_value": _clip,
    "cast": _cast,
    "identity": lambda input: input,
    "convert_to_tensor": lambda value, dtype=None: value,
    "__operators__.getitem": _slice,
}
