"""What each operator of a `.tflite` file is in ONNX.

The left sides are LiteRT's (https://ai.google.dev/edge/litert/models/ops_compatibility, and the kernels in
https://github.com/google-ai-edge/LiteRT/tree/main/tflite/kernels), the right ones ONNX's
(https://onnx.ai/onnx/operators). A file's batch is one: what stands first in a shape is left open here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from tfkit.errors import ExportError
from tfkit.exporters.onnx.flatbuffer_graph import FileOperator
from tfkit.exporters.onnx.translation import TO_CHANNELS_FIRST, Rule, Translation
from tfkit.layers.tables import looked_up_inverse_root
from tfkit.layers.whole_numbers import LARGEST_OF_16

_SAME = 0  # schema.Padding
_ELSE = "leave the onnx formats out of export.formats, or build the model without it"
_HEIGHT, _WIDTH = 1, 2


# --- weights -------------------------------------------------------------------------------------------------------


def _convolution(job: Translation, operator: FileOperator) -> None:
    image, kernel, *bias = operator.inputs
    _, height, width, taken = job.tensor(kernel).shape
    groups = job.tensor(image).shape[3] // taken
    weights = job.weights(kernel, TO_CHANNELS_FIRST)
    _convolve(job, operator, image, weights, bias, (height, width), groups)


def _depthwise_convolution(job: Translation, operator: FileOperator) -> None:
    image, kernel, *bias = operator.inputs
    _, height, width, _ = job.tensor(kernel).shape
    weights = job.weights(kernel, (3, 0, 1, 2))
    _convolve(job, operator, image, weights, bias, (height, width), job.tensor(image).shape[3])


def _convolve(
    job: Translation,
    operator: FileOperator,
    image: int,
    weights: str,
    bias: list[int],
    size: tuple[int, int],
    groups: int,
) -> None:
    options = operator.options
    strides, dilations = (options.strideH, options.strideW), (options.dilationHFactor, options.dilationWFactor)
    made = job.node(
        "Conv",
        [job.value(image, first=True), weights, *(job.bias(number) for number in bias if number >= 0)],
        kernel_shape=size,
        strides=strides,
        dilations=dilations,
        group=groups,
        pads=_pads(job, operator, image, size, strides, dilations),
    )
    job.put(operator.outputs[0], made, first=True, activation=options.fusedActivationFunction)


def _transposed_convolution(job: Translation, operator: FileOperator) -> None:
    _, kernel, image, *bias = operator.inputs
    options = operator.options
    strides = (options.strideH, options.strideW)
    _, height, width, _ = job.tensor(kernel).shape
    before, after, more = [], [], []
    for axis, size, stride in ((_HEIGHT, height, strides[0]), (_WIDTH, width, strides[1])):
        whole = (job.tensor(image).shape[axis] - 1) * stride + size
        cut = whole - job.tensor(operator.outputs[0]).shape[axis]
        start = max(cut, 0) // 2 if options.padding == _SAME else 0
        before.append(start)
        after.append(max(cut, 0) - start)
        more.append(max(-cut, 0))
    made = job.node(
        "ConvTranspose",
        [
            job.value(image, first=True),
            job.weights(kernel, (3, 0, 1, 2)),
            *(job.bias(number) for number in bias if number >= 0),
        ],
        kernel_shape=(height, width),
        strides=strides,
        pads=[*before, *after],
        output_padding=more,
    )
    job.put(operator.outputs[0], made, first=True, activation=getattr(options, "fusedActivationFunction", 0))


def _fully_connected(job: Translation, operator: FileOperator) -> None:
    given, kernel, *bias = operator.inputs
    units = job.tensor(kernel).shape[1]
    out, made = operator.outputs[0], job.value(given)
    if len(job.sizes(given)) != 2 or job.sizes(given)[-1] != units:
        made = job.shaped(made, [-1, units])
    if job.is_constant(kernel):
        weights = job.weights(kernel, (1, 0))
    else:
        weights = job.node("Transpose", [job.value(kernel)], perm=(1, 0))
    made = job.node("Gemm", [made, weights, *(job.bias(number) for number in bias if number >= 0)])
    job.put(out, made, activation=operator.options.fusedActivationFunction)
    if len(job.sizes(out)) != 2:
        job.put_same(out, job.shaped(job.value(out), job.sizes(out)))


def _batch_matmul(job: Translation, operator: FileOperator) -> None:
    sides = []
    for number, turned in zip(operator.inputs, (operator.options.adjX, operator.options.adjY), strict=True):
        side = job.value(number)
        if turned:
            axes = list(range(len(job.tensor(number).shape) + job.lead(number)))
            side = job.node("Transpose", [side], perm=[*axes[:-2], axes[-1], axes[-2]])
        sides.append(side)
    job.put(operator.outputs[0], job.node("MatMul", sides))


def _gather(job: Translation, operator: FileOperator) -> None:
    table, places = operator.inputs
    axis, batch = operator.options.axis, getattr(operator.options, "batchDims", 0)
    if not batch:
        _gathered(job, operator, table, places, axis + job.lead(table))
        return
    shape = job.tensor(table).shape
    if not batch == axis == len(shape) - 1 or not job.is_constant(places) or job.lead(table):
        raise ExportError("GATHER along some of the axes has no rule in ONNX", hint=_ELSE)
    size = job.node("Shape", [job.value(table)], start=0, end=1)
    whole = job.node("Concat", [size, job.constant(job.tensor(places).shape[1:], np.int64)], axis=0)
    chosen = job.node("Expand", [job.value(places), whole])
    job.put(operator.outputs[0], job.node("GatherElements", [job.value(table), chosen], axis=axis))


def _embedding(job: Translation, operator: FileOperator) -> None:
    places, table = operator.inputs
    _gathered(job, operator, table, places, 0)


def _gathered(job: Translation, operator: FileOperator, table: int, places: int, axis: int) -> None:
    stored = job.tensor(table)
    if stored.stored is None or stored.scales is None or stored.dtype.itemsize > 2:
        job.put(operator.outputs[0], job.node("Gather", [job.value(table), job.value(places)], axis=axis))
        return
    # The rows stay integers until they are chosen: a table of real numbers would take four times the memory.
    rows = job.node("Gather", [job.constant(stored.stored), job.value(places)], axis=axis)
    if len(stored.scales) == 1:
        made = job.node(
            "DequantizeLinear",
            [rows, job.constant(np.float32(stored.scales[0])), job.constant(stored.zero_points[0], stored.dtype)],
        )
    else:
        if stored.axis != axis or stored.zero_points.any():
            raise ExportError(f"the table '{stored.name}' has no scale for each row", hint=_ELSE)
        scales = job.node("Gather", [job.constant(stored.scales), job.value(places)], axis=0)
        scales = job.node("Unsqueeze", [scales, job.constant([-1], np.int64)])
        made = job.node("Mul", [job.node("Cast", [rows], to=TensorProto.FLOAT), scales])
    job.put(operator.outputs[0], made)


# --- one number at a time ------------------------------------------------------------------------------------------


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


# --- along axes ----------------------------------------------------------------------------------------------------


def _pads(
    job: Translation,
    operator: FileOperator,
    image: int,
    size: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int] = (1, 1),
) -> list[int]:
    """What stands around an image: before height and width, then behind them."""
    if operator.options.padding != _SAME:
        return [0, 0, 0, 0]
    before, after = [], []
    for axis, window, stride, dilation in zip((_HEIGHT, _WIDTH), size, strides, dilations, strict=True):
        length = job.tensor(image).shape[axis]
        wanted = (-(-length // stride) - 1) * stride + (window - 1) * dilation + 1
        around = max(wanted - length, 0)
        before.append(around // 2)
        after.append(around - around // 2)
    return [*before, *after]


def _pooling(kind: str, **attributes: Any) -> Rule:
    def rule(job: Translation, operator: FileOperator) -> None:
        options, image = operator.options, operator.inputs[0]
        size, strides = (options.filterHeight, options.filterWidth), (options.strideH, options.strideW)
        made = job.node(
            kind,
            [job.value(image, first=True)],
            kernel_shape=size,
            strides=strides,
            pads=_pads(job, operator, image, size, strides),
            **attributes,
        )
        job.put(operator.outputs[0], made, first=True, activation=options.fusedActivationFunction)

    return rule


def _reduction(kind: str) -> Rule:
    def rule(job: Translation, operator: FileOperator) -> None:
        number, told = operator.inputs
        rank = len(job.tensor(number).shape)
        axes = sorted({int(axis) % rank for axis in np.atleast_1d(job.tensor(told).real)})
        keep, first = bool(operator.options.keepDims), job.is_first(number)
        lead = job.lead(number)
        if not lead and 0 in axes:
            axes.remove(0)  # of one example
        if kind == "ReduceMean" and rank == 4 and axes == [_HEIGHT, _WIDTH]:
            made = job.node("GlobalAveragePool", [job.value(number, first=True)])
            if keep:
                job.put(operator.outputs[0], made, first=True)
            else:
                job.put(operator.outputs[0], job.node("Flatten", [made], axis=1))
            return
        whole = first and keep
        placed = [TO_CHANNELS_FIRST.index(axis) for axis in axes] if whole else [axis + lead for axis in axes]
        if kind != "ReduceSum":  # whose axes became an input before the others' did
            job.need(18)
        given = [job.value(number, first=whole), job.constant(placed, np.int64)]
        made = job.node(kind, given, keepdims=int(whole))
        if not whole:
            made = job.shaped(made, job.sizes(operator.outputs[0]))
        job.put(operator.outputs[0], made, first=whole)

    return rule


def _softmax(kind: str) -> Rule:
    def rule(job: Translation, operator: FileOperator) -> None:
        value = job.value(operator.inputs[0])
        beta = float(getattr(operator.options, "beta", 1.0) or 1.0)
        if beta != 1.0:
            value = job.node("Mul", [value, job.constant(np.float32(beta))])
        job.put(operator.outputs[0], job.node(kind, [value], axis=-1))

    return rule


def _l2_normalization(job: Translation, operator: FileOperator) -> None:
    value = job.value(operator.inputs[0])
    squares = job.node("ReduceSum", [job.node("Mul", [value, value]), job.constant([-1], np.int64)], keepdims=1)
    length = job.node("Sqrt", [job.node("Max", [squares, job.constant(np.float32(1e-12))])])
    job.put(operator.outputs[0], job.node("Div", [value, length]))


def _concatenation(job: Translation, operator: FileOperator) -> None:
    out = operator.outputs[0]
    shape, computed = job.tensor(out).shape, [number for number in operator.inputs if not job.is_constant(number)]
    axis = operator.options.axis % len(shape)
    first = axis != 0 and len(shape) == 4 and any(job.is_first(number) for number in computed)
    whole = not first and any(job.lead(number) != job.lead(out) for number in computed)  # along the file's batch of one
    values = []
    for number in operator.inputs:
        value = job.led(number) if whole and number in computed else job.value(number, first=first)
        if number not in computed:  # one for each example: a class token
            if whole or job.lead(out):
                value = job.node("Unsqueeze", [value, job.constant([0], np.int64)])
            size = job.node("Shape", [job.value(computed[0], first=first)], start=0, end=1)
            rest = job.constant([1] * (len(shape) - 1 + (1 if whole else job.lead(out))), np.int64)
            value = job.node("Expand", [value, job.node("Concat", [size, rest], axis=0)])
        values.append(value)
    if first:
        made = job.node("Concat", values, axis=TO_CHANNELS_FIRST.index(axis))
        job.put(out, made, first=True, activation=operator.options.fusedActivationFunction)
    elif whole:
        job.put_led(out, job.node("Concat", values, axis=axis + 1))
    else:
        made = job.node("Concat", values, axis=axis + job.lead(out))
        job.put(out, made, activation=operator.options.fusedActivationFunction)


def _padding(mode: str) -> Rule:
    def rule(job: Translation, operator: FileOperator) -> None:
        number, widths, *value = operator.inputs
        first = job.is_first(number)
        around = np.asarray(job.tensor(widths).real, np.int64)
        if first:
            around = around[list(TO_CHANNELS_FIRST)]
        elif job.lead(number):
            around = np.concatenate([np.zeros((1, 2), np.int64), around])
        given = [job.value(number, first=first), job.constant(around.T.reshape(-1))]
        if value and mode == "constant":
            given.append(job.value(value[0]))
        chosen = mode if mode == "constant" or operator.options.mode == 0 else "edge"
        job.put(operator.outputs[0], job.node("Pad", given, mode=chosen), first=first)

    return rule


def _resize(kind: str) -> Rule:
    def rule(job: Translation, operator: FileOperator) -> None:
        number, out = operator.inputs[0], operator.outputs[0]
        half, corners = operator.options.halfPixelCenters, operator.options.alignCorners
        where = "align_corners" if corners else "half_pixel" if half else "asymmetric"
        sizes = [old / new for new, old in zip(job.tensor(number).shape, job.tensor(out).shape, strict=True)]
        scales = job.constant(np.asarray([1, 1, sizes[1], sizes[2]], np.float32))
        rounding: dict[str, Any] = {"nearest_mode": "floor" if where == "asymmetric" else "round_prefer_ceil"}
        made = job.node(
            "Resize",
            [job.value(number, first=True), "", scales],
            mode=kind,
            coordinate_transformation_mode=where,
            **(rounding if kind == "nearest" else {}),
        )
        job.put(out, made, first=True)

    return rule


# --- shapes --------------------------------------------------------------------------------------------------------


def _reshape(job: Translation, operator: FileOperator) -> None:
    number, out = operator.inputs[0], operator.outputs[0]
    job.put(out, job.shaped(job.value(number), job.sizes(out)))


def _transpose(job: Translation, operator: FileOperator) -> None:
    number, out = operator.inputs[0], operator.outputs[0]
    turned = [int(axis) for axis in job.tensor(operator.inputs[1]).real]
    if turned[0] == 0 and not job.lead(number):
        job.put(out, job.node("Transpose", [job.value(number)], perm=turned))
    else:
        job.put_led(out, job.node("Transpose", [job.led(number)], perm=[0, *(axis + 1 for axis in turned)]))


def _strided_slice(job: Translation, operator: FileOperator) -> None:
    number, *ends = operator.inputs
    options, shape = operator.options, job.tensor(number).shape
    if options.ellipsisMask or options.newAxisMask:
        raise ExportError("STRIDED_SLICE with new axes has no rule in ONNX", hint=_ELSE)
    begins, stops, steps = (np.asarray(job.tensor(end).real, np.int64).tolist() for end in ends)
    cuts = []
    for axis, (begin, stop, step) in enumerate(zip(begins, stops, steps, strict=True)):
        if options.shrinkAxisMask >> axis & 1:
            begin = begin % shape[axis]
            cuts.append((axis, begin, begin + 1, 1))
            continue
        if options.beginMask >> axis & 1:
            begin = 0 if step > 0 else shape[axis] - 1
        if options.endMask >> axis & 1:
            stop = shape[axis] if step > 0 else np.iinfo(np.int64).min
        cuts.append((axis, begin, stop, step))
    _cut(job, operator, number, cuts)


def _slice(job: Translation, operator: FileOperator) -> None:
    number, *rest = operator.inputs
    begins, sizes = (np.asarray(job.tensor(one).real, np.int64).tolist() for one in rest)
    shape = job.tensor(number).shape
    ends = [whole if size < 0 else begin + size for begin, size, whole in zip(begins, sizes, shape, strict=True)]
    _cut(job, operator, number, [(axis, *cut, 1) for axis, cut in enumerate(zip(begins, ends, strict=True))])


def _cut(job: Translation, operator: FileOperator, number: int, cuts: list[tuple[int, int, int, int]]) -> None:
    """Take begin, end and step along axes of the file, then drop those of size one that the output has not."""
    shape, out, lead = job.tensor(number).shape, operator.outputs[0], job.lead(number)
    cuts = [cut for cut in cuts if cut[1:] != (0, shape[cut[0]], 1)]
    made = job.value(number)
    if cuts:
        axes, begins, stops, steps = (list(column) for column in zip(*cuts, strict=True))
        where = (begins, stops, [axis + lead for axis in axes], steps)
        made = job.node("Slice", [made, *(job.constant(one, np.int64) for one in where)])
    job.put(out, job.shaped(made, job.sizes(out)))


def _split(job: Translation, operator: FileOperator) -> None:
    axis, number = operator.inputs
    _parts(job, operator, number, axis)


def _split_by_sizes(job: Translation, operator: FileOperator) -> None:
    number, _, axis = operator.inputs
    _parts(job, operator, number, axis)


def _parts(job: Translation, operator: FileOperator, number: int, told: int) -> None:
    axis = int(np.ravel(job.tensor(told).real)[0]) % len(job.tensor(number).shape)
    sizes = [job.tensor(out).shape[axis] for out in operator.outputs]
    given = [job.led(number), job.constant(sizes, np.int64)]
    name = job.node("Split", given, outputs=len(sizes), axis=axis + 1)
    for place, out in enumerate(operator.outputs):
        job.put_led(out, name if place == 0 else f"{name}_{place}")


def _pack(job: Translation, operator: FileOperator) -> None:
    out = operator.outputs[0]
    axis = operator.options.axis % len(job.tensor(out).shape) + 1
    if any(job.is_constant(number) for number in operator.inputs):
        raise ExportError("PACK of constants has no rule in ONNX", hint=_ELSE)
    values = [job.node("Unsqueeze", [job.led(one), job.constant([axis], np.int64)]) for one in operator.inputs]
    job.put_led(out, job.node("Concat", values, axis=axis))


def _unpack(job: Translation, operator: FileOperator) -> None:
    number = operator.inputs[0]
    shape = job.tensor(number).shape
    axis = operator.options.axis % len(shape) + 1
    given = [job.led(number), job.constant([1] * shape[axis - 1], np.int64)]
    name = job.node("Split", given, outputs=shape[axis - 1], axis=axis)
    for place, out in enumerate(operator.outputs):
        part = name if place == 0 else f"{name}_{place}"
        job.put_led(out, job.node("Squeeze", [part, job.constant([axis], np.int64)]))


def _depth(kind: str) -> Rule:
    def rule(job: Translation, operator: FileOperator) -> None:
        made = job.node(kind, [job.value(operator.inputs[0], first=True)], blocksize=int(operator.options.blockSize))
        job.put(operator.outputs[0], made, first=True)

    return rule


_plain_inverse_root = _elementwise(lambda job, values: job.node("Reciprocal", [job.node("Sqrt", values)]))
RULES: dict[str, Rule] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise_convolution,
    "TRANSPOSE_CONV": _transposed_convolution,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    "GATHER": _gather,
    "EMBEDDING_LOOKUP": _embedding,
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
    "MAX_POOL_2D": _pooling("MaxPool"),
    "AVERAGE_POOL_2D": _pooling("AveragePool", count_include_pad=0),
    "MEAN": _reduction("ReduceMean"),
    "SUM": _reduction("ReduceSum"),
    "REDUCE_MAX": _reduction("ReduceMax"),
    "REDUCE_MIN": _reduction("ReduceMin"),
    "REDUCE_PROD": _reduction("ReduceProd"),
    "SOFTMAX": _softmax("Softmax"),
    "LOG_SOFTMAX": _softmax("LogSoftmax"),
    "L2_NORMALIZATION": _l2_normalization,
    "CONCATENATION": _concatenation,
    "PAD": _padding("constant"),
    "PADV2": _padding("constant"),
    "MIRROR_PAD": _padding("reflect"),
    "RESIZE_BILINEAR": _resize("linear"),
    "RESIZE_NEAREST_NEIGHBOR": _resize("nearest"),
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "EXPAND_DIMS": _reshape,
    "TRANSPOSE": _transpose,
    "STRIDED_SLICE": _strided_slice,
    "SLICE": _slice,
    "SPLIT": _split,
    "SPLIT_V": _split_by_sizes,
    "PACK": _pack,
    "UNPACK": _unpack,
    "DEPTH_TO_SPACE": _depth("DepthToSpace"),
    "SPACE_TO_DEPTH": _depth("SpaceToDepth"),
}
