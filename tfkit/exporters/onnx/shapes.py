"""Operators that move numbers and compute none, in ONNX."""

import numpy as np

from tfkit.errors import ExportError
from tfkit.exporters.flatbuffer_graph import FileOperator
from tfkit.exporters.onnx.translation import INSTEAD, Rule, Translation


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
        raise ExportError("STRIDED_SLICE with new axes has no rule in ONNX", hint=INSTEAD)
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
        raise ExportError("PACK of constants has no rule in ONNX", hint=INSTEAD)
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


SHAPES: dict[str, Rule] = {
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
