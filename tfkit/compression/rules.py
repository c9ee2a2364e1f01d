"""What each Keras layer and operation is to a quantised model."""

from typing import Any

import keras

from tfkit.compression.policy import Treatment
from tfkit.compression.splitting import activation_name
from tfkit.graph import LayerGraph, Node
from tfkit.layers import CompressedKernel, QuantizedLayerNormalization, compressed_class

# The grid of LiteRT's int8 LOGISTIC and SOFTMAX is given: 1/256, from 0; of TANH: 1/128, about 0
# (https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec).
UNIT_RANGE = (0.0, 255 / 256)
TANH_RANGE = (-1.0, 127 / 128)

_ABSENT = (
    "Dropout SpatialDropout1D SpatialDropout2D AlphaDropout GaussianDropout GaussianNoise ActivityRegularization "
    "Identity StochasticDepth AugMix AutoContrast CutMix MixUp RandAugment RandomBrightness RandomColorDegeneration "
    "RandomColorJitter RandomContrast RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur "
    "RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation "
    "RandomSharpness RandomShear RandomTranslation RandomZoom"
).split()
_SAME = (
    "MaxPooling1D MaxPooling2D GlobalMaxPooling1D GlobalMaxPooling2D Flatten Reshape Permute ZeroPadding1D "
    "ZeroPadding2D Cropping1D Cropping2D Transpose Squeeze ExpandDims GetItem UpSampling1D RepeatVector"
).split()
_SAME_ROUNDED = ("AveragePooling1D", "AveragePooling2D")
_COMPUTE = (
    "Add Subtract Multiply Average Maximum Minimum GlobalAveragePooling1D GlobalAveragePooling2D Mean"
).split()
_AFFINE = ("BatchNormalization", "LayerScale")
_INPUT = ("Rescaling", "Normalization")

_BY_KIND: dict[str, Treatment] = {
    **dict.fromkeys(_ABSENT, "absent"),
    **dict.fromkeys(_SAME, "same"),
    **dict.fromkeys(_SAME_ROUNDED, "same_rounded"),
    **dict.fromkeys(_COMPUTE, "compute"),
    **dict.fromkeys(_AFFINE, "affine"),
    **dict.fromkeys(_INPUT, "affine"),
    "Concatenate": "joined",
    "Softmax": "fixed",
}
_ACTIVATIONS: dict[str, Treatment] = {
    "relu": "activation",
    "relu6": "activation",
    "softmax": "fixed",
    "sigmoid": "fixed",
    "tanh": "fixed",
    "hard_silu": "compute",
    "gelu": "compute",
}


def treatment_of(node: Node) -> Treatment | None:
    """What a layer is to a quantised model.

    Args:
        node: A call in a graph that `split_layers` made.

    Returns:
        Its treatment by itself, its neighbours aside; None when there is no rule for it.
    """
    layer = node.operation
    if isinstance(layer, CompressedKernel) or compressed_class(layer) is not None:
        return "kernel"
    if isinstance(layer, QuantizedLayerNormalization) or node.kind == "LayerNormalization":
        return "compute"
    if isinstance(layer, keras.layers.Activation):
        return _ACTIVATIONS.get(activation_name(layer))
    if isinstance(layer, keras.layers.ReLU):
        plain = layer.negative_slope == 0 and layer.threshold == 0 and layer.max_value in (None, 6, 6.0)
        return "activation" if plain else None
    if isinstance(layer, keras.layers.UpSampling2D):
        return "same" if layer.interpolation == "nearest" else "same_rounded"
    return _BY_KIND.get(node.kind)


def fixed_range_of(node: Node) -> tuple[float, float]:
    """The range of a layer treated as `fixed`."""
    return TANH_RANGE if activation_name(node.operation) == "tanh" else UNIT_RANGE


def faults_of(graph: LayerGraph, node: Node) -> str | None:
    """Why a layer cannot be quantised, for a layer the policy does not skip.

    Args:
        graph: The graph it is in.
        node: The layer's call.

    Returns:
        A sentence without the layer's name; None when it can be quantised.
    """
    treatment = treatment_of(node)
    if treatment is None:
        return f"there is no rule for {_described(node)}"
    calls = len(graph.calls_of(node.operation))
    if calls > 1 and treatment in ("kernel", "affine"):
        return f"it is called {calls} times, and one set of weights cannot follow {calls} scales"
    if getattr(node.operation, "data_format", "channels_last") == "channels_first":
        return "it has its channels first; LiteRT wants them last"
    return None


def _described(node: Node) -> str:
    activation = activation_name(node.operation)
    if isinstance(node.operation, keras.layers.Activation):
        return f"the activation '{activation}'"
    return f"a {node.kind} layer" if isinstance(node.operation, keras.layers.Layer) else f"the operation {node.kind}"


def is_leading_scaling(graph: LayerGraph, node: Node) -> bool:
    """Whether a layer only scales the model's input, through layers that do the same or nothing.

    Args:
        graph: The graph.
        node: A call.

    Returns:
        True for the Rescaling and Normalization layers between the input and the first layer that learns.
    """
    if node.kind not in _INPUT:
        return False
    source: Any = node.inputs[0].node
    while source is not None and treatment_of(source) == "absent":
        source = source.inputs[0].node
    return source is None or is_leading_scaling(graph, source)
