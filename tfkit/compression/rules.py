"""What each Keras layer and operation is to a quantised model."""

import math
from typing import cast

import keras

from tfkit.compression.policy import Treatment
from tfkit.compression.scaling import scaling_fault
from tfkit.graph import LayerGraph, Node, Value, activation_name
from tfkit.layers import (
    CompressedEmbedding,
    CompressedKernel,
    PixelGrid,
    QuantizedLayerNormalization,
    compressed_class,
    plain_class,
)

# The grid of LiteRT's int8 LOGISTIC and SOFTMAX is given: 1/256, from 0; of TANH: 1/128, about 0
# (https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec).
_UNIT_RANGE = (0.0, 255 / 256)
_TANH_RANGE = (-1.0, 127 / 128)
# The hard sigmoid is no operator with a grid of its own: a multiplication ends it.
_HARD_SIGMOID_RANGE = (0.0, 1.0)

_ABSENT = [
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
    "Identity",
    "StochasticDepth",
    "DropPath",
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
    "TokenIds",
]
_SAME = [
    "MaxPooling1D",
    "MaxPooling2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "Flatten",
    "Reshape",
    "Permute",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "Cropping1D",
    "Cropping2D",
    "Transpose",
    "Squeeze",
    "ExpandDims",
    "GetItem",
    "Pad",
    "UpSampling1D",
    "ChannelOrder",
]
_SAME_ROUNDED = ("AveragePooling1D", "AveragePooling2D")
# Their operator can run a ReLU behind it; the other ones that compute cannot.
_FUSING = ("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "LayerNormalization")
_COMPUTE = (
    "Maximum",
    "Minimum",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "Mean",
    "LeakyReLU",
    "PReLU",
    *_FUSING,
)
_TRANSFORMER = ("AddPositions", "MatMul", "ApproximateGelu", "MaskedMean")
_AFFINE = ("BatchNormalization", "LayerScale")
_INPUT = ("Rescaling", "Normalization")

_UPSAMPLING: dict[str, Treatment] = {"nearest": "same", "bilinear": "same_rounded"}
_BY_KIND: dict[str, Treatment] = {
    **dict.fromkeys(_ABSENT, "absent"),
    **dict.fromkeys(_SAME, "same"),
    **dict.fromkeys(_SAME_ROUNDED, "same_rounded"),
    **dict.fromkeys(_COMPUTE, "compute"),
    **dict.fromkeys(_TRANSFORMER, "compute"),
    **dict.fromkeys(_AFFINE, "affine"),
    **dict.fromkeys(_INPUT, "affine"),
    "Concatenate": "joined",
    "AttentionMask": "masked",
    "Embedding": "table",
    "Softmax": "fixed",
}
# Slopes that differ from place to place are weights of a depthwise convolution with a channel for each.
_MOST_SLOPES = 65_536
# A softmax over more places than this leaves each of them less than four steps of 8 bits on average.
_MOST_PLACES = 64
_FOUR_BIT = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Dense)
_NOT_IN_16_BITS = ("hard_silu",)
# Functions of one number: the file holds what they give for each of its 256 inputs.
_TABULATED_ACTIVATIONS = (
    "celu",
    "elu",
    "exponential",
    "hard_shrink",
    "hard_tanh",
    "log_sigmoid",
    "mish",
    "selu",
    "soft_shrink",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "tanh_shrink",
    "threshold",
)
_TABULATED_OPERATIONS = (
    "Absolute",
    "Celu",
    "Clip",
    "Elu",
    "Exp",
    "Expm1",
    "HardTanh",
    "Log1p",
    "LogSigmoid",
    "Power",
    "Selu",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Square",
)
_EXTREMES = ("Maximum", "Minimum")
_ACTIVATIONS: dict[str, Treatment] = {
    "relu": "activation",
    "relu6": "activation",
    "softmax": "fixed",
    "sigmoid": "fixed",
    "tanh": "fixed",
    "hard_sigmoid": "fixed",
    "hard_silu": "compute",
    "leaky_relu": "compute",
    "gelu": "compute",
    **dict.fromkeys(_TABULATED_ACTIVATIONS, "compute"),
}


def treatment_of(node: Node) -> Treatment | None:
    """What a layer is to a quantised model.

    Args:
        node: A call in a graph that `split_layers` made.

    Returns:
        Its treatment by itself, its neighbours aside; None when there is no rule for it.

    Example:
        >>> [treatment_of(node) for node in graph.nodes if node.name == "logits"]
        ['kernel']
    """
    layer = node.operation
    if isinstance(layer, CompressedEmbedding):
        return "table"
    if isinstance(layer, CompressedKernel) or compressed_class(layer) is not None:
        return "kernel"
    if isinstance(layer, QuantizedLayerNormalization) or node.kind == "LayerNormalization":
        return "compute"
    if isinstance(layer, keras.layers.Activation):
        return _ACTIVATIONS.get(activation_name(layer))
    if isinstance(layer, keras.layers.ReLU) and not layer.negative_slope and not layer.threshold:
        return "activation"
    if is_tabulated(node) or negative_slope_of(layer) is not None:
        return "compute"
    if isinstance(layer, keras.layers.UpSampling2D):
        return _UPSAMPLING.get(layer.interpolation)
    return _BY_KIND.get(node.kind)


def is_tabulated(node: Node) -> bool:
    """Whether a layer is a function of one number that LiteRT has no quick integer kernel for.

    The file looks its answers up in a table of 256, one for each step of the input's grid.
    """
    layer = node.operation
    if len(node.inputs) != 1:
        return False
    if isinstance(layer, keras.layers.Activation):
        return activation_name(layer) in _TABULATED_ACTIVATIONS
    if isinstance(layer, keras.layers.ReLU):
        return negative_slope_of(layer) is None and bool(layer.threshold or layer.negative_slope)
    if isinstance(layer, keras.layers.LeakyReLU):
        return negative_slope_of(layer) is None
    if isinstance(layer, keras.layers.ELU):
        return True
    if isinstance(layer, keras.layers.Layer) or node.output.shape != node.inputs[0].shape:
        return False
    return node.kind in _TABULATED_OPERATIONS or node.kind in _EXTREMES


def is_bounded(node: Node) -> bool:
    """Whether a layer is a ReLU with an upper bound that no operator has: the end of its 8-bit range is that bound."""
    layer = node.operation
    return isinstance(layer, keras.layers.ReLU) and layer.max_value not in (None, 6, 6.0)


def runs_activation(node: Node) -> bool:
    """Whether the operator of a layer can run a ReLU or ReLU6 behind it (TFLite's fused activation)."""
    if treatment_of(node) in ("kernel", "affine"):
        return True
    return node.kind in _FUSING or isinstance(node.operation, QuantizedLayerNormalization)


def negative_slope_of(layer: keras.Layer) -> float | None:
    """The slope below zero of a leaky ReLU that is the larger of a number and its share; None for any other layer.

    Example:
        >>> round(negative_slope_of(keras.layers.LeakyReLU(0.1)), 3)
        0.1
    """
    if isinstance(layer, keras.layers.LeakyReLU | keras.layers.ReLU):
        whole = not getattr(layer, "threshold", 0) and getattr(layer, "max_value", None) is None
        return float(layer.negative_slope) if whole and 0 < layer.negative_slope < 1 else None
    return 0.2 if activation_name(layer) == "leaky_relu" else None  # Keras's default


def averaged_values(node: Node) -> int:
    """How many values each mean of a layer treated as `same_rounded` is made of, at most.

    Bilinear upsampling weighs values by multiples of half a new pixel, in both directions.
    """
    layer = node.operation
    return 4 * math.prod(layer.size) if node.kind == "UpSampling2D" else math.prod(layer.pool_size)


def padding_value(node: Node) -> float:
    """The constant that `keras.ops.pad` was called with."""
    given = node.kwargs.get("constant_values", node.args[1] if len(node.args) > 1 else None)
    return float(cast("float | None", given) or 0.0)


def fixed_range_of(node: Node, bits: int = 8) -> tuple[float, float]:
    """The range of a layer treated as `fixed`."""
    activation = activation_name(node.operation)
    if activation == "hard_sigmoid":
        return _HARD_SIGMOID_RANGE
    if bits == 16:
        return -1.0, 1.0
    return _TANH_RANGE if activation == "tanh" else _UNIT_RANGE


def faults_of(graph: LayerGraph, node: Node, *, weight_bits: int = 8, activation_bits: int = 8) -> str | None:
    """Why a layer cannot be quantised, for a layer the policy does not skip.

    Args:
        graph: The graph it is in.
        node: The layer's call.
        weight_bits: Of its kernel, if it has one: 8 or 4.
        activation_bits: 8 or 16.

    Returns:
        A sentence without the layer's name; None when it can be quantised.

    Example:
        >>> [faults_of(graph, node) for node in graph.nodes if node.name == "logits"]
        [None]
    """
    layer, treatment = node.operation, treatment_of(node)
    if treatment is None:
        return f"there is no rule for {_described(node)}"
    calls = len(graph.calls_of(layer))
    if calls > 1 and (treatment in ("kernel", "affine", "table") or getattr(layer, "weights", None)):
        return f"it is called {calls} times, and one set of weights cannot follow {calls} scales"
    if getattr(layer, "data_format", "channels_last") == "channels_first":
        return "it has its channels first; LiteRT wants them last"
    if node.kind in ("Divide", "TrueDivide") and len(node.inputs) != 1:
        return "LiteRT has no integer kernel for the division of two tensors"
    if node.kind in _EXTREMES and len(node.inputs) != 2 and not is_tabulated(node):
        return "it compares a tensor with numbers of another shape, for which there is no rule"
    if node.kind == "Subtract" and len({id(_looked_through(value)) for value in node.inputs}) < len(node.inputs):
        return "it subtracts a tensor from itself, which leaves zeros: there is nothing to learn behind it"
    places = _places_of_inner_softmax(graph, node)
    if activation_bits == 8 and places > _MOST_PLACES and not is_wide_softmax(graph, node):
        return (
            f"its scores over {places} places are 1/{places} on average, and the 8-bit softmax has steps of 1/256: "
            "nearly all would be 0 or 1 step"
        )
    if node.kind == "Pad" and (layer.mode != "constant" or padding_value(node) not in (0.0, -math.inf)):
        return "it pads with other values than zeros, or minus infinity before a maximum"
    if isinstance(layer, keras.layers.BatchNormalization) and layer.axis not in (-1, len(node.output.shape) - 1):
        return f"it normalises over axis {layer.axis}; the rule is for the last axis"
    if node.kind in _INPUT and (fault := scaling_fault(layer, channels=int(node.output.shape[-1] or 1))) is not None:
        return fault
    if isinstance(layer, keras.layers.LayerNormalization):
        return _layer_normalization_fault(layer, rank=len(node.output.shape))
    if isinstance(layer, keras.layers.PReLU) and (size := math.prod(layer.alpha.shape)) > _MOST_SLOPES:
        return (
            f"it has {size:,} slopes of its own, more than {_MOST_SLOPES:,}: share them over places, shared_axes=[1, 2]"
        )
    if treatment == "kernel" and weight_bits == 4 and plain_class(layer) not in _FOUR_BIT:
        return f"LiteRT has no 4-bit kernel for a {plain_class(layer).__name__}"
    if activation_bits == 16 and (activation_name(layer) in _NOT_IN_16_BITS or is_tabulated(node)):
        return f"LiteRT has no 16-bit kernel for {_described(node)}"
    return None


def _looked_through(value: Value) -> Value:
    """A tensor before the layers that an exported model has not."""
    while value.node is not None and treatment_of(value.node) == "absent":
        value = value.node.inputs[0]
    return value


def is_wide_softmax(graph: LayerGraph, node: Node) -> bool:
    """Whether a layer gives an attention's shares over so many places that an 8-bit model holds them in 16 bits."""
    takers = graph.consumers(node.output)
    while len(takers) == 1 and treatment_of(takers[0]) == "absent":
        takers = graph.consumers(takers[0].output)
    mixes = bool(takers) and all(taker.kind == "MatMul" for taker in takers)
    return mixes and _places_of_inner_softmax(graph, node) > _MOST_PLACES


def _places_of_inner_softmax(graph: LayerGraph, node: Node) -> int:
    """Over how many places a softmax inside a network goes; 0 for the scores at its end, and in a text's attention."""
    ends = node.output in graph.outputs or all(taker.output in graph.outputs for taker in graph.consumers(node.output))
    is_softmax = node.kind == "Softmax" or activation_name(node.operation) == "softmax"
    if not is_softmax or ends or any(other.kind == "AttentionMask" for other in graph.nodes):
        return 0
    axis = getattr(node.operation, "axis", -1)
    axes = axis if isinstance(axis, list | tuple) else [-1 if axis is None else axis]
    return math.prod(node.output.shape[number] or 1 for number in axes)


def _layer_normalization_fault(layer: keras.Layer, *, rank: int) -> str | None:
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    if list(axes) not in ([-1], [rank - 1]):
        return f"it normalises over axis {layer.axis}; the rule is for the last axis"
    return "it uses rms_scaling, for which there is no rule" if getattr(layer, "rms_scaling", False) else None


def is_python_code(node: Node) -> bool:
    """Whether a layer is a Lambda: its code can neither be copied nor saved under safe mode, skipped or not."""
    return isinstance(node.operation, keras.layers.Lambda)


def is_recurrent(node: Node) -> bool:
    """Whether a layer goes along a sequence step by step: a loop in the file, or as many operators as steps."""
    return isinstance(node.operation, keras.layers.RNN | keras.layers.Bidirectional)


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
        True for the Rescaling, Normalization and ChannelOrder layers between the input and the first layer that learns.
    """
    if node.kind not in (*_INPUT, "ChannelOrder"):
        return False
    value = node.inputs[0]
    if graph.only_consumer(value) is not node:
        return False  # what takes the raw pixels too cannot take them scaled
    while value.node is not None and _passes_pixels(value.node):
        taker, value = value.node, value.node.inputs[0]
        if graph.only_consumer(value) is not taker:
            return False
    return value.node is None or is_leading_scaling(graph, value.node)


def _passes_pixels(node: Node) -> bool:
    """Whether a layer is nothing in the file, or the grid that quantisation-aware training puts on the raw pixels."""
    return treatment_of(node) == "absent" or isinstance(node.operation, PixelGrid)
