"""Operators with weights, and products of two tensors, in ONNX."""

import numpy as np
from onnx import TensorProto

from tfkit.errors import ExportError
from tfkit.exporters.flatbuffer_graph import FileOperator
from tfkit.exporters.onnx.translation import INSTEAD, TO_CHANNELS_FIRST, Rule, Translation
from tfkit.exporters.onnx.windows import HEIGHT, SAME, WIDTH, pads


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
    if size == (1, 1) and strides != (1, 1) and job.tensor(image).is_activation_grid:
        # OpenVINO moves such strides to the operators before, away from the steps, and computes in float32 then
        # (its `StridesOptimization`): six of a ResNet-50's convolutions took longer than the 47 others.
        given, strides = job.thinned(image, strides), (1, 1)
    else:
        given = job.value(image, first=True)
    made = job.node(
        "Conv",
        [given, weights, *(job.bias(number) for number in bias if number >= 0)],
        kernel_shape=size,
        strides=strides,
        dilations=dilations,
        group=groups,
        pads=pads(job, operator, image, size, strides, dilations),
    )
    job.put(operator.outputs[0], made, first=True, activation=options.fusedActivationFunction)


def _transposed_convolution(job: Translation, operator: FileOperator) -> None:
    _, kernel, image, *bias = operator.inputs
    options = operator.options
    strides = (options.strideH, options.strideW)
    _, height, width, _ = job.tensor(kernel).shape
    before, after, more = [], [], []
    for axis, size, stride in ((HEIGHT, height, strides[0]), (WIDTH, width, strides[1])):
        whole = (job.tensor(image).shape[axis] - 1) * stride + size
        cut = whole - job.tensor(operator.outputs[0]).shape[axis]
        start = max(cut, 0) // 2 if options.padding == SAME else 0
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
        raise ExportError("GATHER along some of the axes has no rule in ONNX", hint=INSTEAD)
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
            raise ExportError(f"the table '{stored.name}' has no scale for each row", hint=INSTEAD)
        scales = job.node("Gather", [job.constant(stored.scales), job.value(places)], axis=0)
        scales = job.node("Unsqueeze", [scales, job.constant([-1], np.int64)])
        made = job.node("Mul", [job.node("Cast", [rows], to=TensorProto.FLOAT), scales])
    job.put(operator.outputs[0], made)


WEIGHTED: dict[str, Rule] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise_convolution,
    "TRANSPOSE_CONV": _transposed_convolution,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    "GATHER": _gather,
    "EMBEDDING_LOOKUP": _embedding,
}
