"""Which layers, heads and neurons of an opened transformer matter least."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.transformers.blocks import (
    ATTENTION_OUTPUT,
    FEEDFORWARD_OUTPUT,
    Block,
    BlockCut,
    cut_transformer,
    encoder_layers,
)
from tfkit.errors import ModelError
from tfkit.keras_types import Array, Tensor
from tfkit.models import logits_model

Criterion = Literal["loss", "weight_norm"]
LayerRule = Literal["even", "last", "loss"]
# Inputs by name, and one-hot targets.
Batches = Sequence[tuple[Mapping[str, Tensor | Array], Tensor | Array]]
# Texts whose slopes are added before they are squared: over many texts of a trained model they cancel.
_PIECE = 4


def unit_scores(
    model: keras.Model, *, criterion: Criterion, batches: Batches = ()
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Score every attention head and every neuron of the feed-forward parts.

    A unit is what some rows of the kernel behind it take. `loss` is what the loss would lose without it, in first
    order: a gate of 1 on the unit has the slope sum(weight * gradient) over those rows (Molchanov et al. 2019,
    https://arxiv.org/abs/1906.10771; of heads: Michel et al. 2019, https://arxiv.org/abs/1905.10650). Slopes are
    squared for a few texts at a time, so that they do not cancel. Dropout is off. `weight_norm` is the rows' L1 norm.

    Args:
        model: An opened transformer that ends in a softmax.
        criterion: What a unit is worth.
        batches: For `loss`: pairs (inputs, one-hot targets).

    Returns:
        For each block, by its name, one number per head and one per neuron.

    Raises:
        ModelError: When `loss` gets no batches, or Keras does not run on TensorFlow.
    """
    blocks = encoder_layers(model)
    units = {f"{block.name}_{ATTENTION_OUTPUT}": block.heads for block in blocks}
    units |= {f"{block.name}_{FEEDFORWARD_OUTPUT}": block.neurons for block in blocks}
    kernels = {name: model.get_layer(name).kernel for name in units}
    if criterion == "weight_norm":
        found = {name: _by_unit(np.abs(_array(kernels[name])), count) for name, count in units.items()}
    else:
        found = {name: np.zeros(count) for name, count in units.items()}
        for slopes in _products(model, kernels, batches):
            for name, count in units.items():
                found[name] += _by_unit(slopes[name], count) ** 2
    return {
        block.name: (found[f"{block.name}_{ATTENTION_OUTPUT}"], found[f"{block.name}_{FEEDFORWARD_OUTPUT}"])
        for block in blocks
    }


def layers_to_keep(model: keras.Model, count: int, *, rule: LayerRule, batches: Batches = ()) -> tuple[str, ...]:
    """Choose the blocks that stay.

    Sajjad et al. 2020 (https://arxiv.org/abs/2004.03844) compare such rules. `even` keeps the first, the last and
    evenly many between them; `last` drops from the end; `loss` drops, one after the other, the block without which
    the loss on `batches` is lowest.

    Args:
        model: An opened transformer that ends in a softmax.
        count: How many stay, 1 or more.
        rule: How they are chosen.
        batches: For `loss`: pairs (inputs, one-hot targets).

    Returns:
        The names of the blocks that stay, in running order.

    Raises:
        ModelError: When `loss` gets no batches.
    """
    blocks = encoder_layers(model)
    if rule != "loss" or count == len(blocks):
        places = np.linspace(0, len(blocks) - 1, count).round() if rule == "even" else range(count)
        return tuple(blocks[int(place)].name for place in places)
    _refuse_no_batches(batches)
    gone: tuple[Block, ...] = ()
    while len(blocks) - len(gone) > count:
        losses = {block: _loss_without(model, (*gone, block), batches) for block in blocks if block not in gone}
        gone = (*gone, min(losses, key=lambda block: losses[block]))
    return tuple(block.name for block in blocks if block not in gone)


def _loss_without(model: keras.Model, gone: tuple[Block, ...], batches: Batches) -> float:
    shorter = logits_model(cut_transformer(model, tuple(BlockCut(block, (), ()) for block in gone)))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    return float(np.mean([_array(loss(targets, shorter(inputs, training=False))) for inputs, targets in batches]))


def _products(
    model: keras.Model, kernels: dict[str, keras.Variable], batches: Batches
) -> Iterator[dict[str, NDArray[np.float64]]]:
    """Each kernel times the loss's gradient by it, for a few texts at a time."""
    _refuse_no_batches(batches)
    if keras.backend.backend() != "tensorflow":
        raise ModelError(f"criterion 'loss' needs the TensorFlow backend; Keras runs on {keras.backend.backend()}")
    import tensorflow as tf

    fitted, loss = logits_model(model), keras.losses.CategoricalCrossentropy(from_logits=True)
    watched = [kernel.value for kernel in kernels.values()]
    for inputs, targets in batches:
        for start in range(0, len(targets), _PIECE):
            piece = keras.tree.map_structure(lambda tensor: tensor[start : start + _PIECE], (inputs, targets))  # noqa: B023
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(watched)
                value = loss(piece[1], fitted(piece[0], training=False))
            gradients = tape.gradient(value, watched)
            pairs = zip(kernels.items(), gradients, strict=True)
            yield {name: _array(kernel) * _array(gradient) for (name, kernel), gradient in pairs}


def _refuse_no_batches(batches: Batches) -> None:
    if not batches:
        raise ModelError("ranking by 'loss' needs batches; got none", hint="batches=[(inputs, one_hot_targets), ...]")


def _by_unit(rows: NDArray[np.float64], units: int) -> NDArray[np.float64]:
    return np.asarray(rows.reshape(units, -1).sum(axis=1), np.float64)


def _array(tensor: Tensor) -> NDArray[np.float64]:
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float64)
