"""How much the rounding of each layer costs, and which layers are worth leaving in float."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression import QuantizationPolicy, quantize_aware, set_quantizers
from tfkit.compression.kinds import treatment_of
from tfkit.graph import LayerGraph, Node, read_graph
from tfkit.keras_types import Inputs
from tfkit.layers import CompressedKernel, FakeQuantize, PixelGrid, QuantizedLayerNormalization
from tfkit.search.result import FloatChoice, FloatLayer, LayerSensitivity

Progress = Callable[[int, int, str], None]
_BATCH = 64
_SMALLEST = 1e-7  # of a probability, so that its logarithm is finite
# More of a model in float than this is no int8 file any more.
_MOST_IN_FLOAT = 0.5
_NAMED_BY_POLICY = ("kernel", "affine", "activation", "compute", "joined", "same", "same_rounded")

_Switch = CompressedKernel | FakeQuantize | QuantizedLayerNormalization


@dataclass(frozen=True, eq=False)
class _Unit:
    """Layers that are rounded together, and what switches their rounding."""

    names: tuple[str, ...]
    layers: tuple[str, ...]
    takers: tuple[str, ...]
    switches: tuple[_Switch, ...]

    def switch(self, *, enabled: bool) -> None:
        for switch in self.switches:
            switch.enabled = enabled


def measure_sensitivity(
    model: keras.Model,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int32],
    *,
    calibration: Inputs,
    max_seconds: float = 120.0,
    progress: Progress | None = None,
) -> tuple[LayerSensitivity, ...]:
    """Round one layer at a time and see how far the answers move.

    A layer's rounding is that of its kernel and of what it gives. Where one pass over the images for each layer
    would take longer than `max_seconds`, neighbours are measured together.

    Args:
        model: What `searchable_classifier` gave.
        pixels: uint8 (n, height, width, channels), some hundred validation images.
        labels: int (n,), their classes.
        calibration: uint8 training images that set the ranges, bare or by the name of the input.
        max_seconds: About how long to measure.
        progress: Called with layers done, layers in all, and the layer's name.

    Returns:
        One entry for each layer or group of neighbours, in running order.

    Raises:
        ModelError: When the model holds a layer that cannot be quantised.
    """
    quantized = quantize_aware(model, calibration)
    set_quantizers(quantized, enabled=False)
    _scores(quantized, pixels[:1])  # the first call builds what later ones use
    began = time.perf_counter()
    reference = _scores(quantized, pixels)
    units = _units(quantized)
    most = max(1, int(max_seconds / max(time.perf_counter() - began, 1e-6)))
    groups = _grouped(units, most)
    found = []
    for number, group in enumerate(groups):
        if progress is not None:
            progress(number, len(groups), group.names[0])
        group.switch(enabled=True)
        scores = _scores(quantized, pixels)
        group.switch(enabled=False)
        found.append(
            LayerSensitivity(
                name=group.names[0] if len(group.names) == 1 else f"{group.names[0]} to {group.names[-1]}",
                layers=group.layers,
                takers=group.takers,
                divergence=_divergence(reference, scores),
                accuracy_drop=accuracy(reference, labels) - accuracy(scores, labels),
            )
        )
    return tuple(found)


def choose_float_layers(
    model: keras.Model,
    sensitivity: Sequence[LayerSensitivity],
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int32],
    *,
    calibration: Inputs,
    max_drop: float,
    progress: Progress | None = None,
) -> FloatChoice:
    """Find out how many of the most sensitive layers must stay in float, on validation images.

    1, 2, 4, ... layers are left in float, up to half of them, until the accuracy is close enough to the float
    model's: first the layers alone, whose outputs are still rounded for the next layer, then those that take them
    as well.

    Args:
        model: What `searchable_classifier` gave.
        sensitivity: What `measure_sensitivity` gave.
        pixels: uint8 (n, height, width, channels), validation images.
        labels: int (n,), their classes.
        calibration: uint8 training images that set the ranges, bare or by the name of the input.
        max_drop: What the accuracy may lose, a fraction.
        progress: Called with choices tried, choices in all, and a text.

    Returns:
        The layers; none when half of them in float are not enough.
    """
    ranked = sorted((layer for layer in sensitivity if layer.layers), key=lambda layer: -layer.divergence)
    most = int(_MOST_IN_FLOAT * len(ranked))
    trials = [(2**power, takers) for power in range(most.bit_length()) for takers in (False, True)]
    whole = accuracy(_scores(model, pixels), labels)
    tried = []
    for number, (count, with_takers) in enumerate(trials):
        chosen = ranked[:count]
        left = _reasons(chosen, with_takers=with_takers)
        skip = tuple(layer.name for layer in left)
        if progress is not None:
            progress(number, len(trials), f"{len(skip)} layers in float")
        quantized = quantize_aware(model, calibration, policy=QuantizationPolicy(skip=skip))
        tried.append((len(skip), whole - accuracy(_scores(quantized, pixels), labels)))
        if tried[-1][1] <= max_drop:
            return FloatChoice(layers=left, tried=tuple(tried))
    return FloatChoice(layers=(), tried=tuple(tried))


def _reasons(chosen: Sequence[LayerSensitivity], *, with_takers: bool) -> tuple[FloatLayer, ...]:
    """Every layer left in float with the reason: a sensitive one, one that runs with it, or one that takes it."""
    reasons: dict[str, str] = {}
    for layer in chosen:
        points = f"{100 * layer.accuracy_drop:.2f}".replace("-", "−")
        costs = f"moves the answers by {layer.divergence:.2g} nats and costs {points} points of accuracy"
        reasons |= {name: f"runs with '{layer.layers[0]}'" for name in layer.layers}
        reasons[layer.layers[0]] = f"rounding it alone {costs} on validation images"
    for layer in chosen if with_takers else ():
        for name in layer.takers:
            reasons.setdefault(name, f"takes what '{layer.name}' gives, which is not to be rounded")
    return tuple(FloatLayer(name, reason) for name, reason in reasons.items())


def accuracy(scores: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    """Share of images with the right label on top.

    Example:
        >>> accuracy(np.float32([[0.9, 0.1], [0.2, 0.8]]), np.int32([0, 0]))
        0.5
    """
    return float(np.mean(scores.argmax(axis=1) == labels))


def _units(model: keras.Model) -> list[_Unit]:
    """Kernels with the rounding behind them; and each other rounding with the layer it belongs to.

    The scores' own is left out: every file gives them in steps of 1/256.
    """
    graph = read_graph(model)
    chains: dict[str, list[Node]] = {}
    switches: dict[str, list[_Switch]] = {}
    seen: set[int] = set()
    for node in graph.nodes:
        layer = node.operation
        if id(layer) in seen:
            continue
        if isinstance(layer, CompressedKernel) and layer.weight_bits is not None:
            chains[node.name], switches[node.name] = [node], [layer]
        elif isinstance(layer, QuantizedLayerNormalization):
            chains[node.name], switches[node.name] = [node], [layer, *layer.quantizers.values()]
        elif isinstance(layer, FakeQuantize) and node.output is not graph.outputs[0]:
            chain = _rounded_by(node) or [node]
            chains[chain[0].name] = chain
            switches.setdefault(chain[0].name, []).append(layer)
        else:
            continue
        seen.add(id(layer))
    unit_of = {node.name: name for name, chain in chains.items() for node in chain}
    layers = {name: tuple(node.name for node in chain if _is_named(node)) for name, chain in chains.items()}
    return [
        _Unit(
            names=(name,),
            layers=layers[name],
            takers=_takers(graph, chain[-1], unit_of, layers),
            switches=tuple(switches[name]),
        )
        for name, chain in chains.items()
    ]


def _is_named(node: Node) -> bool:
    return treatment_of(node) in _NAMED_BY_POLICY


def _takers(
    graph: LayerGraph, last: Node, unit_of: dict[str, str], layers: dict[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """The layers up to and in the units that take a node's output."""
    found: dict[str, None] = {}
    waiting = list(graph.consumers(last.output))
    while waiting:
        node = waiting.pop(0)
        if node.name in unit_of:
            found |= dict.fromkeys(layers[unit_of[node.name]])
        else:  # a rounding, or a layer that hands its input on
            found |= {node.name: None} if _is_named(node) else {}
            waiting += graph.consumers(node.output)
    return tuple(found)


def _rounded_by(quantizer: Node) -> list[Node]:
    """The layers between the rounding before and this one, in running order, from the kernel or the join on."""
    chain: list[Node] = []
    node = quantizer.inputs[0].node
    while node is not None and not isinstance(node.operation, FakeQuantize | PixelGrid):
        chain.append(node)
        is_start = isinstance(node.operation, CompressedKernel | QuantizedLayerNormalization)
        if is_start or len(node.inputs) != 1:
            break
        node = node.inputs[0].node
    return chain[::-1]


def _grouped(units: list[_Unit], most: int) -> list[_Unit]:
    if len(units) <= most:
        return units
    parts = [units[len(units) * part // most : len(units) * (part + 1) // most] for part in range(most)]
    return [
        _Unit(
            names=tuple(name for unit in part for name in unit.names),
            layers=tuple(name for unit in part for name in unit.layers),
            takers=part[-1].takers,
            switches=tuple(switch for unit in part for switch in unit.switches),
        )
        for part in parts
    ]


def _scores(model: keras.Model, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    # Called, not `predict`: a compiled function would not notice that a layer's rounding was switched.
    batches = [
        model(keras.ops.convert_to_tensor(pixels[start : start + _BATCH], "float32"), training=False)
        for start in range(0, len(pixels), _BATCH)
    ]
    return np.concatenate([keras.ops.convert_to_numpy(batch) for batch in batches])


def _divergence(reference: NDArray[np.float32], scores: NDArray[np.float32]) -> float:
    wanted, given = (np.clip(answers.astype(np.float64), _SMALLEST, 1) for answers in (reference, scores))
    return float(np.mean(np.sum(wanted * (np.log(wanted) - np.log(given)), axis=1)))
