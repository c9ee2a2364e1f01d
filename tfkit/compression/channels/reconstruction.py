"""Let the channels that stay stand in for those that go."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.graph import LayerGraph, Node, build_model, read_graph
from tfkit.graph.building import Copy
from tfkit.keras_types import Tensor

_BATCH = 16
# Places of each image that a layer is fitted on.
_PLACES = 64
# How hard a kernel is held to what it was, as a share of its inputs' mean variance.
_RIDGE = 1e-3

# For a layer's name: which of its input channels, and which of its output channels stay.
KeptChannels = dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]


def refit_kernels(model: keras.Model, pruned: keras.Model, kept: KeptChannels, images: NDArray[np.float32]) -> None:
    """Fit each narrower kernel so that the layer gives what the whole model's layer gives.

    Channels of a layer are alike; what a removed one told the next layer can be told in part by those that stay. Each
    kernel that lost inputs is the least-squares solution over real images, held to its old numbers by a ridge (He et
    al. 2017, https://arxiv.org/abs/1707.06168; here with the whole model's inputs, in one pass for all layers).

    Args:
        model: The whole model; it is not changed.
        pruned: The narrower one, whose layers have the same names; its kernels and biases are set.
        kept: The channels that stay; layers that are missing keep their kernels, as do depthwise, grouped and shared
            ones.
        images: (n, height, width, channels), some hundred real training images.
    """
    graph = read_graph(model)
    calls = Counter(id(node.operation) for node in graph.nodes)
    # By the graph's names, which the narrower layers have: layers of nested models may share their own.
    nodes = {node.name: node for node in graph.nodes if calls[id(node.operation)] == 1}
    whole = {name: node.operation for name, node in nodes.items() if _can_be_refitted(node.operation)}
    chosen = {name: whole[name] for name, (inputs, _) in kept.items() if name in whole and not inputs.all()}
    moments = _input_moments(graph, chosen, images) if chosen else {}
    for name, (count, total, products) in moments.items():
        inputs, outputs = kept[name]
        layer = pruned.get_layer(name)
        kernel = np.asarray(keras.ops.convert_to_numpy(whole[name].kernel), np.float64)
        wanted = kernel.reshape(-1, kernel.shape[-1])[:, outputs]
        rows = np.tile(inputs, len(wanted) // len(inputs))
        mean = total / count
        covariance = products / count - np.outer(mean, mean)
        own, old = covariance[np.ix_(rows, rows)], wanted[rows]
        ridge = _RIDGE * max(float(np.trace(own)) / len(own), 1e-12) * np.eye(len(own))
        missing = covariance[rows] @ wanted - own @ old
        fitted = old + np.linalg.solve(own + ridge, missing)
        layer.kernel.assign(fitted.reshape(layer.kernel.shape))
        if layer.use_bias:
            layer.bias.assign_add(mean @ wanted - mean[rows] @ fitted)


def _can_be_refitted(layer: keras.Layer) -> bool:
    if isinstance(layer, keras.layers.Conv2D):
        return bool(layer.groups == 1 and layer.data_format == "channels_last")
    return isinstance(layer, keras.layers.Dense)


def _input_moments(
    graph: LayerGraph, layers: Mapping[str, keras.Layer], images: NDArray[np.float32]
) -> dict[str, tuple[int, NDArray[np.float64], NDArray[np.float64]]]:
    """For each layer's name in the graph: how many inputs were seen, their sum, and that of their outer products."""
    taken: dict[str, Tensor] = {}

    def call(node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | Sequence[Tensor]:
        if node.name in layers:
            taken[node.name] = args[0]
        return copy()(*args, **kwargs)

    probe = keras.Model(build_model(graph, call).inputs[0], list(taken.values()))
    rng = np.random.default_rng(0)
    sums: dict[str, tuple[int, NDArray[np.float64], NDArray[np.float64]]] = {}
    for batch in _batches(images):
        given = probe(batch, training=False)
        for name, tensor in zip(taken, given if len(taken) > 1 else [given], strict=True):
            seen = _positions(layers[name], tensor, rng)
            count, total, products = sums.get(name, (0, 0.0, 0.0))
            sums[name] = (count + len(seen), total + seen.sum(axis=0), products + seen.T @ seen)
    return sums


def _batches(images: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(images), _BATCH):
        yield images[start : start + _BATCH]


def _positions(layer: keras.Layer, tensor: Tensor, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n, numbers that one output is made of) at some of the places that a layer is applied to."""
    if isinstance(layer, keras.layers.Conv2D):
        settings = {"strides": layer.strides, "dilation_rate": layer.dilation_rate, "padding": layer.padding}
        tensor = keras.ops.image.extract_patches(tensor, layer.kernel_size, **settings)
    patches = np.asarray(keras.ops.convert_to_numpy(tensor), np.float64)
    patches = patches.reshape(len(patches), -1, patches.shape[-1])
    places = patches.shape[1]
    if places > _PLACES:
        patches = patches[:, rng.choice(places, _PLACES, replace=False)]
    return patches.reshape(-1, patches.shape[-1])
