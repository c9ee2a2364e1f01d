"""Layers that do nothing in an exported model: dropout, augmentation."""

from tfkit.compression.kinds.kind import Kind, Splitting, left_out, named
from tfkit.graph import LayerCall
from tfkit.keras_types import Tensor

_DROPPING = (
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "StochasticDepth",
    "DropPath",
)
_AUGMENTING = (
    "AugMix",
    "AutoContrast",
    "CutMix",
    "MixUp",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
)


def _without_equal_cast(splitting: Splitting, call: LayerCall) -> Tensor | None:
    equal = call.node.output.dtype == call.node.inputs[0].dtype
    return call.args[0] if equal else None


ABSENT = Kind(covers=named(*_DROPPING, *_AUGMENTING, "Identity", "ActivityRegularization"), treatment="absent")
TOKENS = Kind(covers=named("TokenIds"), treatment="absent", strip=left_out)
CAST = Kind(covers=named("Cast"), split=_without_equal_cast)
KINDS = (ABSENT, TOKENS, CAST)
