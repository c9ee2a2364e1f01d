"""How much each channel matters, by one of three criteria."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.channels.tracing import ChannelTrace, WeightAxis
from tfkit.errors import ModelError
from tfkit.graph import fed
from tfkit.keras_types import Array, Inputs, Tensor, Tensors
from tfkit.runtimes.protocol import some_inputs

Criterion = Literal["bn_scale", "weight_norm", "loss"]
Scores = NDArray[np.float64]
# Images, bare or by the name of the input, and labels.
Batches = Iterable[tuple[Tensors | Inputs, Tensor | Array]]
# Labels, outputs -> the loss.
Loss = Callable[[Tensor, Tensor], Tensor]
_PIECE = 4


def bn_scale_scores(trace: ChannelTrace) -> Scores:
    """Score channels by the size of the BatchNorm scale on them: network slimming, Liu et al. 2017 (1708.06519).

    Args:
        trace: What `trace_channels` gave.

    Returns:
        For each class the mean of |gamma| over the BatchNorms on it; NaN where there is none with a scale.
    """
    return _mean_by_class(
        trace,
        [
            (axis, np.abs(_value(layer, axis)))
            for axis, layer in _axes(trace, "scales")
            if axis.weight == "gamma" and type(layer).__name__ == "BatchNormalization"
        ],
    )


def weight_norm_scores(trace: ChannelTrace) -> Scores:
    """Score channels by the L1 norm of the kernels that make them: Li et al. 2017 (1608.08710).

    Args:
        trace: What `trace_channels` gave.

    Returns:
        For each class the mean over the kernels that make it, each kernel's norms divided by their mean, so that
        layers of different sizes compare; NaN where no kernel makes it.
    """
    found = []
    for axis, layer in _axes(trace, "makes"):
        norms = np.abs(_along(axis, _value(layer, axis))).sum(axis=1)
        found.append((axis, norms / (norms.mean() or 1.0)))
    return _mean_by_class(trace, found)


def loss_scores(trace: ChannelTrace, model: keras.Model, batches: Batches, *, loss: Loss | None = None) -> Scores:
    """Score channels by what the loss would lose without them: first-order Taylor, Molchanov et al. 2019 (1906.10771).

    A channel's gate is a factor on every kernel slice that takes it; the loss's derivative by a gate at 1 is the sum
    of weight times gradient over those slices, so one backward pass gives every channel's score and no layer need be
    added. Batches are taken four images at a time: over many images of a trained model the slopes cancel (ResNet-8 on
    digits, a quarter of the channels cut: accuracy .74 by fours, .58 by batches of 64). BatchNorm and dropout run as
    in inference.

    Args:
        trace: What `trace_channels` gave for `model`.
        model: The model.
        batches: Pairs (images, labels) as the model and the loss take them; images may come by their input's name.
        loss: `loss(labels, outputs)`; default cross entropy with integer labels.

    Returns:
        For each class the mean of the squared derivative; NaN where no kernel takes it.

    Raises:
        ModelError: When there is no batch, or Keras does not run on TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ModelError(f"criterion 'loss' needs the TensorFlow backend; Keras runs on {keras.backend.backend()}")
    import tensorflow as tf

    loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=not _ends_in_softmax(trace))
    taking = list(_axes(trace, "takes"))
    variables = [_weight(layer, axis).value for axis, layer in taking]
    number = len(trace.labels)
    total, seen = np.zeros(number), 0
    for images, labels in _pieces(batches):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            value = loss(labels, model(fed(model, images), training=False))
        slopes = np.zeros(number)
        for (axis, layer), gradient in zip(taking, tape.gradient(value, variables), strict=True):
            if gradient is not None:
                product = _along(axis, _value(layer, axis) * np.asarray(gradient)).sum(axis=1)
                np.add.at(slopes, trace.labels[axis.atoms], product)
        total, seen = total + slopes**2, seen + 1
    if not seen:
        raise ModelError("criterion 'loss' needs batches; got none", hint="batches=[(images, labels), ...]")
    reached = np.isin(np.arange(number), np.concatenate([trace.labels[axis.atoms] for axis, _ in taking]))
    return np.where(reached, total / seen, np.nan)


def _pieces(batches: Batches) -> Iterator[tuple[Tensors | Inputs, Tensor | Array]]:
    for images, labels in batches:
        for start in range(0, len(labels), _PIECE):
            few = slice(start, start + _PIECE)
            yield some_inputs(images, few), labels[few]


def _axes(trace: ChannelTrace, role: str) -> Iterable[tuple[WeightAxis, keras.Layer]]:
    for key, axes in trace.axes.items():
        for axis in axes:
            if axis.role == role:
                yield axis, trace.owners[key][1]


def _weight(layer: keras.Layer, axis: WeightAxis) -> keras.Variable:
    return next(weight for weight in layer.weights if weight.name == axis.weight)


def _value(layer: keras.Layer, axis: WeightAxis) -> NDArray[np.float64]:
    return np.asarray(keras.ops.convert_to_numpy(_weight(layer, axis)), np.float64)


def _along(axis: WeightAxis, value: NDArray[np.float64]) -> NDArray[np.float64]:
    """(positions along the axis, all else)."""
    return np.moveaxis(value, axis.axis, 0).reshape(len(axis.atoms), -1)


def _mean_by_class(trace: ChannelTrace, found: list[tuple[WeightAxis, NDArray[np.float64]]]) -> Scores:
    total, number = np.zeros(len(trace.labels)), np.zeros(len(trace.labels))
    for axis, values in found:
        np.add.at(total, trace.labels[axis.atoms], values.reshape(-1))
        np.add.at(number, trace.labels[axis.atoms], 1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _ends_in_softmax(trace: ChannelTrace) -> bool:
    node = trace.graph.outputs[0].node
    activation = getattr(node.operation, "activation", None) if node else None
    return node is not None and (node.kind == "Softmax" or keras.activations.serialize(activation) == "softmax")
