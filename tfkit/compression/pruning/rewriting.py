"""Give a model's layers masks to be pruned by, and take the masks away again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from tfkit.compression.kinds.convolution import separated
from tfkit.compression.pruning.callback import matches, unknown_names
from tfkit.errors import ModelError
from tfkit.graph import LayerGraph, Node, build_model, copy_layer, read_graph, refuse_difference
from tfkit.graph.building import Copy
from tfkit.keras_types import Inputs, Tensor
from tfkit.layers import OWN_SETTINGS, CompressedKernel, compressed_class, plain_class

_SEPARABLE = ("SeparableConv1D", "SeparableConv2D")
_DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D")


@dataclass(frozen=True)
class PrunableLayer:
    """A layer with a matrix of weights, and whether it gets a mask.

    Attributes:
        layer: Its name.
        kind: Its class.
        weights: Number of weights that a mask covers, or would.
        pruned: Whether it gets a mask.
        reason: Why not; empty for a pruned one.
    """

    layer: str
    kind: str
    weights: int
    pruned: bool
    reason: str


@dataclass(frozen=True)
class PruningCoverage:
    """What of a model can be pruned: one row for each layer that holds more than biases and scales.

    Attributes:
        layers: The rows, in the order the layers run.
        parameters: All the model's weights.
    """

    layers: tuple[PrunableLayer, ...]
    parameters: int

    @property
    def share(self) -> float:
        """Share of the model's weights that masks cover: the most that sparsity can take away, 0 to 1."""
        return sum(row.weights for row in self.layers if row.pruned) / max(1, self.parameters)


def prunable(
    model: keras.Model,
    inputs: Inputs | None = None,
    *,
    skip: Sequence[str] = (),
    first: bool = False,
    last: bool = True,
    depthwise: bool = False,
) -> keras.Model:
    """Rebuild a model with a mask of ones in each layer that can be pruned.

    Convolutions and Dense layers become their `tfkit.layers` twins, a separable convolution becomes its depthwise
    and pointwise halves. The defaults are those of Zhu & Gupta 2017 (https://arxiv.org/abs/1710.01878) for
    MobileNet: the first convolution and depthwise kernels stay dense, since they hold about 1 % of the weights and a
    good deal of the accuracy; the last layer is pruned as any other. A model in quantisation-aware training keeps
    its quantisers, and masks that are there already stay as they are.

    Args:
        model: A functional or sequential model, nested models included. It is not changed.
        inputs: A few real inputs that the two are compared on; see `tfkit.graph.refuse_difference`.
        skip: Layers to leave dense: names, or patterns such as `block_1_*`.
        first: Whether the first layer, where it is a convolution, is pruned too.
        last: Whether the last layer with a kernel is pruned.
        depthwise: Whether depthwise convolutions are pruned too.

    Returns:
        A flat model with outputs equal to the bit, not compiled. Masks change in training by `PruneWeights`.

    Raises:
        ModelError: When a name in `skip` fits no layer, nothing is left to prune, or a layer of the new
            model does not compute what the model's does.

    Example:
        >>> sparse = prunable(model)
        >>> sparse.compile("adam", "categorical_crossentropy")
        >>> schedule = PolynomialDecay(final_sparsity=0.8, end_step=5)
        >>> history = sparse.fit(batches, epochs=1, callbacks=[PruneWeights(schedule)], verbose=0)
    """
    graph = read_graph(model)
    rows = _rows(graph, skip=skip, first=first, last=last, depthwise=depthwise)
    pruned = {row.layer for row in rows if row.pruned}
    if any(row.kind in _SEPARABLE for row in rows):
        graph = read_graph(build_model(graph, _Splitting(pruned).call))
    masked = build_model(graph, _Masking(pruned).call, name=model.name)
    refuse_difference(model, masked, inputs, what="copy with masks")
    return masked


def pruning_coverage(
    model: keras.Model,
    *,
    skip: Sequence[str] = (),
    first: bool = False,
    last: bool = True,
    depthwise: bool = False,
) -> PruningCoverage:
    """Tell what `prunable` would do, before anything is trained.

    Args:
        model: As for `prunable`.
        skip, first, last, depthwise: As for `prunable`.

    Returns:
        The coverage; the two halves of a separable convolution have a row each.

    Raises:
        ModelError: As `prunable` would.

    Example:
        >>> round(pruning_coverage(model).share, 2)
        0.93
    """
    rows = _rows(read_graph(model), skip=skip, first=first, last=last, depthwise=depthwise)
    return PruningCoverage(tuple(rows), sum(int(np.prod(weight.shape)) for weight in model.weights))


def strip_pruning(model: keras.Model) -> keras.Model:
    """Multiply the masks into the kernels and take them away.

    Args:
        model: A model with masks, nested models included. It is not changed.

    Returns:
        A flat model with the same zeros and outputs equal to the bit. Its layers are plain Keras ones, except where
        kernels are quantised: these stay in their quantisation-aware form.

    Example:
        >>> is_compressed(strip_pruning(prunable(model)))
        False
    """
    plain = build_model(read_graph(model), _Stripping().call, name=model.name)
    refuse_difference(model, plain, what="copy without masks")
    return plain


class _Replacing:
    """Puts a layer of another class in a layer's place, the same one for each call of a shared layer."""

    def __init__(self) -> None:
        self._made: dict[int, keras.Layer] = {}

    def replaced(
        self, node: Node, args: tuple[Tensor, ...], kwargs: dict[str, object], *, kind: type, **changes: object
    ) -> Tensor:
        layer = node.operation
        if id(layer) in self._made:
            return self._made[id(layer)](*args, **kwargs)
        made = self._made[id(layer)] = _of_kind(layer, kind, name=node.name, **changes)
        outputs = made(*args, **kwargs)
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        masked = isinstance(layer, CompressedKernel) and layer.masked
        if masked and getattr(made, "masked", False):
            made.mask.assign(layer.mask)
        elif masked:
            kernel = np.where(keras.ops.convert_to_numpy(layer.mask) != 0, kernel, np.zeros_like(kernel))
        made.kernel.assign(kernel)
        if layer.bias is not None:
            made.bias.assign(layer.bias)
        return outputs


class _Splitting:
    def __init__(self, pruned: set[str]) -> None:
        self._pruned = pruned

    def call(
        self, node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]
    ) -> Tensor | Sequence[Tensor]:
        halves = {f"{node.name}_depthwise", f"{node.name}_pointwise"}
        if node.kind in _SEPARABLE and halves & self._pruned:
            return separated(node, args[0], activation=node.operation.activation)
        return copy()(*args, **kwargs)


class _Masking(_Replacing):
    def __init__(self, pruned: set[str]) -> None:
        super().__init__()
        self._pruned = pruned

    def call(
        self, node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]
    ) -> Tensor | Sequence[Tensor]:
        kind = compressed_class(node.operation)
        # The second call of a shared layer has a name of its own; its first call decides.
        if kind is None or not (node.name in self._pruned or id(node.operation) in self._made):
            return copy()(*args, **kwargs)
        return self.replaced(node, args, kwargs, kind=kind, masked=True)


class _Stripping(_Replacing):
    def call(
        self, node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]
    ) -> Tensor | Sequence[Tensor]:
        layer = node.operation
        if not (isinstance(layer, CompressedKernel) and layer.masked):
            return copy()(*args, **kwargs)
        quantized = layer.weight_bits is not None
        return self.replaced(node, args, kwargs, kind=type(layer) if quantized else plain_class(layer), masked=False)


def _of_kind(layer: keras.Layer, kind: type, *, name: str, **changes: object) -> keras.Layer:
    if issubclass(kind, CompressedKernel):
        return copy_layer(layer, name=name, kind=kind, **changes)
    config = {key: value for key, value in layer.get_config().items() if key not in OWN_SETTINGS}
    return kind.from_config(config | {"name": name})  # type: ignore[attr-defined]


def _rows(graph: LayerGraph, *, skip: Sequence[str], first: bool, last: bool, depthwise: bool) -> list[PrunableLayer]:
    rows = [row for node in _first_calls(graph) for row in _layer_rows(graph, node, depthwise=depthwise)]
    names = [node.name for node in graph.nodes] + [row.layer for row in rows]
    skip = [skip] if isinstance(skip, str) else skip
    faults = unknown_names(skip, names, of="skip")
    kernels = [row for row in rows if row.reason in ("", _DEPTHWISE_REASON)]
    ends = {}
    if kernels and not first and not kernels[0].kind.endswith("Dense"):
        ends[kernels[0].layer] = "the first convolution"
    if kernels and not last:
        ends[kernels[-1].layer] = "the last layer"
    rows = [_left_dense(row, ends.get(row.layer, "")) for row in rows]
    rows = [_left_dense(row, "skip") if _skipped(row, skip) else row for row in rows]
    if not any(row.pruned for row in rows):
        reasons = "; ".join(f"'{row.layer}': {row.reason}" for row in rows[:8]) or "no layer has a kernel"
        faults.append(f"nothing is left to prune ({reasons})")
    if faults:
        raise ModelError(
            f"model '{graph.name}' cannot be pruned: " + "; ".join(faults),
            hint="convolutions and Dense layers can be pruned; see `skip`, `first`, `last` and `depthwise`",
        )
    return rows


def _first_calls(graph: LayerGraph) -> list[Node]:
    calls: dict[int, Node] = {}
    for node in graph.nodes:
        calls.setdefault(id(node.operation), node)
    return list(calls.values())


_DEPTHWISE_REASON = "depthwise kernels are few"


def _layer_rows(graph: LayerGraph, node: Node, *, depthwise: bool) -> list[PrunableLayer]:
    layer = node.operation
    weights = [tuple(weight.shape) for weight in getattr(layer, "weights", ())]
    count = sum(int(np.prod(shape)) for shape in weights if len(shape) > 1)
    if not count:
        return []
    if node.kind in _SEPARABLE and len(graph.calls_of(layer)) == 1:
        sizes = [int(np.prod(shape)) for shape in weights[:2]]
        halves = [f"{node.name}_depthwise", f"{node.name}_pointwise"]
        reasons = ["" if depthwise else _DEPTHWISE_REASON, ""]
        parts = zip(halves, sizes, reasons, strict=True)
        return [PrunableLayer(name, node.kind, size, not reason, reason) for name, size, reason in parts]
    if compressed_class(layer):
        count = int(np.prod(layer.kernel.shape))
        few = plain_class(layer).__name__ in _DEPTHWISE
        reason = _unusual(layer) or (_DEPTHWISE_REASON if few and not depthwise else "")
        return [PrunableLayer(node.name, node.kind, count, not reason, reason)]
    reason = "called more than once" if node.kind in _SEPARABLE else f"{node.kind} has no masked form"
    return [PrunableLayer(node.name, node.kind, count, False, reason)]


def _unusual(layer: keras.Layer) -> str:
    if getattr(layer, "quantization_mode", None):
        return f"its weights are quantised already ({layer.quantization_mode})"
    return "it has LoRA weights" if getattr(layer, "lora_enabled", False) else ""


def _skipped(row: PrunableLayer, skip: Sequence[str]) -> bool:
    whole = row.layer.rpartition("_")[0] if row.kind in _SEPARABLE else row.layer
    return matches(row.layer, skip) or matches(whole, skip)


def _left_dense(row: PrunableLayer, reason: str) -> PrunableLayer:
    return replace(row, pruned=False, reason=reason) if reason and row.pruned else row
