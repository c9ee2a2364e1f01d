"""The plain model a quantisation-aware one stands for: kernels on their grid, BatchNorm folded, roundings noted."""

from collections.abc import Sequence

import keras

from tfkit.compression.folded import FoldedModel, Folding
from tfkit.compression.kinds import kind_of
from tfkit.graph import LayerCall, Node, build_model, read_graph
from tfkit.graph.building import Copy
from tfkit.keras_types import Tensor
from tfkit.models import with_dtype_policy


def fold(model: keras.Model) -> FoldedModel:
    """Fold a quantisation-aware model into the plain one that its file holds.

    BatchNorm goes into the kernel before it: the grid is per channel, so a channel's scale moves from the weights
    into their step width and the whole numbers stay as trained (Krishnamoorthi 2018,
    https://arxiv.org/abs/1806.08342, folds likewise, but trains on folded weights). A BatchNorm on its own becomes a
    1x1 depthwise convolution. What each kind of layer becomes stands in `tfkit.compression.kinds`.

    Args:
        model: What `quantize_aware` gave, trained.

    Returns:
        The folded model.

    Example:
        >>> folded = fold(student)
        >>> is_compressed(folded.model)
        False
    """
    if any(layer.compute_dtype != "float32" for layer in model.layers):
        model = with_dtype_policy(model, "float32")
    folding = _Folding(read_graph(model), kind_of)
    built = build_model(folding.graph, folding.call)
    return FoldedModel(
        built,
        folding.input,
        folding.bits,
        tuple(folding.roundings),
        tuple(folding.joined),
        tuple(folding.kernels),
        tuple(folding.four_bit),
        folding.float_layers,
        tuple(folding.float_tensors),
        tuple(folding.tables),
        tuple(folding.smaller),
    )


class _Folding(Folding):
    """A model being folded, layer by layer."""

    def call(
        self, node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]
    ) -> Tensor | Sequence[Tensor]:
        """What a layer becomes, as `build_model` asks."""
        kind = kind_of(node)
        if kind.treatment == "absent" or node.name in self.folded_away:
            return args[0]
        call = LayerCall(node, copy, args, kwargs)
        is_float = node.name in self.float_layers
        # A kernel in float has its BatchNorm folded too.
        copied = kind.fold is None or (is_float and kind.treatment not in ("kernel", "affine"))
        outputs = call.copied() if copied or kind.fold is None else kind.fold(self, call)
        if is_float:
            self.float_tensors.append(outputs)
        if kind.treatment == "activation" and any(args[0] is narrow for narrow in self.four_bit):
            self.four_bit.append(outputs)  # it runs inside the operator, whose output this is
        return outputs
