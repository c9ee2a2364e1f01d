"""Networks of keras-hub whose layers are made of layers, laid open into plain ones that save, freeze and round."""

from collections import Counter
from collections.abc import Sequence

import keras

from tfkit.artifacts import ImageSpec
from tfkit.errors import ModelError
from tfkit.graph import (
    Node,
    call_with_rows,
    copy_layer,
    copy_onto,
    give_weights,
    is_builtin,
    opened_model,
    read_graph,
    reshapes_examples,
    steps_of,
)
from tfkit.graph.building import Copy
from tfkit.keras_types import Tensor
from tfkit.models.mix_transformer import efficient_attention, enlarging, refuse_oblong

# The layer that puts a class token, and what else, in front of the patches, ends in this: `call_with_rows` says so.
_TOKENS = "_tokens"


def opened_network(bare: keras.Model, tensor: Tensor) -> Tensor:
    """Copy a network of blocks onto a tensor of pixels, block by block.

    Its blocks become `LayerNormalization`, `MultiHeadAttention`, `Dense` and `Add` layers, its embedding the layers of
    `tfkit.graph.call_with_rows`. A block whose code does not run on symbols (Swin's windows) stays one layer.

    Args:
        bare: A keras-hub backbone: one that ends in a sequence (n, length, hidden), such as ViT, DeiT and Swin, or in
            maps, such as those of DeepLabV3 and SegFormer.
        tensor: float32 (n, height, width, channels), scaled as the backbone takes it. Another size than the
            backbone's own is taken where its positions can be resized.

    Returns:
        Its output, of layers with its weights.

    Raises:
        ModelError: When it was made for images of another size, and its positions are not known.
    """
    takes, given = tuple(bare.input_shape[1:]), tuple(tensor.shape[1:])
    if (patch := getattr(bare, "patch_size", None)) is not None:
        refuse_other_patches(bare.name, ImageSpec(*given), (patch, patch) if isinstance(patch, int) else tuple(patch))
    refuse_oblong(bare, given)
    opening = _Opening()
    graph = read_graph(bare)
    if takes != given and (takes[-1] != given[-1] or not opening.resizes(graph.nodes[0])):
        raise ModelError(
            f"{type(bare).__name__} takes images of {takes}; got {given}",
            hint=f"set data.image_size to {takes[0]} and data.channels to {takes[-1]}",
        )
    return copy_onto(graph, [tensor], opening.call)[0]


def refuse_other_patches(name: str, image: ImageSpec, patch: tuple[int, ...]) -> None:
    """Refuse images that patches of a size do not divide: the rest would not be seen.

    Args:
        name: Of the backbone, for the message.
        image: The images.
        patch: Pixels of a patch, (height, width).

    Raises:
        ModelError: When they do not.
    """
    if image.height % patch[0] or image.width % patch[1]:
        near = max(1, round(min(image.height, image.width) / patch[0])) * patch[0]
        raise ModelError(
            f"{name} cuts images into patches of {patch[0]}x{patch[1]} pixels; {image.height}x{image.width} is no "
            "multiple of that",
            hint=f"set data.image_size to {near}",
        )


def has_class_token(model: keras.Model) -> bool:
    """Whether a network's first row is a token that `call_with_rows` put in front of its patches.

    Example:
        >>> has_class_token(build_backbone("vit_micro_8", image=ImageSpec(32, 32)))
        True
    """
    return any(isinstance(layer, keras.layers.ZeroPadding1D) and layer.name.endswith(_TOKENS) for layer in model.layers)


class _Opening:
    """What to put in each node's place."""

    def resizes(self, node: Node) -> bool:
        pixels = keras.Input(node.inputs[0].shape[1:])
        return call_with_rows(node, pixels) is not None

    def call(
        self, node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]
    ) -> Tensor | Sequence[Tensor]:
        layer = node.operation
        if args and (embedded := call_with_rows(node, args[0])) is not None:
            return embedded
        if node.kind == "Add" and not isinstance(layer, keras.layers.Layer) and len(node.inputs) == 2:
            return keras.layers.Add(name=node.name)(list(args))
        for place in (efficient_attention, enlarging):
            if args and (placed := place(node, args[0])) is not None:
                return placed
        if reshapes_examples(node):
            return keras.layers.Reshape(layer.newshape[1:], name=node.name)(args[0])
        if steps := steps_of(node):
            tensor = args[0]
            for step in steps:
                tensor = self._step(step, tensor)
            return [tensor, *(tensor for _ in node.outputs[1:])]
        if isinstance(layer, keras.layers.Layer) and not is_builtin(layer) and (opened := self._opened(node, args)):
            return opened
        return copy()(*args, **kwargs)

    def _step(self, node: Node, tensor: Tensor) -> Tensor:
        if not is_builtin(node.operation):
            return self._opened(node, (tensor,))[0]
        made = copy_layer(node.operation, name=node.name)
        outputs = made(tensor)
        give_weights(made, node.operation.get_weights())
        return outputs

    def _opened(self, node: Node, args: tuple[Tensor, ...]) -> list[Tensor]:
        try:
            nested, constants = opened_model(node)
        except Exception:  # Python code that was not written for symbols
            return []
        graph = read_graph(nested)
        numbers: Counter[str] = Counter()
        for inner in graph.nodes:
            if not isinstance(inner.operation, keras.layers.Layer):  # Keras numbers these anew in every process
                numbers[inner.kind] += 1
                inner.name = f"{inner.kind.lower()}_{numbers[inner.kind]}"
            inner.name = f"{node.name}_{inner.name}"
        found = iter(copy_onto(graph, list(keras.tree.flatten(args)), self.call))
        return [next(found) if constant is None else constant for constant in constants]
