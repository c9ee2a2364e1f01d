"""What each operator of an integer `.tflite` file computes, on the integers that the file has, with gradients.

Sources: LiteRT's reference kernels (tflite/kernels/internal/reference) and its quantisation specification
(https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec).
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import tensorflow as tf

from tfkit.exporters.flatbuffer_graph import FileOperator, FileTensor

_SAME = 0
_RELU, _RELU_1, _RELU_6 = 1, 2, 3  # ActivationFunctionType
_BOUNDS = {_RELU: (0.0, None), _RELU_1: (-1.0, 1.0), _RELU_6: (0.0, 6.0)}


class Job(Protocol):
    """What an operator asks of the model that it is a part of."""

    def tensor(self, number: int) -> FileTensor:
        """The file's tensor."""
        ...

    def steps(self, number: int) -> tf.Tensor:
        """The integers of a quantised tensor as float32, or the real numbers of any other."""
        ...

    def kernel(self, number: int) -> tuple[tf.Tensor, tf.Tensor]:
        """A constant's integers less their zero point, and its scale: of weights that train, with gradients."""
        ...

    def bias(self, number: int, step: tf.Tensor, out: float) -> tf.Tensor:
        """A bias in whole steps of the products', where the output has steps of `out`, with gradients."""
        ...


Rule = Callable[[Job, FileOperator], tf.Tensor]


def rounded(steps: tf.Tensor) -> tf.Tensor:
    """To the nearest integer, halves to even ones; its gradient is that of the identity."""
    return steps + tf.stop_gradient(tf.round(steps) - steps)


def _rounded_up(steps: tf.Tensor) -> tf.Tensor:
    return steps + tf.stop_gradient(tf.floor(steps + 0.5) - steps)


def _rounded_away(steps: tf.Tensor) -> tf.Tensor:
    return steps + tf.stop_gradient(tf.sign(steps) * tf.floor(tf.abs(steps) + 0.5) - steps)


def clipped(steps: tf.Tensor, tensor: FileTensor, function: int = 0) -> tf.Tensor:
    """Within the integers of a tensor, and the bounds of a fused function."""
    integers = np.iinfo(tensor.dtype)
    low, high = float(integers.min), float(integers.max)
    if function in _BOUNDS:
        scale, zero = float(tensor.scales[0]), float(tensor.zero_points[0])  # type: ignore[index]
        bounds = _BOUNDS[function]
        low = low if bounds[0] is None else max(low, zero + np.round(bounds[0] / scale))
        high = high if bounds[1] is None else min(high, zero + np.round(bounds[1] / scale))
    return tf.clip_by_value(steps, low, high)


def _grid(tensor: FileTensor) -> tuple[float, float]:
    """Scale and zero point of what is computed."""
    if tensor.scales is None:
        return 1.0, 0.0
    return float(tensor.scales[0]), float(tensor.zero_points[0])


def _real(job: Job, number: int) -> tf.Tensor:
    scale, zero = _grid(job.tensor(number))
    return (job.steps(number) - zero) * scale


def _onto(
    real: tf.Tensor, tensor: FileTensor, function: int = 0, rounding: Callable[[tf.Tensor], tf.Tensor] = rounded
) -> tf.Tensor:
    """Real numbers in a tensor's steps; as they are where it has none."""
    if tensor.scales is None:
        return real
    scale, zero = _grid(tensor)
    return clipped(rounding(real / scale) + zero, tensor, function)


def _weighted(job: Job, operator: FileOperator, product: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Products in whole steps, the bias in them, and their scale onto that of the output."""
    given, out = job.tensor(operator.inputs[0]), job.tensor(operator.outputs[0])
    given_scale, zero = _grid(given)
    kernel, scale = job.kernel(operator.inputs[1])
    sums = product(job.steps(operator.inputs[0]) - zero, kernel)
    step, (out_scale, out_zero) = given_scale * tf.reshape(scale, [-1]), _grid(out)
    if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
        sums += job.bias(operator.inputs[2], step, out_scale)
    steps = rounded(sums * (step / out_scale)) + out_zero
    return clipped(steps, out, operator.options.fusedActivationFunction)


def _padding(options: object) -> str:
    return "SAME" if options.padding == _SAME else "VALID"  # type: ignore[attr-defined]


def _convolution(job: Job, operator: FileOperator) -> tf.Tensor:
    options = operator.options

    def product(steps: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(
            steps,
            tf.transpose(kernel, (1, 2, 3, 0)),
            [options.strideH, options.strideW],
            _padding(options),
            dilations=[options.dilationHFactor, options.dilationWFactor],
        )

    return _weighted(job, operator, product)


def _depthwise(job: Job, operator: FileOperator) -> tf.Tensor:
    options, channels = operator.options, job.tensor(operator.inputs[0]).shape[-1]

    def product(steps: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        height, width = kernel.shape[1:3]
        return tf.nn.depthwise_conv2d(
            steps,
            tf.reshape(kernel, (height, width, channels, -1)),
            [1, options.strideH, options.strideW, 1],
            _padding(options),
            dilations=[options.dilationHFactor, options.dilationWFactor],
        )

    return _weighted(job, operator, product)


def _fully_connected(job: Job, operator: FileOperator) -> tf.Tensor:
    def product(steps: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(steps, (-1, kernel.shape[1]))
        return tf.matmul(flat, kernel, transpose_b=True)

    found = _weighted(job, operator, product)
    return _shaped(job, operator, found)


def _shaped(job: Job, operator: FileOperator, steps: tf.Tensor) -> tf.Tensor:
    """In the shape of the output, with any number of examples."""
    return tf.reshape(steps, (-1, *job.tensor(operator.outputs[0]).shape[1:]))


def _reshape(job: Job, operator: FileOperator) -> tf.Tensor:
    return _shaped(job, operator, job.steps(operator.inputs[0]))


def _average_pool(job: Job, operator: FileOperator) -> tf.Tensor:
    options = operator.options
    size, stride = (options.filterHeight, options.filterWidth), (options.strideH, options.strideW)
    means = tf.nn.avg_pool2d(job.steps(operator.inputs[0]), size, stride, _padding(options))
    out = job.tensor(operator.outputs[0])
    # XNNPACK takes the pooling of uint8 files, and rounds as always; that of int8 files runs in LiteRT's kernel.
    rounding = rounded if out.dtype == np.uint8 else _rounded_away
    return clipped(rounding(means), out, options.fusedActivationFunction)


def _max_pool(job: Job, operator: FileOperator) -> tf.Tensor:
    options = operator.options
    size, stride = (options.filterHeight, options.filterWidth), (options.strideH, options.strideW)
    steps = tf.nn.max_pool2d(job.steps(operator.inputs[0]), size, stride, _padding(options))
    return clipped(steps, job.tensor(operator.outputs[0]), options.fusedActivationFunction)


def _mean(job: Job, operator: FileOperator) -> tf.Tensor:
    axes = np.asarray(job.tensor(operator.inputs[1]).stored).reshape(-1).tolist()
    real = tf.reduce_mean(_real(job, operator.inputs[0]), axes, keepdims=True)
    return _shaped(job, operator, _onto(real, job.tensor(operator.outputs[0])))


def _of_two(function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> Rule:
    def rule(job: Job, operator: FileOperator) -> tf.Tensor:
        real = function(*(_real(job, number) for number in operator.inputs[:2]))
        fused = getattr(operator.options, "fusedActivationFunction", 0)
        return _onto(real, job.tensor(operator.outputs[0]), fused, _rounded_up)

    return rule


def _of_one(function: Callable[[tf.Tensor], tf.Tensor]) -> Rule:
    def rule(job: Job, operator: FileOperator) -> tf.Tensor:
        return _onto(function(_real(job, operator.inputs[0])), job.tensor(operator.outputs[0]))

    return rule


def _softmax(job: Job, operator: FileOperator) -> tf.Tensor:
    real = tf.nn.softmax(operator.options.beta * _real(job, operator.inputs[0]))
    return _onto(real, job.tensor(operator.outputs[0]))


def _leaky_relu(job: Job, operator: FileOperator) -> tf.Tensor:
    real = tf.nn.leaky_relu(_real(job, operator.inputs[0]), operator.options.alpha)
    return _onto(real, job.tensor(operator.outputs[0]))


def _concatenation(job: Job, operator: FileOperator) -> tf.Tensor:
    out = job.tensor(operator.outputs[0])
    parts = [_onto(_real(job, number), out) for number in operator.inputs]
    return tf.concat(parts, operator.options.axis)


def _pad(job: Job, operator: FileOperator) -> tf.Tensor:
    given = job.tensor(operator.inputs[0])
    widths = np.asarray(job.tensor(operator.inputs[1]).stored)
    return tf.pad(job.steps(operator.inputs[0]), widths, constant_values=_grid(given)[1])


def _nearest(job: Job, operator: FileOperator) -> tf.Tensor:
    size = job.tensor(operator.outputs[0]).shape[1:3]
    return tf.image.resize(job.steps(operator.inputs[0]), size, "nearest")


RULES: Mapping[str, Rule] = {
    "ADD": _of_two(tf.add),
    "AVERAGE_POOL_2D": _average_pool,
    "CONCATENATION": _concatenation,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEQUANTIZE": _of_one(tf.identity),
    "EXPAND_DIMS": _reshape,
    "FULLY_CONNECTED": _fully_connected,
    "HARD_SWISH": _of_one(lambda real: real * tf.nn.relu6(real + 3) / 6),
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _of_one(tf.sigmoid),
    "MAXIMUM": _of_two(tf.maximum),
    "MAX_POOL_2D": _max_pool,
    "MEAN": _mean,
    "MINIMUM": _of_two(tf.minimum),
    "MUL": _of_two(tf.multiply),
    "PAD": _pad,
    "QUANTIZE": _of_one(tf.identity),
    "RELU": _of_one(tf.nn.relu),
    "RELU6": _of_one(tf.nn.relu6),
    "RESHAPE": _reshape,
    "RESIZE_NEAREST_NEIGHBOR": _nearest,
    "SOFTMAX": _softmax,
    "SQUEEZE": _reshape,
    "SUB": _of_two(tf.subtract),
    "TANH": _of_one(tf.tanh),
}
WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
LAST = frozenset({"SOFTMAX", "LOGISTIC"})
HANDED_ON = frozenset({"QUANTIZE", "DEQUANTIZE", "RESHAPE"})  # behind the last function
