"""Operators that take one number at a time, in ONNX."""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from tfkit.exporters.flatbuffer_graph import FileOperator
from tfkit.exporters.onnx.translation import Rule, Translation
from tfkit.layers.tables import looked_up_inverse_root
from tfkit.layers.whole_numbers import LARGEST_OF_16


def _together(job: Translation, operator: FileOperator) -> tuple[list[str], bool]:
    """Values that are broadcast together, and whether with channels first: as most of them are at hand."""
    numbers, out = operator.inputs, operator.outputs[0]
    computed = [number for number in numbers if not job.is_constant(number)]
    first = any(job.is_first(number) for number in computed)
    first = first and all(len(job.tensor(number).shape) == 4 for number in computed)
    values = []
    for number in numbers:
        alone = job.is_constant(number) and np.prod(job.tensor(number).shape, dtype=int) == 1
        value = job.value(number, first=first and not alone)
        if number in computed and (missing := len(job.sizes(out)) - len(job.sizes(number))):
            batch, *rest = job.sizes(number)
            value = job.shaped(value, [batch, *[1] * missing, *rest])
        values.append(value)
    return values, first


def _elementwise(make: Callable[[Translation, list[str]], str]) -> Rule:
    """A rule of an operator whose output has the shape that its inputs are broadcast to."""

    def rule(job: Translation, operator: FileOperator) -> None:
        values, first = _together(job, operator)
        activation = getattr(operator.options, "fusedActivationFunction", 0)
        job.put(operator.outputs[0], make(job, values), first=first, activation=activation)

    return rule


def _plain(kind: str, **attributes: Any) -> Rule:
    return _elementwise(lambda job, values: job.node(kind, values, **attributes))


def _not_equal(job: Translation, values: list[str]) -> str:
    return job.node("Not", [job.node("Equal", values)])


def _squared_difference(job: Translation, values: list[str]) -> str:
    difference = job.node("Sub", values)
    return job.node("Mul", [difference, difference])


def _inverse_root(job: Translation, operator: FileOperator) -> None:
    """Of 16 bits LiteRT looks it up, for small numbers a fifth off, and the model was trained on that."""
    number, out = operator.inputs[0], operator.outputs[0]
    given, told = job.tensor(number), job.tensor(out)
    if given.dtype != np.int16 or given.scales is None or told.scales is None:
        _plain_inverse_root(job, operator)
        return
    steps = np.arange(LARGEST_OF_16 + 1, dtype=np.float64)
    source, result = float(given.scales[0]), float(told.scales[0])
    roots = np.asarray(looked_up_inverse_root(steps, input_step=source, output_step=result)) * result
    places = job.node("Round", [job.node("Div", [job.value(number), job.constant(np.float32(source))])])
    places = job.node("Cast", [places], to=TensorProto.INT64)
    job.put_same(out, job.node("Gather", [job.constant(roots, np.float32), places], axis=0))


def _clipped(low: float, high: float) -> Rule:
    return _elementwise(
        lambda job, values: job.node("Clip", [*values, job.constant(np.float32(low)), job.constant(np.float32(high))])
    )


def _gelu(job: Translation, operator: FileOperator) -> None:
    job.need(20)
    first = job.is_first(operator.inputs[0])
    way = "tanh" if operator.options.approximate else "none"
    made = job.node("Gelu", [job.value(operator.inputs[0], first=first)], approximate=way)
    job.put(operator.outputs[0], made, first=first)


def _leaky_relu(job: Translation, operator: FileOperator) -> None:
    first = job.is_first(operator.inputs[0])
    made = job.node("LeakyRelu", [job.value(operator.inputs[0], first=first)], alpha=float(operator.options.alpha))
    job.put(operator.outputs[0], made, first=first)


def _cast(job: Translation, operator: FileOperator) -> None:
    number = operator.inputs[0]
    first = job.is_first(number)
    kind = helper.np_dtype_to_tensor_dtype(job.tensor(operator.outputs[0]).dtype)
    job.put(operator.outputs[0], job.node("Cast", [job.value(number, first=first)], to=kind), first=first)


def _quantize(job: Translation, operator: FileOperator) -> None:
    number, out = operator.inputs[0], operator.outputs[0]
    first = job.is_first(number)
    put = job.put_same if _on_the_same_steps(job, number, out) else job.put
    put(out, job.value(number, first=first), first=first)


def _dequantize(job: Translation, operator: FileOperator) -> None:
    first = job.is_first(operator.inputs[0])
    job.put_same(operator.outputs[0], job.value(operator.inputs[0], first=first), first=first)


def _on_the_same_steps(job: Translation, one: int, other: int) -> bool:
    """Whether two 8-bit tensors hold the same real numbers, integer for integer."""
    there, here = job.tensor(one), job.tensor(other)
    if there.scales is None or here.scales is None or there.dtype.itemsize != 1 or here.dtype.itemsize != 1:
        return False
    zeros = [int(t.zero_points[0]) + (128 if t.dtype == np.int8 else 0) for t in (there, here)]
    return bool(there.scales[0] == here.scales[0]) and zeros[0] == zeros[1]


_plain_inverse_root = _elementwise(lambda job, values: job.node("Reciprocal", [job.node("Sqrt", values)]))


ELEMENTWISE: dict[str, Rule] = {
    "ADD": _plain("Add"),
    "SUB": _plain("Sub"),
    "MUL": _plain("Mul"),
    "DIV": _plain("Div"),
    "MAXIMUM": _plain("Max"),
    "MINIMUM": _plain("Min"),
    "POW": _plain("Pow"),
    "SQUARED_DIFFERENCE": _elementwise(_squared_difference),
    "SQUARE": _elementwise(lambda job, values: job.node("Mul", [*values, *values])),
    "RSQRT": _inverse_root,
    "SQRT": _plain("Sqrt"),
    "EXP": _plain("Exp"),
    "LOG": _plain("Log"),
    "ABS": _plain("Abs"),
    "NEG": _plain("Neg"),
    "SIN": _plain("Sin"),
    "COS": _plain("Cos"),
    "FLOOR": _plain("Floor"),
    "CEIL": _plain("Ceil"),
    "ROUND": _plain("Round"),
    "RELU": _plain("Relu"),
    "RELU6": _clipped(0, 6),
    "RELU_N1_TO_1": _clipped(-1, 1),
    "RELU_0_TO_1": _clipped(0, 1),
    "LEAKY_RELU": _leaky_relu,
    "PRELU": _plain("PRelu"),
    "ELU": _plain("Elu"),
    "GELU": _gelu,
    "HARD_SWISH": _plain("HardSwish"),
    "LOGISTIC": _plain("Sigmoid"),
    "TANH": _plain("Tanh"),
    "EQUAL": _plain("Equal"),
    "NOT_EQUAL": _elementwise(_not_equal),
    "LESS": _plain("Less"),
    "LESS_EQUAL": _plain("LessOrEqual"),
    "GREATER": _plain("Greater"),
    "GREATER_EQUAL": _plain("GreaterOrEqual"),
    "LOGICAL_AND": _plain("And"),
    "LOGICAL_OR": _plain("Or"),
    "LOGICAL_NOT": _plain("Not"),
    "SELECT": _plain("Where"),
    "SELECT_V2": _plain("Where"),
    "CAST": _cast,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _dequantize,
}
