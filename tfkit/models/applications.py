"""The backbones of keras.applications that tfkit knows, each with the preprocessing it was published with."""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from tfkit.models.preprocessing import Preprocessing


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
