"""The parts of keras-hub's Mix Transformer and DeepLabV3 that do not open by themselves, as layers of Keras."""

import keras

from tfkit.errors import ModelError
from tfkit.graph import Node
from tfkit.keras_types import Tensor

_ENCODERS = ("MiTBackbone", "SegFormerBackbone")


def refuse_oblong(bare: keras.Model, shape: tuple[int, ...]) -> None:
    """Refuse images that keras-hub's Mix Transformer would fold wrongly: it takes the root of the count of patches.

    Args:
        bare: A keras-hub backbone.
        shape: Of an image.

    Raises:
        ModelError: When it is one, and they are no squares of a multiple of 32 pixels.
    """
    if type(bare).__name__ in _ENCODERS and (shape[0] != shape[1] or shape[0] % 32):
        near = max(32, round(max(shape[:2]) / 32) * 32)
        raise ModelError(
            f"{type(bare).__name__} of keras-hub takes square images of a multiple of 32 pixels; got "
            f"{shape[0]} x {shape[1]}",
            hint=f"set data.image_size to {near}",
        )


def efficient_attention(node: Node, tensor: Tensor) -> Tensor | None:
    """Put a Mix Transformer's attention on a tensor: keys and values come of a sequence that a convolution shortens.

    Source: Xie et al. 2021, SegFormer (arXiv:2105.15203), section 3.1.

    Args:
        node: A call of any layer.
        tensor: What it is called with now: (n, length, width).

    Returns:
        Its output, of `Conv2D`, `LayerNormalization` and `MultiHeadAttention` layers with its weights; None for
        another layer.
    """
    layer = node.operation
    if not _is(layer, "SegFormerMultiheadAttention"):
        return None
    length, width = (int(size) for size in tensor.shape[1:])
    read = tensor
    if layer.sr_ratio > 1:
        side = round(length**0.5)
        read = keras.layers.Reshape((side, side, width), name=f"{node.name}_map")(read)
        read = _copied(layer.sr, f"{node.name}_shorten", read)
        read = keras.layers.Reshape((-1, width), name=f"{node.name}_sequence")(read)
        read = _copied(layer.norm, f"{node.name}_norm", read)
    heads = layer.num_heads
    attention = keras.layers.MultiHeadAttention(
        heads, width // heads, dropout=layer.dropout.rate, name=node.name, dtype=layer.dtype_policy
    )
    attended = attention(tensor, read)
    weights = []
    for dense in (layer.q, layer.k, layer.v):
        kernel, bias = dense.get_weights()
        weights += [kernel.reshape(width, heads, -1), bias.reshape(heads, -1)]
    kernel, bias = layer.proj.get_weights()
    attention.set_weights([*weights, kernel.reshape(heads, -1, width), bias])
    return keras.layers.Dropout(layer.proj_drop.rate, name=f"{node.name}_projected_dropout")(attended)


def enlarging(node: Node, tensor: Tensor) -> Tensor | None:
    """Put a `Resizing` that makes a map whole times larger on a tensor as `UpSampling2D`, which int8 kernels have.

    Args:
        node: A call of any layer.
        tensor: What it is called with now: (n, height, width, channels).

    Returns:
        Its output; None for another layer, and for one that resizes otherwise.
    """
    layer = node.operation
    if not isinstance(layer, keras.layers.Resizing) or layer.antialias or layer.interpolation != "bilinear":
        return None
    if layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio:
        return None
    factors = [
        int(size) / int(before) for size, before in zip((layer.height, layer.width), tensor.shape[1:3], strict=True)
    ]
    if any(factor != int(factor) for factor in factors):
        return None
    if factors == [1, 1]:
        return tensor
    size = (int(factors[0]), int(factors[1]))
    return keras.layers.UpSampling2D(size, interpolation="bilinear", name=node.name)(tensor)


def _is(layer: object, kind: str) -> bool:
    return type(layer).__name__ == kind and type(layer).__module__.startswith("keras_hub.")


def _copied(layer: keras.Layer, name: str, tensor: Tensor) -> Tensor:
    copy = type(layer).from_config(layer.get_config() | {"name": name})
    tensor = copy(tensor)
    copy.set_weights(layer.get_weights())
    return tensor
