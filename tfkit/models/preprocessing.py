"""Published preprocessing as layers inside the model, so that every model takes raw 0..255 pixels."""

from typing import Literal

import keras

from tfkit.artifacts import ImageSpec
from tfkit.graph import copy_onto, read_graph

Preprocessing = Literal["symmetric", "standardised", "caffe", "inside"]

# Mean and standard deviation of ImageNet's RGB pixels in 0..1 (torchvision's constants, also keras' "torch" mode).
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
# Mean of ImageNet's RGB pixels in 0..255 as the Caffe ResNets used it.
_CAFFE_MEAN = (123.68, 116.779, 103.939)


def preprocessing_layer(kind: Preprocessing) -> keras.layers.Layer | None:
    """The layer that turns raw 0..255 RGB pixels into what a published network expects.

    Every kind is one `Rescaling`, so that export can fold it and an app never has to know of it. `caffe` leaves the
    channels in RGB: `reverse_input_channels` turns the first kernel instead, which is the same sum in another order.

    Args:
        kind: See `Application`.

    Returns:
        A layer, or None for `inside`.
    """
    if kind == "symmetric":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocessing")
    if kind == "standardised":
        scale = [1 / (255 * deviation) for deviation in _DEVIATION]
        offset = [-mean / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True)]
        return keras.layers.Rescaling(scale, offset=offset, name="preprocessing")
    if kind == "caffe":
        return keras.layers.Rescaling(1.0, offset=[-mean for mean in _CAFFE_MEAN], name="preprocessing")
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
