"""The backbones of keras.applications that tfkit knows, each with the preprocessing it was published with."""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from tfkit.keras_types import Tensor
from tfkit.models.preprocessing import Preprocessing

_FILTERS = (16, 32, 64)
# 0.99 leaves the running statistics of a short run far behind: 0.9 follows within tens of steps.
_MOMENTUM = 0.9


def cifar_resnet(depth: int, *, inputs: Tensor) -> keras.Model:
    """Build the feature extractor of a CIFAR-style ResNet.

    Args:
        depth: Number of weighted layers with the final classifier, 6n+2: 8, 14, 20, 32, 44, 56, 110.
        inputs: A Keras tensor of shape (n, height, width, channels), already preprocessed.

    Returns:
        A model from `inputs` to feature maps of shape (n, height/4, width/4, 64).

    Raises:
        ValueError: When depth is not 6n+2.

    Example:
        >>> model = cifar_resnet(8, inputs=keras.Input((32, 32, 3)))
        >>> model.output_shape
        (None, 8, 8, 64)
    """
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise ValueError(f"a CIFAR-style ResNet has 6n+2 layers (8, 14, 20, ...); got {depth}")
    x = _convolution(inputs, _FILTERS[0], name="stem")
    x = keras.layers.ReLU(name="stem_relu")(x)
    for stage, filters in enumerate(_FILTERS, start=1):
        for block in range(1, blocks + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _residual_block(x, filters, strides=strides, name=f"stage{stage}_block{block}")
    return keras.Model(inputs, x, name=f"resnet{depth}")


def _residual_block(x: Tensor, filters: int, *, strides: int, name: str) -> Tensor:
    shortcut = x
    x = _convolution(x, filters, strides=strides, name=f"{name}_1")
    x = keras.layers.ReLU(name=f"{name}_1_relu")(x)
    x = _convolution(x, filters, name=f"{name}_2")
    if strides != 1:
        shortcut = _convolution(shortcut, filters, kernel_size=1, strides=strides, name=f"{name}_shortcut")
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _convolution(x: Tensor, filters: int, *, name: str, kernel_size: int = 3, strides: int = 1) -> Tensor:
    x = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(1e-4),
        name=f"{name}_conv",
    )(x)
    return keras.layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_bn")(x)


@dataclass(frozen=True)
class Application:
    """One architecture of keras.applications.

    Attributes:
        constructor: Name of its function in `keras.applications`.
        preprocessing: `symmetric` scales pixels to -1..1, `standardised` subtracts ImageNet's mean and divides by
            its deviation, `caffe` subtracts the mean of BGR pixels, `inside` means that the model does it itself.
        has_width: Whether it takes a width multiplier (`alpha`).
        options: Further arguments of the constructor.

    Example:
        >>> Application("MobileNetV2", "symmetric", has_width=True).build.__name__
        'MobileNetV2'
    """

    constructor: str
    preprocessing: Preprocessing
    has_width: bool = False
    options: tuple[tuple[str, bool | str], ...] = ()

    @property
    def build(self) -> Callable[..., keras.Model]:
        """The constructor itself."""
        constructor: Callable[..., keras.Model] = getattr(keras.applications, self.constructor)
        return constructor


APPLICATIONS: dict[str, Application] = {
    "resnet50": Application("ResNet50", "caffe"),
    "resnet101": Application("ResNet101", "caffe"),
    "resnet152": Application("ResNet152", "caffe"),
    "resnet50_v2": Application("ResNet50V2", "symmetric"),
    "mobilenet": Application("MobileNet", "symmetric", has_width=True),
    "mobilenet_v2": Application("MobileNetV2", "symmetric", has_width=True),
    "mobilenet_v3_small": Application("MobileNetV3Small", "inside", has_width=True),
    "mobilenet_v3_large": Application("MobileNetV3Large", "inside", has_width=True),
    **{f"efficientnet_b{n}": Application(f"EfficientNetB{n}", "inside") for n in range(8)},
    **{f"efficientnet_v2_b{n}": Application(f"EfficientNetV2B{n}", "inside") for n in range(4)},
    "densenet121": Application("DenseNet121", "standardised"),
    "densenet169": Application("DenseNet169", "standardised"),
    "densenet201": Application("DenseNet201", "standardised"),
    "xception": Application("Xception", "symmetric"),
    "convnext_tiny": Application("ConvNeXtTiny", "inside"),
}
