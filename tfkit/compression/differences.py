"""Find differences that are zero by the rules of arithmetic, whatever the images."""

from collections.abc import Sequence

import keras
import numpy as np

from tfkit.compression.planning import LayerPlan
from tfkit.errors import ModelError
from tfkit.graph import LayerGraph, Node, build_model
from tfkit.graph.building import Copy
from tfkit.keras_types import Tensor

_IMAGES = 2
_SIDE = 64  # of images of any size
# Of the larger of both tensors: what float32 leaves of a difference that is none.
_NOTHING = 1e-5


def refuse_zero_differences(graph: LayerGraph, plans: dict[str, LayerPlan]) -> None:
    """Refuse sums and differences of two tensors that are zeros to rounding: `mean(x, x) - x`, `x + (-x)`.

    Nothing can be learned behind them, and what float32 leaves is other noise in every order of computing: no tensor
    of a file could be told to be that of the model. They are looked for on two images of noise, so that no data is
    needed.

    Args:
        graph: What `split_layers` gave.
        plans: Its plan; layers left in float are let be.

    Raises:
        ModelError: Names them.
    """
    suspects = [node for node in graph.nodes if _may_cancel(node, plans)]
    if not suspects or any(value.dtype.startswith("int") for value in graph.inputs):
        return
    made: dict[str, Tensor] = {}

    def call(node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | Sequence[Tensor]:
        outputs = copy()(*args, **kwargs)
        if any(node is suspect for suspect in suspects):
            made[node.name] = [*keras.tree.flatten(args), outputs]
        return outputs

    probe = keras.Model(build_model(graph, call).inputs, made)
    noise = np.random.default_rng(0)
    shapes = [(_IMAGES, *(size or _SIDE for size in value.shape[1:])) for value in graph.inputs]
    images = [noise.uniform(0, 255, shape).astype(np.float32) for shape in shapes]
    seen = probe(images, training=False)
    zeros = [name for name, (*taken, given) in seen.items() if _largest(given) <= _NOTHING * max(map(_largest, taken))]
    if zeros:
        told = ", ".join(f"'{name}'" for name in zeros)
        raise ModelError(
            f"model '{graph.name}' cannot be trained quantisation-aware: what {told} gives is zero whatever the image: "
            "there is nothing to learn behind it",
            hint="take these layers out of the model, or leave them in float: quantization.skip",
        )


def _may_cancel(node: Node, plans: dict[str, LayerPlan]) -> bool:
    """A difference of two tensors, or a sum with one that was turned round."""
    if len(node.inputs) == 1 or plans[node.name].treatment == "float":
        return False
    sources = [value.node.operation for value in node.inputs if value.node is not None]
    negative = any(isinstance(layer, keras.layers.Rescaling) and np.min(layer.scale) < 0 for layer in sources)
    return node.kind == "Subtract" or (node.kind == "Add" and negative)


def _largest(tensor: Tensor) -> float:
    return float(np.max(np.abs(keras.ops.convert_to_numpy(tensor))))
