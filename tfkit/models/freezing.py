"""Which layers learn: the frozen backbone, the part that is fine-tuned, and BatchNorm's rule."""

import contextlib
import difflib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np

from tfkit.arguments import takes_text
from tfkit.errors import ModelError
from tfkit.graph import read_graph
from tfkit.models.classifier import backbone_layers

BatchNorm = Literal["frozen", "train"]


@dataclass(frozen=True)
class Unfrozen:
    """What `unfreeze` did.

    Attributes:
        layers: Names of the backbone's layers that learn, in the order of the graph.
        frozen_batch_norms: How many BatchNormalization layers keep their statistics and weights.
        trainable_parameters: Number of weights that learn, the head's included.
    """

    layers: tuple[str, ...]
    frozen_batch_norms: int
    trainable_parameters: int


def freeze_backbone(model: keras.Model) -> None:
    """Stop every layer of the backbone from learning; BatchNorm then runs on its stored statistics.

    Args:
        model: A classifier of `build_classifier`; changed in place.

    Example:
        >>> freeze_backbone(model)
        >>> [layer.name for layer in model.layers if layer.trainable_weights]
        ['logits']
    """
    for layer in backbone_layers(model):
        layer.trainable = False


def free_everything(model: keras.Model) -> None:
    """Let every layer and weight of a model learn, whatever was frozen before.

    `model.trainable = True` does not: Keras passes over an attribute that is set to what it is already, so that layers
    which were frozen one by one stay frozen.

    Args:
        model: Any model; changed in place. What is no parameter, such as running statistics, is none afterwards.

    Example:
        >>> freeze_backbone(model)
        >>> free_everything(model)
        >>> all(layer.trainable for layer in model.layers)
        True
    """
    for layer in model._flatten_layers():
        layer.trainable = False
        layer.trainable = True


@takes_text
def unfreeze(model: keras.Model, unfreeze: float | str = "all", *, batch_norm: BatchNorm = "frozen") -> Unfrozen:
    """Let the end of the backbone learn, and leave BatchNorm's statistics alone.

    Keras 3.15 overrides `base(x, training=False)` inside a functional model: the outer call's `training=True` reaches
    every layer, so that the documented way of fine-tuning runs BatchNorm on batch statistics and moves the running
    ones. Only `trainable = False` on the layers themselves holds, and that is what this does.

    Args:
        model: A classifier of `build_classifier`; changed in place.
        unfreeze: `all`, the share of the backbone's weighted layers counted from its end in (0, 1], or the name of
            the first layer that learns.
        batch_norm: `frozen` keeps every BatchNormalization of the backbone in inference mode; `train` lets the
            unfrozen ones learn and follow the new images (wants batches of 16 or more). A bias in front of one that
            follows stays as it is: the batch mean takes it away again, its gradient is zero, and computing it costs a
            pass over the maps.

    Returns:
        What learns now.

    Raises:
        ModelError: When the layer is unknown, the share is out of range, or `train` meets folded BatchNorms.

    Example:
        >>> unfrozen = unfreeze(model, 0.5)
    """
    layers = backbone_layers(model)
    first = _first_layer(layers, unfreeze)
    learning = layers[first:]
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    if batch_norm == "train" and (folded := [norm.name for norm in norms if norm in learning and _is_folded(norm)]):
        raise ModelError(
            f"fine_tune.batch_norm=train: {len(folded)} BatchNorm layers have folded statistics (mean 0, variance 1), "
            f"the first is '{folded[0]}'; on batch statistics the network would fall apart",
            hint="leave fine_tune.batch_norm out: frozen works with folded weights",
        )
    for layer in layers[:first]:
        layer.trainable = False
    for layer in learning:
        is_frozen_norm = batch_norm == "frozen" and isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = not is_frozen_norm
    for layer, norm in _biased_before_norms(model):
        layer.bias.trainable = layer.trainable and not norm.trainable
    return Unfrozen(
        layers=tuple(layer.name for layer in learning if layer.trainable_weights),
        frozen_batch_norms=sum(not norm.trainable for norm in norms),
        trainable_parameters=sum(int(np.prod(weight.shape)) for weight in model.trainable_weights),
    )


_TIMES_AVERAGED = 10  # what stood in the running statistics before is worth e**-10 of them at the end
_LEAST_MOMENTUM = 0.5


@contextlib.contextmanager
def statistics_that_follow(model: keras.Model, *, steps: int) -> Iterator[None]:
    """Let BatchNorm's running statistics reach what a short training brings, and no further back.

    Keras's MobileNets keep 99.9 % of them a step: after a thousand steps on new images a third is still ImageNet's,
    and the trained model answers on statistics that it never learned with. Within, a layer that follows keeps at most
    as much as a tenth of the training forgets.

    Args:
        model: What is trained; its momenta are as before afterwards.
        steps: Batches that it is trained on.

    Example:
        >>> with statistics_that_follow(model, steps=100):
        ...     history = model.fit(pixels, labels, verbose=0)  # doctest: +SKIP
    """
    most = max(_LEAST_MOMENTUM, 1 - _TIMES_AVERAGED / max(1, steps))
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    changed = [(norm, norm.momentum) for norm in norms if norm.trainable and norm.momentum > most]
    for norm, _ in changed:
        norm.momentum = most
    try:
        yield
    finally:
        for norm, momentum in changed:
            norm.momentum = momentum


def _first_layer(layers: tuple[keras.layers.Layer, ...], unfreeze: float | str) -> int:
    if unfreeze == "all":
        return 0
    if isinstance(unfreeze, str):
        names = [layer.name for layer in layers]
        if unfreeze in names:
            return names.index(unfreeze)
        near = difflib.get_close_matches(unfreeze, names, n=3)
        raise ModelError(
            f"fine_tune.unfreeze: the backbone has no layer '{unfreeze}'",
            hint=f"did you mean {' or '.join(near)}?" if near else f"its last layers are {', '.join(names[-5:])}",
        )
    if not 0 < unfreeze <= 1:
        raise ModelError(
            f"fine_tune.unfreeze must be in (0, 1]; got {unfreeze}",
            hint="leave fine_tune out to train only the head",
        )
    weighted = [index for index, layer in enumerate(layers) if layer.weights]
    if not weighted:
        return len(layers)
    return weighted[len(weighted) - max(1, round(unfreeze * len(weighted)))]


def _biased_before_norms(model: keras.Model) -> list[tuple[keras.layers.Layer, keras.layers.Layer]]:
    """Convolutions and Dense layers with a bias whose only taker is a BatchNorm over their channels, and that one."""
    graph = read_graph(model)
    calls = Counter(id(node.operation) for node in graph.nodes)
    found = []
    for node in graph.nodes:
        layer, taker = node.operation, graph.only_consumer(node.output) if len(node.outputs) == 1 else None
        norm = None if taker is None else taker.operation
        if (
            isinstance(layer, _BIASED)
            and isinstance(norm, keras.layers.BatchNormalization)
            and calls[id(layer)] == calls[id(norm)] == 1
            and layer.bias is not None
            and layer.activation is keras.activations.linear
            and getattr(layer, "data_format", "channels_last") == "channels_last"
            and norm.axis in (-1, len(layer.output.shape) - 1)
        ):
            found.append((layer, norm))
    return found


_BIASED = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.Dense,
)


def _is_folded(norm: keras.layers.BatchNormalization) -> bool:
    """Statistics as a new layer has them, but a bias that was learned: the rest went into the convolution before."""
    if not norm.built or norm.beta is None:
        return False
    mean, variance, beta = (np.asarray(value) for value in (norm.moving_mean, norm.moving_variance, norm.beta))
    return bool(beta.any() and not mean.any() and np.allclose(variance, 1.0, atol=2e-3))
