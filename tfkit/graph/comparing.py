"""Compare a copy or a rewrite of a model with the model, layer by layer, before anything is done with it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.errors import ModelError
from tfkit.graph.layer_graph import LayerGraph, Node, Value, replace_values
from tfkit.graph.reading import read_graph
from tfkit.graph.running import call_node, few_samples, given_values, run_graph
from tfkit.keras_types import Array, Inputs, Tensor

# Of float32 summed in another order, as a share of a tensor's largest value: in one layer, and through a whole network.
_ONE_LAYER, _WHOLE = 1e-5, 1e-3
# Of one layer that computes in a narrower type, in units of its last place: products round once, sums of hundreds of
# them a few times more.
_NARROW_STEPS = 32
_NARROW = {"float16": 2.0**-10, "bfloat16": 2.0**-7}

# Which channels of a node's result a narrower copy has, by the node's name: the last axis; None for all.
Kept = Callable[[str], NDArray[np.bool_] | None]
_Numbers = NDArray[np.integer | np.floating]


def refuse_difference(
    model: keras.Model,
    made: keras.Model,
    inputs: Inputs | list[Array] | tuple[Array, ...] | None = None,
    *,
    what: str,
    kept: Kept | None = None,
    skip: Callable[[str], bool] | None = None,
    tolerance: float = _WHOLE,
) -> None:
    """Refuse a model that was made from another one and does not answer as that one.

    What `get_config` and `get_weights` do not carry is lost in a copy, and nothing tells: the statistics that a
    `Normalization` derives from its weights, or whatever a layer of one's own keeps beside them. A copy with the same
    layers is compared layer by layer, each on what the model's own layer took; so neither a head that is not trained
    yet nor a narrower floating-point type hides a difference. Anything else is compared by what it gives, and by what
    goes into the layers that give it.

    Args:
        model: The original.
        made: What was made of it.
        inputs: What the model takes, the first four real samples of it: (n, ...), or a dictionary of them by the names
            of the inputs; the default, for want of any, is noise of an image's range, or random token ids.
        what: What was made, such as `copy`; for the message.
        kept: For a copy with fewer channels: which channels of a node's result it has, by the node's name; None for
            all. The model's own layers then see zeros in the others.
        skip: With `kept`: tells, by its name, a node whose result cannot be the same with fewer channels.
        tolerance: For what is no copy of the same layers: how far its results may be, as a share of the largest.

    Raises:
        ModelError: Names the first layer that differs, and what it and the model's own give.

    Example:
        >>> refuse_difference(model, build_model(read_graph(model)), pixels, what="copy")
    """
    graph, copied = read_graph(model), read_graph(made)
    samples = few_samples(copied, inputs)  # a copy may be for fewer sizes
    if samples is None:
        return
    pairs = _pairs(graph, copied)
    try:
        if pairs is not None:
            found = _first_other_layer(graph, copied, pairs, samples, kept=kept, skip=skip)
        else:
            found = _other_end(graph, copied, samples, max(tolerance, _narrowest(graph, copied)))
    except Exception:
        if inputs is None and not _takes(graph, samples):
            return  # noise is nothing that this model can be asked
        raise
    if found is not None:
        raise _refusal(found, name=graph.name, what=what)


def _takes(graph: LayerGraph, samples: Mapping[str, Array]) -> bool:
    try:
        run_graph(graph, samples)
    except Exception:  # whatever a layer raises at what it does not take
        return False
    return True


def refuse_other_values(model: keras.Model, found: Mapping[str, Tensor | Array], inputs: Inputs, *, what: str) -> None:
    """Refuse a model of another library whose layers do not give what those of the model do that it was made of.

    Args:
        model: The original.
        found: What the other model's layers give for `inputs`, by the names of the original's layers.
        inputs: A few real inputs of the original.
        what: What was made.

    Raises:
        ModelError: Names the first layer that differs, with both figures.
    """
    graph = read_graph(model)
    values = run_graph(graph, few_samples(graph, inputs) or {})
    for node in graph.nodes:
        if node.name in found:
            other = _difference(_array(values[id(node.output)]), np.asarray(found[node.name]), tolerance=_WHOLE)
            if other is not None:
                raise _refusal(_Other(node.name, node.kind, *other), name=graph.name, what=what)


@dataclass(frozen=True)
class _Other:
    layer: str
    kind: str
    expected: float
    found: float


def _refusal(other: _Other, *, name: str, what: str) -> ModelError:
    of = f" of model '{name}'" if name else ""
    where = f"the first layer that differs is '{other.layer}' ({other.kind}): it" if other.layer else "it"
    return ModelError(
        f"the {what}{of} does not answer as the model: {where} gives {other.found:.6g} where the model gives "
        f"{other.expected:.6g}",
        hint="a copy gets what get_config() and get_weights() tell: a layer of your own must keep whatever it computes "
        "with in one of them, or derive it again from its weights in a method finalize_state()",
    )


# Layer by layer


def _pairs(graph: LayerGraph, copied: LayerGraph) -> list[tuple[Node, Node]] | None:
    """Each node of the copy with the node that it copies, in the copy's order; None where the graphs differ."""
    if len(graph.nodes) != len(copied.nodes) or len(graph.inputs) != len(copied.inputs):
        return None
    same: dict[int, Value] = {id(new): old for new, old in zip(copied.inputs, graph.inputs, strict=True)}
    waiting: dict[tuple[str, int, str], list[Node]] = {}
    for node in graph.nodes:
        waiting.setdefault(_key(node, lambda value: id(value)), []).append(node)
    pairs = []
    for node in copied.nodes:
        candidates = waiting.get(_key(node, lambda value: id(same[id(value)])), [])
        if not candidates:
            return None
        chosen = next((old for old in candidates if old.name == node.name), candidates[0])
        candidates.remove(chosen)
        pairs.append((chosen, node))
        same.update({id(new): old for new, old in zip(node.outputs, chosen.outputs, strict=True)})
    ends = [same[id(value)] for value in copied.outputs]
    return pairs if all(new is old for new, old in zip(ends, graph.outputs, strict=True)) else None


def _key(node: Node, known: Callable[[Value], int]) -> tuple[str, int, str]:
    """What a node and its copy have in common: the class, what goes in, and every other argument."""
    kwargs = {key: value for key, value in node.kwargs.items() if key != "training"}
    told = replace_values((node.args, kwargs), lambda value: ("tensor", known(value)))
    return node.kind, len(node.outputs), repr(told)


def _first_other_layer(
    graph: LayerGraph,
    copied: LayerGraph,
    pairs: list[tuple[Node, Node]],
    samples: Mapping[str, Array],
    *,
    kept: Kept | None,
    skip: Callable[[str], bool] | None,
) -> _Other | None:
    values, made = given_values(graph, samples), given_values(copied, samples)

    def channels_of(value: Value) -> NDArray[np.bool_] | None:
        return kept(value.node.name) if kept is not None and value.node is not None else None

    def masked(value: Value) -> Tensor:
        channels = channels_of(value)
        tensor = values[id(value)]
        return tensor if channels is None else tensor * keras.ops.cast(channels, tensor.dtype)

    def narrowed(value: Value, tensor: Tensor) -> Tensor:
        channels = channels_of(value)
        return tensor if channels is None else keras.ops.take(tensor, np.flatnonzero(channels), axis=-1)

    for old, new in pairs:
        args, kwargs = replace_values((old.args, old.kwargs), masked)
        expected = call_node(old, args, kwargs)
        args, kwargs = replace_values((new.args, new.kwargs), lambda value: made[id(value)])
        found = call_node(new, args, kwargs)
        for value, given, want, got in zip(old.outputs, new.outputs, expected, found, strict=True):
            values[id(value)], made[id(given)] = want, narrowed(value, want)
            if skip is not None and skip(old.name):
                continue
            other = _difference(_array(made[id(given)]), _array(got), tolerance=_tolerance(old, new))
            if other is not None:
                return _Other(old.name, old.kind, *other)
    return None


def _narrowest(*graphs: LayerGraph) -> float:
    """What the narrowest floating-point type of graphs allows one layer; nothing for float32 throughout."""
    return max((_tolerance(node) for graph in graphs for node in graph.nodes), default=0.0)


def _tolerance(*nodes: Node) -> float:
    types = {getattr(node.operation, "compute_dtype", "float32") for node in nodes}
    return max([_ONE_LAYER, *(_NARROW_STEPS * _NARROW[name] for name in types if name in _NARROW)])


# By what comes out


def _other_end(graph: LayerGraph, copied: LayerGraph, samples: Mapping[str, Array], tolerance: float) -> _Other | None:
    values, made = run_graph(graph, samples), run_graph(copied, samples)
    ends = zip(graph.outputs, copied.outputs, strict=True)
    results = [(_array(values[id(old)]), _array(made[id(new)])) for old, new in ends]
    wrong = next((other for want, got in results if (other := _difference(want, got, tolerance=tolerance))), None)
    by_size: dict[int, list[_Numbers]] = {}
    for value in (*copied.inputs, *(output for node in copied.nodes for output in node.outputs)):
        tensor = _array(made[id(value)])
        by_size.setdefault(tensor.size, []).append(tensor)

    def has(value: Value) -> bool:
        wanted = _array(values[id(value)])
        alike = by_size.get(wanted.size, [])
        return any(_difference(wanted.ravel(), one.ravel(), tolerance=tolerance) is None for one in alike)

    before = [value for end in graph.outputs for value in _telling(end, values) if not has(value)]
    if wrong is None and not before:
        return None
    first = _first_lost(graph, has, lambda value: _tells(_array(values[id(value)])))
    if first is None and wrong is None:
        return None  # a sum in another order that its taker evens out
    if first is None:
        return _Other("", "", *(wrong or (np.nan, np.nan)))
    wanted = _array(values[id(first.output)]).ravel()
    alike = [one.ravel() for one in by_size.get(wanted.size, [])]
    named = next((node for node in copied.nodes if node.name == first.name), None)
    if named is not None and (own := _array(made[id(named.output)])).size == wanted.size:
        alike = [own.ravel()]
    nearest = min(alike, key=lambda one: float(np.max(np.abs(one.astype(np.float64) - wanted))), default=None)
    other = None if nearest is None else _difference(wanted, nearest, tolerance=0.0)
    return _Other(first.name, first.kind, *(other or wrong or (np.nan, np.nan)))


def _telling(value: Value, values: Mapping[int, Tensor]) -> Iterator[Value]:
    """What goes into the layer that makes a tensor, and before that where it is the same for every sample."""
    if value.node is None:
        return
    for source in value.node.inputs:
        tensor = _array(values[id(source)])
        if tensor.dtype.kind != "f":
            continue
        if _tells(tensor):
            yield source
        else:
            yield from _telling(source, values)


def _tells(tensor: _Numbers) -> bool:
    """Whether a tensor is not the same for every sample."""
    return tensor.ndim < 2 or len(tensor) < 2 or bool(np.any(tensor != tensor[:1]))


def _first_lost(graph: LayerGraph, has: Callable[[Value], bool], tells: Callable[[Value], bool]) -> Node | None:
    """The first node whose result the other graph has not, nor that of any node behind it."""
    found: dict[int, bool] = {}
    for node in reversed(graph.nodes):
        behind = [found[id(taker)] for value in node.outputs for taker in graph.consumers(value)]
        found[id(node)] = any(behind) or any(tells(value) and has(value) for value in node.outputs)
    return next((node for node in graph.nodes if not found[id(node)] and any(map(tells, node.outputs))), None)


def _array(tensor: Tensor) -> _Numbers:
    array = np.asarray(keras.ops.convert_to_numpy(tensor))
    return array if array.dtype.kind in "biuf" and array.dtype != np.float16 else array.astype(np.float32)


def _difference(expected: _Numbers, found: _Numbers, *, tolerance: float) -> tuple[float, float] | None:
    """Both numbers where they are farthest apart; None where that is within a share of the largest."""
    if expected.shape != found.shape:
        return float(np.mean(expected)) if expected.size else np.nan, float(np.mean(found)) if found.size else np.nan
    if not expected.size:
        return None
    want, got = expected.astype(np.float64), found.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.where((want == got) | (np.isnan(want) & np.isnan(got)), 0.0, np.abs(want - got))
    apart = np.where(np.isnan(apart), np.inf, apart)
    place = np.unravel_index(int(np.argmax(apart)), apart.shape)
    finite = np.abs(want[np.isfinite(want)])
    if float(apart[place]) <= tolerance * float(finite.max() if finite.size else 1.0):
        return None
    return float(want[place]), float(got[place])
