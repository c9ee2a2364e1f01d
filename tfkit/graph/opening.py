"""Lay open layers that are made of others, or of weights of their own, into layers of one operator each."""

import math

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.graph.building import copy_layer, give_weights
from tfkit.graph.layer_graph import Node, replace_values
from tfkit.keras_types import Shape, Tensor
from tfkit.layers import AddPositions

_IMAGES, _SEQUENCES = 4, 3
# What the answers of a sum in another order may differ by, as a share of the largest.
_SAME = 1e-5
_NOTHING = np.zeros((0,), np.float32)


def call_opened(node: Node, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> list[Tensor]:
    """Run the `call` of a layer on symbolic tensors, which records what it does as a nested model's layers.

    Args:
        node: A call of a layer made of layers.
        args, kwargs: What it is called with now.

    Returns:
        What the layer gives: the tensors of a nested model with the layer's own layers, and constants as they are.

    Raises:
        Exception: Whatever Python code raises that was not written for symbols.
    """
    if steps := steps_of(node):
        tensor = args[0]
        for step in steps:
            is_layer = is_builtin(step.operation)
            tensor = step.operation(tensor) if is_layer else call_opened(step, (tensor,), {})[0]
        return [tensor, *(_NOTHING for _ in node.outputs[1:])]
    nested, constants = opened_model(node)
    tensors = [leaf for leaf in keras.tree.flatten((args, kwargs)) if isinstance(leaf, keras.KerasTensor)]
    found = iter(keras.tree.flatten(nested(tensors)))
    return [next(found) if constant is None else constant for constant in constants]


def steps_of(node: Node) -> tuple[Node, ...]:
    """The calls, one on the other's first output, that keras-hub's DeiT encoder is; of any other layer none.

    Its blocks give a tensor and a None, which Keras takes from no layer that is called on symbols.
    """
    layer = node.operation
    if type(layer).__name__ != "DeiTEncoder" or not type(layer).__module__.startswith("keras_hub."):
        return ()
    inner = [*layer.encoder_layers, layer.layer_norm]
    return tuple(Node(f"{node.name}_{step.name}", step, node.args[:1], {}, node.outputs[:1]) for step in inner)


def opened_model(node: Node) -> tuple[keras.Model, list[Tensor | None]]:
    """What a layer does, as a model of its own layers.

    Args:
        node: A call of a layer made of layers.

    Returns:
        The model, from the call's tensors to those that it gives; and for each output of the call None, or the
        constant that it is.
    """
    symbols = [keras.Input(batch_shape=value.shape, dtype=value.dtype) for value in node.inputs]
    given = iter(symbols)
    args, kwargs = replace_values((node.args, node.kwargs), lambda _: next(given))
    # The layer's own layers, not a copy's: such layers seldom come back from their configuration.
    outputs = keras.tree.flatten(node.operation.call(*args, **kwargs))
    tensors = [output for output in outputs if isinstance(output, keras.KerasTensor)]
    others = [_NOTHING if output is None else output for output in outputs]
    constants = [None if isinstance(output, keras.KerasTensor) else output for output in others]
    return keras.Model(symbols, tensors, name=node.name), constants


def call_with_rows(node: Node, tensor: Tensor) -> Tensor | None:
    """Call a layer that embeds a sequence: an optional projection, tokens in front, and a learned row for each place.

    Patches with a class token and positions (Dosovitskiy et al. 2020, arXiv:2010.11929), a distillation token beside
    it (Touvron et al. 2020, arXiv:2012.12877), and what people write for themselves are all that. Their Python code
    is not read: the layer is asked what it answers, and must answer so for every input. A token in front and the row
    of its place are only ever added up, so one row holds both.

    Args:
        node: A call of any layer.
        tensor: What it is called with now: (n, height, width, channels) or (n, length, width). Images of another size
            than before are taken too: the rows of the patches are then resized (bicubic) as pictures are.

    Returns:
        Its output (n, places, width), of a `Conv2D` or `Dense`, a `ZeroPadding1D` and an `AddPositions`; None for a
        layer that does anything else.

    Example:
        >>> inputs = keras.Input((9, 6))
        >>> dense = read_graph(keras.Model(inputs, keras.layers.Dense(6)(inputs))).nodes[0]
        >>> call_with_rows(dense, inputs) is None
        True
    """
    parts = _parts(node)
    if parts is None or (rows := _rows(node, parts)) is None:
        return None
    layer, projection = node.operation, parts[0] if parts else None
    settings = {"dtype": layer.dtype_policy, "trainable": layer.trainable}
    if projection is not None:
        # `Dense` and `Conv2D` are named so by their authors in a dozen ways; inside a model the names must differ.
        made = copy_layer(projection, name=f"{node.name}_{projection.name}")
        tensor = made(tensor)
        give_weights(made, projection.get_weights())
        made.trainable = layer.trainable and projection.trainable
    before = _grid(node.inputs[0].shape, projection)
    if len(tensor.shape) == _IMAGES:
        grid = tuple(tensor.shape[1:3])
        rows = rows if grid == before else _resized(rows, before, grid)
        tensor = keras.layers.Reshape((math.prod(grid), rows.shape[-1]), name=f"{node.name}_sequence")(tensor)
    if front := len(rows) - int(tensor.shape[1]):
        tensor = keras.layers.ZeroPadding1D((front, 0), name=f"{node.name}_tokens", dtype=layer.dtype_policy)(tensor)
    if len(layer.weights) > len(projection.weights if projection is not None else []):
        added = AddPositions(positions=len(rows), name=node.name, **settings)
        tensor = added(tensor)
        added.set_weights([rows])
    if rate := max((part.rate for part in _leaves(layer) if isinstance(part, keras.layers.Dropout)), default=0.0):
        tensor = keras.layers.Dropout(rate, name=f"{node.name}_dropout")(tensor)
    return tensor


def reshapes_examples(node: Node) -> bool:
    """Whether a call of `keras.ops.reshape` changes each example alone: then a `Reshape` layer does the same.

    The operation keeps the batch that it was recorded with, which is None.
    """
    if node.kind != "Reshape" or isinstance(node.operation, keras.layers.Layer):
        return False
    sizes = tuple(node.operation.newshape)
    return sizes[0] is None and None not in sizes[1:]


def _parts(node: Node) -> list[keras.Layer] | None:
    """The projection of a layer that may embed a sequence, or nothing; None for a layer that is made otherwise."""
    layer = node.operation
    if not isinstance(layer, keras.layers.Layer) or isinstance(layer, keras.Model) or is_builtin(layer):
        return None
    if len(node.args) != 1 or any(value not in (None, False) for value in node.kwargs.values()):
        return None
    if len(node.inputs) != 1 or len(node.outputs) != 1 or not layer.weights or len(node.output.shape) != _SEQUENCES:
        return None
    if None in node.inputs[0].shape[1:] or None in node.output.shape[1:]:
        return None
    weighted = [part for part in _leaves(layer) if part.weights]
    projections = [part for part in weighted if type(part) in (keras.layers.Conv2D, keras.layers.Dense)]
    others = [part for part in weighted if part not in projections and type(part) is not keras.layers.Embedding]
    linear = all(part.activation is keras.activations.linear for part in projections)
    return projections if not others and linear and len(projections) <= 1 else None


def is_builtin(layer: keras.Layer) -> bool:
    """Whether Keras or tfkit wrote a layer."""
    return type(layer).__module__.startswith(("keras.src.", "keras.", "tfkit."))


def _leaves(layer: keras.Layer) -> list[keras.Layer]:
    inner = list(layer._flatten_layers(include_self=False))
    return [part for part in inner if not list(part._flatten_layers(include_self=False))]


def _rows(node: Node, parts: list[keras.Layer]) -> NDArray[np.float32] | None:
    """What a layer adds to its projection at each place, (places, width); None where it does not just add."""
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 1, (3, *(int(size or 1) for size in node.inputs[0].shape[1:]))).astype(np.float32)
    samples[0] = 0
    layer, kept = node.operation, {id(weight) for part in parts for weight in part.weights}
    # A layer that multiplies by ones would pass for one that adds nothing: other weights must be added up as well.
    moved = [
        weight if id(weight) in kept or "float" not in weight.dtype else rng.normal(0, 1, weight.shape)
        for weight in (*layer.trainable_variables, *layer.non_trainable_variables)
    ]
    places = len(layer.trainable_variables)
    try:
        found = _array(layer(samples, training=False))
        otherwise = _array(layer.stateless_call(moved[:places], moved[places:], samples)[0])
        projected = _array(parts[0](samples)) if parts else samples
    except Exception:  # whatever Python code raises that takes other inputs
        return None
    rows = _added(found, projected)
    return None if rows is None or _added(otherwise, projected) is None else rows


def _added(found: NDArray[np.float32], projected: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """What was added at each place to all samples alike; None where it differs."""
    width = found.shape[-1]
    if found.ndim != _SEQUENCES or projected.shape[-1] != width or projected[0].size % width:
        return None
    projected = projected.reshape(len(found), -1, width)
    front = found.shape[1] - projected.shape[1]
    if front < 0:
        return None
    added = found - np.pad(projected, ((0, 0), (front, 0), (0, 0)))
    slack = _SAME * max(float(np.abs(found).max()), float(np.abs(projected).max()), 1e-30)
    if not np.abs(added - added[:1]).max() <= slack:  # never where one is no number
        return None
    rows: NDArray[np.float32] = added[0]
    return rows


def _grid(shape: Shape, projection: keras.Layer | None) -> tuple[int, int] | None:
    if projection is None or len(shape) != _IMAGES:
        return None
    height, width = projection.compute_output_shape(shape)[1:3]
    return int(height), int(width)


def _resized(rows: NDArray[np.float32], before: tuple[int, int] | None, grid: tuple[int, ...]) -> NDArray[np.float32]:
    """The rows of places for another grid of patches; those of the tokens in front stay."""
    assert before is not None
    front = len(rows) - math.prod(before)
    picture = rows[front:].reshape(1, *before, -1)
    resized = keras.ops.image.resize(
        picture, grid, interpolation="bicubic", antialias=True, data_format="channels_last"
    )
    return np.concatenate([rows[:front], _array(resized).reshape(math.prod(grid), -1)])


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float32)
