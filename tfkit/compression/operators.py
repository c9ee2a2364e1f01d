"""Plain Keras layers chosen so that the TFLite converter makes operators of them that have integer kernels."""

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.keras_types import Tensor
from tfkit.layers import OWN_SETTINGS, plain_class

_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose)
# A shift that adds nothing to any number a file holds. The converter drops one of zeros, and with it the place where
# an activation would run.
_NOTHING = 1e-30
# The smallest difference from 1 that float32 has, a thirty-thousandth of a step at the far end of 8 bits.
_LEAST = 2.0**-23


def numbers_of(weight: keras.Variable | Tensor) -> NDArray[np.float64]:
    """A weight, or a tensor that was computed, as NumPy's float64."""
    return np.asarray(keras.ops.convert_to_numpy(weight), np.float64)


def float32_of(weight: keras.Variable) -> NDArray[np.float32]:
    """A weight as NumPy's float32."""
    return np.asarray(keras.ops.convert_to_numpy(weight), np.float32)


def affine(
    tensor: Tensor,
    scale: NDArray[np.float64],
    shift: NDArray[np.float64],
    *,
    name: str,
    activation: str | None = None,
    followed: bool = False,
) -> Tensor:
    """Scale and shift each channel with a 1x1 depthwise convolution, the operator that has per-channel int8 scales.

    Args:
        tensor: (n, ..., channels).
        scale, shift: (channels,) or (1,).
        name: For the layer.
        activation: What the operator shall run behind it.
        followed: Whether an activation comes next that it shall run, too.

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
    if not followed and (not middle or (activation is None and all(size == 1 for size in middle))):
        # Without an operator in between, the converter draws the shift into a Dense layer behind it, flattened or not.
        outputs = keras.layers.MaxPooling2D(1, name=f"{name}_kept")(outputs)
    return outputs if len(middle) == 2 else keras.layers.Reshape((*middle, channels), name=f"{name}_gathered")(outputs)


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
