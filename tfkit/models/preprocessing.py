"""Published preprocessing as layers inside the model, so that every model takes raw 0..255 pixels."""

from typing import Literal

import keras
import numpy as np

from tfkit.artifacts import CAFFE, IMAGENET, ImageSpec, PixelScaling
from tfkit.errors import ModelError
from tfkit.graph import LayerGraph, copy_onto, read_graph

Preprocessing = Literal["symmetric", "standardised", "caffe", "inside"]


def preprocessing_layer(kind: Preprocessing) -> keras.layers.Layer | None:
    """The layer that turns raw 0..255 RGB pixels into what a published network expects.

    Every kind is one `Rescaling`, so that export can fold it and an app never has to know of it. `caffe` leaves the
    channels in RGB: `reverse_input_channels` turns the first kernel instead, which is the same sum in another order.

    Args:
        kind: See `Application`.

    Returns:
        A layer, or None for `inside`.

    Example:
        >>> layer = preprocessing_layer("symmetric")
        >>> np.asarray(layer(np.float32([[[[0, 127.5, 255]]]]))).ravel().tolist()
        [-1.0, 0.0, 1.0]
    """
    if kind == "symmetric":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocessing")
    if kind == "standardised":
        return keras.layers.Rescaling(list(IMAGENET.scale), offset=list(IMAGENET.offset), name="preprocessing")
    if kind == "caffe":
        return keras.layers.Rescaling(1.0, offset=list(CAFFE.offset[::-1]), name="preprocessing")
    return None


def reverse_input_channels(model: keras.Model) -> None:
    """Make a network that was trained on BGR pixels take RGB ones, by turning its first kernel's input channels.

    Args:
        model: The network; changed in place.
    """
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    kernel, *bias = first.get_weights()
    first.set_weights([kernel[:, :, ::-1, :], *bias])


def on_raw_pixels(bare: keras.Model, image: ImageSpec, preprocessing: keras.layers.Layer | None) -> keras.Model:
    """Put the preprocessing in front of a network.

    Args:
        bare: A network for preprocessed images, with one input and one output.
        image: The images it shall take.
        preprocessing: The layer in front, or None.

    Returns:
        A flat copy of the network with its weights, from `pixels` float32 (n, height, width, channels) in 0..255.
    """
    pixels = keras.Input(image.shape, name="pixels")
    x = pixels if preprocessing is None else preprocessing(pixels)
    return keras.Model(pixels, copy_onto(read_graph(bare), [x])[0], name=bare.name)


def taking_raw_pixels(model: keras.Model, image: ImageSpec, scaling: PixelScaling) -> keras.Model:
    """Put in front of a model what its pixels were scaled by outside of it.

    Args:
        model: A functional or sequential model of one input of images. It is not changed.
        image: The images it takes.
        scaling: What it takes for raw pixels.

    Returns:
        A flat copy that takes raw 0..255 RGB pixels; the model itself where it takes them already.

    Raises:
        ModelError: When it takes blue first and does not begin with a convolution, whose kernel could be turned; or
            its layers cannot be seen.

    Example:
        >>> inputs = keras.Input((8, 8, 3))
        >>> model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
        >>> from_zero_to_one = taking_raw_pixels(model, ImageSpec(8, 8), PixelScaling.of_range(0, 1))
        >>> float(from_zero_to_one(np.full((1, 8, 8, 3), 255.0))[0, 0])
        1.0
    """
    if scaling.is_raw:
        return model
    scale, offset = (list(values[::-1] if scaling.blue_first else values) for values in (scaling.scale, scaling.offset))
    alike = len(set(scale)) == len(set(offset)) == 1
    numbers = (scale[0], offset[0]) if alike else (scale, offset)
    copy = on_raw_pixels(model, image, keras.layers.Rescaling(numbers[0], offset=numbers[1], name="given_scaling"))
    if scaling.blue_first:
        _turn_first_kernel(read_graph(copy), model.name)
    return copy


def preprocessor_scaling(model: keras.Model) -> PixelScaling | None:
    """What a task model of keras-hub takes for raw pixels, as the preprocessor that was saved with it says.

    Args:
        model: Any model.

    Returns:
        Its image converter's scale and offset; None for a model without one.
    """
    converter = getattr(getattr(model, "preprocessor", None), "image_converter", None)
    if converter is None:
        return None
    scale, offset = getattr(converter, "scale", None), getattr(converter, "offset", None)
    numbers = [np.ravel(1.0 if scale is None else np.asarray(scale, np.float64))]
    numbers.append(np.ravel(0.0 if offset is None else np.asarray(offset, np.float64)))
    size = max(len(values) for values in numbers)
    scales, offsets = (tuple(float(one) for one in np.broadcast_to(values, size)) for values in numbers)
    return PixelScaling(scales, offsets)


def scales_its_pixels(model: keras.Model) -> bool:
    """Whether a model begins with layers that scale its pixels, or with one that takes any scale.

    Args:
        model: A functional or sequential model of one input of images.

    Returns:
        True where it takes whole numbers, or scaling, arithmetic, BatchNorm or code of one's own comes before the
        first layer with a kernel.

    Example:
        >>> scales_its_pixels(model)
        True
    """
    graph = read_graph(model)
    value = graph.inputs[0]
    if "int" in value.dtype:
        return True  # whole numbers are pixels as they are
    while len(takers := graph.consumers(value)) == 1:
        if takers[0].kind in _SCALING:
            return True
        if takers[0].operation.__class__.__name__ not in _PASSING and not takers[0].kind.startswith("Random"):
            return False
        value = takers[0].output
    # Several takers of raw pixels: arithmetic written out, such as Caffe's channel by channel.
    return bool(takers) and all(taker.kind in (*_SCALING, "GetItem", "Split") for taker in takers)


_SCALING = (
    "Rescaling",
    "Normalization",
    "BatchNormalization",
    "Lambda",
    "Subtract",
    "Divide",
    "TrueDivide",
    "Multiply",
    "Add",
    "GetItem",
)
_PASSING = ("Dropout", "GaussianNoise", "Identity", "ZeroPadding2D", "Resizing", "CenterCrop", "Cast")


def _turn_first_kernel(graph: LayerGraph, name: str) -> None:
    value = graph.inputs[0]
    while (taker := graph.only_consumer(value)) is not None:
        if isinstance(taker.operation, keras.layers.Conv2D) and taker.operation.groups == 1:
            kernel, *bias = taker.operation.get_weights()
            taker.operation.set_weights([kernel[:, :, ::-1, :], *bias])
            return
        if taker.kind not in ("Rescaling", *_PASSING):
            break
        value = taker.output
    raise ModelError(
        f"model '{name}' takes blue first and does not begin with a convolution whose kernel could be turned",
        hint="turn the channels inside the model, and save it again",
    )
