"""Plain Keras layers chosen so that the TFLite converter makes operators of them that have integer kernels."""

import math

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.rules import negative_slope_of
from tfkit.compression.scaling import composed_scaling
from tfkit.keras_types import Tensor
from tfkit.layers import OWN_SETTINGS, plain_class

_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose)
# A shift that adds nothing to any number a file holds. The converter drops one of zeros, and with it the place where
# an activation would run.
_NOTHING = 1e-30
# The smallest difference from 1 that float32 has, a thirty-thousandth of a step at the far end of 8 bits.
_LEAST = 2.0**-23


def channel_affine(layer: keras.Layer, *, channels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and shift for each channel of a BatchNorm as it infers, a LayerNorm's, a LayerScale or a scaling layer.

    Args:
        layer: The layer.
        channels: How many it takes.

    Returns:
        (channels,) each.
    """

    def numbers(weight: keras.Variable | None, default: float, like: keras.Variable) -> NDArray[np.float64]:
        if weight is None:
            return np.full(tuple(like.shape), default)
        return np.asarray(keras.ops.convert_to_numpy(weight), np.float64)

    if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization):
        return composed_scaling([layer], channels=channels)[:2]
    if not isinstance(layer, keras.layers.BatchNormalization):
        like = layer.gamma if layer.gamma is not None else layer.beta
        return numbers(layer.gamma, 1.0, like), numbers(getattr(layer, "beta", None), 0.0, like)
    gamma, beta = numbers(layer.gamma, 1.0, layer.moving_mean), numbers(layer.beta, 0.0, layer.moving_mean)
    scale = gamma / np.sqrt(numbers(layer.moving_variance, 1.0, layer.moving_mean) + layer.epsilon)
    return scale, beta - numbers(layer.moving_mean, 0.0, layer.moving_mean) * scale


def affine(
    tensor: Tensor, scale: NDArray[np.float64], shift: NDArray[np.float64], *, name: str, activation: str | None = None
) -> Tensor:
    """Scale and shift each channel with a 1x1 depthwise convolution, the operator that has per-channel int8 scales.

    Args:
        tensor: (n, ..., channels).
        scale, shift: (channels,) or (1,).
        name: For the layer.
        activation: What the operator shall run behind it.

    Returns:
        The scaled tensor.
    """
    channels = int(tensor.shape[-1])
    layer = keras.layers.DepthwiseConv2D(1, activation=activation, name=name)
    middle = tuple(tensor.shape[1:-1])
    spread = tensor
    if len(middle) != 2:
        shape = (int(np.prod(middle)) if middle else 1, 1, channels)
        spread = keras.layers.Reshape(shape, name=f"{name}_spread")(tensor)
    outputs = layer(spread)
    kernel = np.broadcast_to(scale, (channels,)).reshape(1, 1, channels, 1)
    layer.set_weights([kernel.astype(np.float32), np.broadcast_to(shift, (channels,)).astype(np.float32)])
    if not middle:
        # Without an operator in between, the converter draws the shift into a Dense layer behind it.
        outputs = keras.layers.MaxPooling2D(1, name=f"{name}_kept")(outputs)
    return outputs if len(middle) == 2 else keras.layers.Reshape((*middle, channels), name=f"{name}_gathered")(outputs)


def scaled_pixels(
    tensor: Tensor, scale: NDArray[np.float64], shift: NDArray[np.float64], order: tuple[int, ...], *, name: str
) -> Tensor:
    """Scale and shift each channel of pixels, and put the channels in another order, as one operator.

    Args:
        tensor: (n, height, width, channels).
        scale, shift: (channels,), of the result.
        order: For each channel of the result, which one of the tensor it is.
        name: For the layer.

    Returns:
        The scaled tensor.
    """
    if order == tuple(range(len(order))):
        return affine(tensor, scale, shift, name=name)
    layer = keras.layers.Conv2D(len(order), 1, name=name)
    outputs = layer(tensor)
    kernel = np.zeros((1, 1, len(order), len(order)), np.float32)
    kernel[0, 0, list(order), range(len(order))] = scale
    layer.set_weights([kernel, shift.astype(np.float32)])
    return outputs


def told_apart(scale: NDArray[np.float64], *, number: int) -> NDArray[np.float64]:
    """A scale that the converter does not take for an equal one: of two scalings of one tensor it would make one.

    What was to be on two grids would be on one, and a shift would be an operator of its own.

    Args:
        scale: (channels,) or (1,).
        number: How many times the same tensor was scaled so before.

    Returns:
        The scale, moved by less than any number of 8 bits that it makes can show.
    """
    return scale * (1.0 + number * _LEAST)


def convolution(
    layer: keras.Layer, kernel: NDArray[np.float64], bias: NDArray[np.float64] | None, tensor: Tensor, *, name: str
) -> Tensor:
    """Call the plain float32 twin of a layer with a kernel.

    Args:
        layer: A layer with a kernel, compressed or not.
        kernel: In the layer's layout.
        bias: (filters,), or None.
        tensor: Its input; padded already for causal padding.
        name: For the twin: of several calls of one layer, each has one.

    Returns:
        Its output. A convolution with as many groups as channels becomes a depthwise one, which runs several times
        quicker; a transposed one always has a bias, without which the converter leaves a ReLU outside of it, as it
        does with one of zeros. A Dense
        layer on maps becomes a 1x1 convolution: the converter would draw the shift of a scaling before it into its
        bias, and the values in between would no longer be those that were rounded in training.
    """
    if isinstance(layer, _TRANSPOSED) and (bias is None or not np.any(bias)):
        bias = np.full(layer.filters, _NOTHING)
    if _is_depthwise(layer, kernel):
        plain, kernel = _depthwise(layer, kernel, bias, channels=int(tensor.shape[-1]), name=name)
    elif plain_class(layer) is keras.layers.Dense and len(tensor.shape) == 4:
        plain = keras.layers.Conv2D(
            layer.units, 1, activation=layer.activation, use_bias=bias is not None, name=name, dtype="float32"
        )
        kernel = kernel.reshape(1, 1, *kernel.shape)
    else:
        config = {name: value for name, value in layer.get_config().items() if name not in OWN_SETTINGS}
        config |= {"use_bias": bias is not None, "dtype": "float32", "name": name}
        if layer_pads_causally(layer):
            config["padding"] = "valid"
        plain = plain_class(layer).from_config(config)  # type: ignore[attr-defined]
    outputs = plain(tensor)
    plain.set_weights([kernel.astype(np.float32)] + ([] if bias is None else [bias.astype(np.float32)]))
    return outputs


def layer_pads_causally(layer: keras.Layer) -> bool:
    """Whether a layer pads in front only; `causal_padding` is then the padding."""
    return getattr(layer, "padding", None) == "causal"


def causal_padding(layer: keras.Layer, tensor: Tensor, *, name: str) -> Tensor:
    """Pad in front, as a causal convolution does: the converter's padding is an operator of its own."""
    before = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
    return keras.layers.ZeroPadding1D((before, 0), name=f"{name}_padding")(tensor)


def on_output_channels(
    scale: NDArray[np.float64], layer: keras.Layer, kernel: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A factor for each output channel in a shape that multiplies the layer's kernel."""
    if isinstance(layer, _DEPTHWISE):
        return scale.reshape(kernel.shape[-2:])
    if isinstance(layer, _TRANSPOSED):
        return scale.reshape(-1, 1)
    return scale


def replaced_operator(layer: keras.Layer, tensor: Tensor) -> Tensor | None:
    """Call a layer in a form that LiteRT has integer operators for, where its own conversion has none.

    Args:
        layer: A layer without weights.
        tensor: Its input.

    Returns:
        The output, equal to the layer's; None for a layer that converts well as it is.
    """
    if isinstance(layer, keras.layers.GlobalMaxPooling1D | keras.layers.GlobalMaxPooling2D):
        return _global_maximum(layer, tensor)
    if isinstance(layer, keras.layers.UpSampling2D) and layer.interpolation == "nearest":
        height, width = (int(size) * factor for size, factor in zip(tensor.shape[1:3], layer.size, strict=True))
        return keras.ops.image.resize(tensor, (height, width), interpolation="nearest")
    if isinstance(layer, keras.layers.UpSampling1D):
        length, channels = (int(size) for size in tensor.shape[1:])
        rows = keras.ops.reshape(tensor, (-1, length, 1, channels))
        longer = keras.ops.image.resize(rows, (length * int(layer.size), 1), interpolation="nearest")
        return keras.ops.reshape(longer, (-1, length * int(layer.size), channels))
    return None


def leaky_relu(layer: keras.Layer, tensor: Tensor, *, moved: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A leaky ReLU as the larger of a tensor and a share of it.

    Args:
        layer: The layer.
        tensor: What it takes.
        moved: The same on the grid of the output, where it lies on another.

    Returns:
        The output, and the share, which goes into it on its grid.
    """
    share = keras.ops.multiply(tensor, negative_slope_of(layer))
    return keras.ops.maximum(tensor if moved is None else moved, share), share


def prelu(
    layer: keras.Layer, tensor: Tensor, *, moved: Tensor, turned: NDArray[np.float64], name: str
) -> tuple[Tensor, Tensor, Tensor]:
    """A PReLU as what is above zero and the share of what is below: one of them is zero everywhere.

    Args:
        layer: The layer.
        tensor: What it takes, (n, ...).
        moved: What is above zero, on the grid of the output.
        turned: What turns its sign: -1, as `told_apart` gives it.
        name: For its layers.

    Returns:
        The output; what is below zero, its sign turned, which lies on the input's steps; and its share, which goes
        into the output on its grid.
    """
    below = affine(tensor, turned, np.zeros(1), name=f"{name}_below", activation="relu")
    slopes = np.asarray(keras.ops.convert_to_numpy(layer.alpha), np.float64)
    shape = tuple(int(size) for size in tensor.shape[1:])
    if all(size == 1 for size in slopes.shape[:-1]):
        share = affine(below, -slopes.ravel(), np.zeros(1), name=name)
        return keras.ops.add(moved, share), below, share
    flat = keras.ops.reshape(below, (-1, 1, 1, math.prod(shape)))
    share = affine(flat, -np.broadcast_to(slopes, shape).ravel(), np.zeros(1), name=name)
    return keras.ops.add(moved, keras.ops.reshape(share, (-1, *shape))), below, share


def hard_sigmoid(tensor: Tensor, *, one: NDArray[np.float64], shift: float, name: str) -> tuple[Tensor, Tensor]:
    """A hard sigmoid as a shift, a ReLU6 and a division.

    Args:
        tensor: What it takes.
        one: Its scale: 1, as `told_apart` gives it.
        shift: What is added: 3, or what was settled.
        name: For its layers.

    Returns:
        The output (0..1), and six times it (0..6), what the ReLU6 gives.
    """
    sixfold = affine(tensor, one, np.full(1, shift), name=f"{name}_sixfold", activation="relu6")
    return keras.ops.multiply(sixfold, 1 / 6), sixfold


def _global_maximum(layer: keras.Layer, tensor: Tensor) -> Tensor:
    sizes, channels = tuple(int(size) for size in tensor.shape[1:-1]), int(tensor.shape[-1])
    spread = tensor if len(sizes) == 2 else keras.ops.reshape(tensor, (-1, sizes[0], 1, channels))
    pooled = keras.layers.MaxPooling2D(sizes if len(sizes) == 2 else (sizes[0], 1), name=layer.name)(spread)
    shape = (*[1] * len(sizes), channels) if layer.keepdims else (channels,)
    return keras.ops.reshape(pooled, (-1, *shape))


def _is_depthwise(layer: keras.Layer, kernel: NDArray[np.float64]) -> bool:
    if plain_class(layer) not in (keras.layers.Conv1D, keras.layers.Conv2D):
        return False
    return bool(layer.groups > 1 and kernel.shape[-2] == 1)


def _depthwise(
    layer: keras.Layer, kernel: NDArray[np.float64], bias: NDArray[np.float64] | None, *, channels: int, name: str
) -> tuple[keras.Layer, NDArray[np.float64]]:
    kind = keras.layers.DepthwiseConv2D if layer.rank == 2 else keras.layers.DepthwiseConv1D
    plain = kind(
        layer.kernel_size,
        strides=layer.strides,
        padding="valid" if layer_pads_causally(layer) else layer.padding,
        dilation_rate=layer.dilation_rate,
        depth_multiplier=layer.filters // channels,
        use_bias=bias is not None,
        name=name,
    )
    return plain, kernel.reshape(*kernel.shape[:-2], channels, layer.filters // channels)
