"""Operators that work along axes, in ONNX: pooling, sums, softmax, padding, resizing."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tfkit.exporters.flatbuffer_graph import FileOperator
from tfkit.exporters.onnx.translation import TO_CHANNELS_FIRST, Rule, Translation
from tfkit.exporters.onnx.windows import HEIGHT, WIDTH, pads


def _pooling(kind: str, **attributes: Any) -> Rule:
    def rule(job: Translation, operator: FileOperator) -> None:
        options, image = operator.options, operator.inputs[0]
        size, strides = (options.filterHeight, options.filterWidth), (options.strideH, options.strideW)
        made = job.node(
            kind,
            [job.value(image, first=True)],
            kernel_shape=size,
            strides=strides,
            pads=pads(job, operator, image, size, strides),
            **attributes,
        )
        job.put(operator.outputs[0], made, first=True, activation=options.fusedActivationFunction)

    return rule


# Means and sums of rows are products with a column: where 16-bit steps follow its reductions, OpenVINO 2026.4 gives
# rubbish for every text of a batch beyond as many as a text has tokens.
_OF_A_ROW: dict[str, Callable[[int], float]] = {"ReduceMean": lambda width: 1 / width, "ReduceSum": lambda width: 1.0}


def _reduction(kind: str) -> Rule:
    def rule(job: Translation, operator: FileOperator) -> None:
        number, told = operator.inputs
        rank = len(job.tensor(number).shape)
        axes = sorted({int(axis) % rank for axis in np.atleast_1d(job.tensor(told).real)})
        keep, first = bool(operator.options.keepDims), job.is_first(number)
        lead = job.lead(number)
        if not lead and 0 in axes:
            axes.remove(0)  # of one example
        if kind == "ReduceMean" and rank == 4 and axes == [HEIGHT, WIDTH]:
            made = job.node("GlobalAveragePool", [job.value(number, first=True)])
            if keep:
                job.put(operator.outputs[0], made, first=True)
            else:
                job.put(operator.outputs[0], job.node("Flatten", [made], axis=1))
            return
        if kind in _OF_A_ROW and job.tensor(number).scales is not None and not first and axes == [rank - 1]:
            width = job.tensor(number).shape[-1]
            column = job.constant(np.full((width, 1), _OF_A_ROW[kind](width)), np.float32)
            made = job.node("MatMul", [job.value(number), column])
            job.put(operator.outputs[0], job.shaped(made, job.sizes(operator.outputs[0])))
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


ALONG_AXES: dict[str, Rule] = {
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
}
