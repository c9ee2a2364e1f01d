"""Let a trained model compute as its file does: biases in whole steps, and sums that are rounded as its kernels do."""

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.kinds import kind_of
from tfkit.compression.kinds.counting import NARROW_BITS, Sums, channels_of
from tfkit.compression.neighbours import Neighbours, Summing
from tfkit.graph import LayerGraph, Node, Value, read_graph
from tfkit.layers import FakeQuantize, PixelGrid, TokenIds, WholeKernel

_INSIDE = ("absent", "activation", "masked")  # what the operator before runs itself


def settle_biases(model: keras.Model) -> int:
    """Let a trained model add what its file adds: biases in whole steps, and sums that are rounded as the file's.

    A file adds a bias as a whole number of (input scale x weight scale)
    (https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec). The
    rounding is small, but it turns the next rounding of about one value in a thousand, and each layer multiplies
    that. It is done once, after training: ranges and kernels must not change any more.

    Args:
        model: What `quantize_aware` gave, trained. Its kernels, and its biases or the `beta` of the BatchNorm layers
            that will be folded, are moved in place by half a step at most.

    Returns:
        How many layers were settled.

    Example:
        >>> settle_biases(student) > 0
        True
    """
    graph = read_graph(model)
    neighbours = Neighbours(graph, kind_of)
    settling = [(node, settle) for node in graph.nodes if (settle := kind_of(node).settle) is not None]
    settled = sum(settle(neighbours, node) for node, settle in settling)
    settle_sums(graph)
    for function in ("train_function", "test_function", "predict_function"):
        setattr(model, function, None)  # these shifts are constants of what was compiled
    return settled


def settle_sums(graph: LayerGraph) -> int:
    """Tell each quantiser behind a convolution, a product or a mean what its kernel's sums count in.

    Float32 adds the products of a convolution in another order than whole numbers are added: one value in a hundred
    thousand falls to the other side of a half, and deep networks make much of it. A sum is a whole number of (input
    step x weight step), which is known; from there, the model rounds to the quantiser's steps as XNNPACK does.

    Args:
        graph: Of a settled model: kernels, biases and ranges must not change any more.

    Returns:
        How many quantisers were told.
    """
    grids = [node.operation for node in graph.nodes if isinstance(node.operation, PixelGrid | TokenIds)]
    floats = {name for grid in grids for name in grid.float_layers}
    summing, told = _Settling(graph, kind_of), 0
    for node in graph.nodes:
        source = _source_of(node.inputs[0]) if isinstance(node.operation, FakeQuantize) else None
        if source is not None and source.name not in floats:
            told += summing.settle(source, node)
    return told


class _Settling(Summing):
    """What the operators of a settled model count in, asked of their kinds."""

    def settle(self, source: Node, node: Node) -> bool:
        """Tell one quantiser.

        Args:
            source: The operator whose result it rounds.
            node: The quantiser's call.

        Returns:
            Whether something was known.
        """
        quantizer: FakeQuantize = node.operation
        kind = kind_of(source)
        if kind.round_result is not None:
            return kind.round_result(self, source, quantizer)
        if kind.sums is None or (quantizer.per_channel and kind.treatment != "kernel"):
            return False
        if quantizer.bits != NARROW_BITS and not quantizer.per_channel and not kind.wide_sums:
            return False
        sums = kind.sums(self, source, quantizer)
        if sums is None:
            return False
        if quantizer.bits == NARROW_BITS and not quantizer.per_channel:
            sums = self._with_whole_kernel(source, quantizer, sums)
        wide = quantizer.bits != NARROW_BITS
        real_range = self.range_of_narrowed(node.output) if wide else None
        quantizer.settle(sums.steps, kernel=sums.kernel, shift=sums.shift, real_range=real_range)
        return True

    def counted(self, value: Value, quantizer: FakeQuantize) -> NDArray[np.float32] | np.float32:
        step, source = self.narrow_step_of(value), _source_of(value)
        if step is not None:
            return np.float32(step) * (np.float32(1) / np.float32(127))
        if source is None:
            return np.float32(0)
        kind = kind_of(source)
        if kind.round_result is not None:
            heard = self._is_heard_by(source, quantizer)
            settled = heard and kind.round_result(self, source, quantizer)
            return np.float32(quantizer.step() if settled else 0)
        own = kind.sums(self, source, quantizer) if kind.sums is not None else None
        own = None if own is None else self._with_whole_kernel(source, quantizer, own)
        return own.steps if own is not None and own.kernel == "once" and own.shift is None else np.float32(0)

    def _with_whole_kernel(self, source: Node, quantizer: FakeQuantize, sums: Sums) -> Sums:
        """Let a kernel that nothing but this quantiser hears round its whole sums itself, where it can."""
        node: Node | None = source
        scale, shift = np.ones(1), np.zeros(1)
        if self.treatment(source) == "affine" and not self.is_leading_scaling(source):
            scale, shift = self.channel_affine(source)
            node = self.source(source.inputs[0])
        if node is None or not isinstance(node.operation, WholeKernel) or len(self.graph.calls_of(node.operation)) > 1:
            return sums
        layer, step = node.operation, self.narrow_step_of(node.inputs[0])
        if step is None or not self._is_heard_by(node, quantizer):
            return sums
        counted = np.broadcast_to(sums.steps, channels_of(node))
        bias = np.asarray(keras.ops.convert_to_numpy(layer.bias), np.float64) if layer.use_bias else np.zeros(1)
        known = counted > 0
        whole = np.where(known, np.rint((bias * scale + shift) / np.where(known, counted, 1)), 0)
        settled = layer.settle(
            step, counted=counted, bias=whole, scale=scale, shift=shift, step=quantizer.step(), kernel=sums.kernel
        )
        if not settled:
            return sums
        return Sums(np.where(known, np.float32(quantizer.step()), np.float32(0)))

    def _is_heard_by(self, node: Node, quantizer: FakeQuantize) -> bool:
        """Whether all that a kernel gives goes to one quantiser, by what the file's kernel runs itself."""
        taker = self.taker(node.output)
        while taker is not None and self.treatment(taker) in ("activation", "affine", "joined"):
            taker = self.taker(taker.output)
        return taker is not None and taker.operation is quantizer


def _source_of(value: Value) -> Node | None:
    """The operator whose result is rounded, before the activation that runs inside it."""
    source = value.node
    while source is not None and kind_of(source).treatment in _INSIDE:
        source = source.inputs[0].node
    return source
