"""Rebuild a Keras 3 classifier in tf-keras, where tensorflow-model-optimization works."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.splitting import scaling_as_layers
from tfkit.compression.tfmot.layer_table import DEPTHWISE_SUFFIX, Technique, TfmotRefusal, find_refusals, twin_layers
from tfkit.compression.tfmot.twin import TfKerasTwin, load_tf_keras
from tfkit.errors import ModelError
from tfkit.graph import LayerGraph, Node, Value, fed, give_weights, read_graph, refuse_other_values
from tfkit.keras_types import Array, Inputs
from tfkit.runtimes.protocol import some_inputs

if TYPE_CHECKING:
    import tensorflow as tf

BatchNorm = Literal["frozen", "train"]

_QUANTIZATION: tuple[Technique, ...] = ("quantization",)
_TOLERANCE = 1e-5
_CHECKED_IMAGES = 4
_PREPROCESSING = "tfmot_preprocessing"


def rebuild_in_tf_keras(
    model: keras.Model,
    inputs: Inputs | None = None,
    *,
    techniques: Collection[Technique] = _QUANTIZATION,
    batch_norm: BatchNorm = "frozen",
) -> TfKerasTwin:
    """Build a flat tf-keras twin of a Keras 3 classifier, with its weights, and check that it gives the same.

    tensorflow-model-optimization takes no Rescaling. A leading Rescaling or Normalization that is one number for all
    channels is left out, and the twin says how to rescale instead. One that differs by channel becomes a 1x1 depthwise
    convolution, which tfmot takes, so that raw uint8 pixels still go in.

    Args:
        model: A functional or sequential classifier on raw pixels 0..255, float32; nested models are laid open.
        inputs: A few real images that the two are compared on, (n, height, width, channels), 0..255, bare or by the
            name of the input; default noise.
        techniques: What is to be done with the twin; what tfmot refuses for it is refused here, before training.
        batch_norm: `frozen` keeps every BatchNormalization in inference mode, as tfkit's own engine does; `train`
            lets them learn and follow the data. Every other layer learns: tfmot trains each kernel that it quantises,
            also one that was frozen.

    Returns:
        The twin.

    Raises:
        ModelError: When tf-keras or tfmot cannot take a layer (all are named, with class and reason), when the model
            has several inputs or outputs, or when the twin's outputs differ by more than 1e-5; the first
            layer that differs is named.

    Example:
        >>> twin = rebuild_in_tf_keras(model)  # doctest: +SKIP
        >>> twin.scores(pixels).shape, twin.pixel_scale, twin.pixel_offset  # doctest: +SKIP
        ((40, 10), 0.00784313725490196, -1.0)
    """
    plan = _plan(model)
    if refusals := find_refusals(plan.graph, plan.nodes, techniques=techniques):
        raise ModelError(
            f"tensorflow-model-optimization cannot take {len(refusals)} of the layers of '{model.name}':\n"
            + "\n".join(f"  {refusal}" for refusal in refusals),
            hint="use tfkit's own engine, which takes them, or choose a plain convolutional backbone such as "
            "resnet50 or mobilenet_v2",
        )
    twin = _build(plan, batch_norm)
    _refuse_difference(model, twin, inputs)
    return twin


def tfmot_refusals(
    model: keras.Model, *, techniques: Collection[Technique] = _QUANTIZATION
) -> tuple[TfmotRefusal, ...]:
    """Say which layers of a Keras 3 model tensorflow-model-optimization cannot take, without building anything.

    Args:
        model: A functional or sequential classifier.
        techniques: What is to be done with it.

    Returns:
        The refused layers in running order; empty when `rebuild_in_tf_keras` can go ahead.

    Raises:
        ModelError: When the model's layers cannot be seen, or it has several inputs or outputs.

    Example:
        >>> [refusal.kind for refusal in tfmot_refusals(keras.applications.EfficientNetB0(weights=None))][:1]
        ... # doctest: +SKIP
        ['Multiply']
    """
    plan = _plan(model)
    return tuple(find_refusals(plan.graph, plan.nodes, techniques=techniques))


def copy_weights_back(twin: TfKerasTwin, model: keras.Model) -> None:
    """Give a Keras 3 model the weights that its twin learned, such as pruned or clustered ones.

    Args:
        twin: A twin of that model without wrappers: `tfmot_strip` takes them off. A quantised twin is exported as it
            is instead.
        model: The model it was rebuilt from; changed in place.

    Raises:
        ModelError: When the twin still has wrappers, or is another model's.
    """
    nodes = {node.name: node for node in read_graph(model).nodes}
    learned: dict[str, list[Array]] = {}
    for layer in twin.model.layers:
        if layer.weights and layer.name != _PREPROCESSING:
            learned.setdefault(layer.name.removesuffix(DEPTHWISE_SUFFIX), []).extend(layer.get_weights())
    if strangers := [name for name in learned if name not in nodes]:
        raise ModelError(
            f"the twin's layer '{strangers[0]}' is not in '{model.name}'",
            hint="take its wrappers off with tfmot_strip first; a quantised twin goes to export_tfmot_int8",
        )
    for name, weights in learned.items():
        give_weights(nodes[name].operation, weights)


@dataclass(frozen=True)
class _Plan:
    """What goes into the twin: the nodes after `start`, and how pixels become `start`."""

    graph: LayerGraph
    start: Value
    nodes: tuple[Node, ...]
    skipped: tuple[Node, ...]
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    left_out: tuple[str, ...]


def _plan(model: keras.Model) -> _Plan:
    graph = scaling_as_layers(read_graph(model))
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError(
            f"'{model.name}' has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; the tfmot engine takes "
            "classifiers with one of each"
        )
    scale, offset = np.ones(1), np.zeros(1)
    value, leading = graph.inputs[0], []
    while (node := graph.only_consumer(value)) is not None:
        if not _is_augmentation(node):
            affine = _affine(node)
            if affine is None:
                break
            scale, offset = scale * affine[0], offset * affine[0] + affine[1]
        leading.append(node)
        value = node.output
    later = [node for node in graph.nodes if node not in leading]
    skipped = tuple(node for node in later if _is_augmentation(node))
    return _Plan(
        graph=graph,
        start=value,
        nodes=tuple(node for node in later if node not in skipped),
        skipped=skipped,
        scale=scale,
        offset=offset,
        left_out=tuple(node.name for node in (*leading, *skipped)),
    )


def _affine(node: Node) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Scale and offset of a preprocessing layer, one number or one for each channel; None for any other layer."""
    layer, channels = node.operation, node.output.shape[-1]
    if isinstance(layer, keras.layers.Rescaling):
        scale, offset = np.ravel(layer.scale), np.ravel(layer.offset)
    elif isinstance(layer, keras.layers.Normalization):
        mean, deviation = (np.ravel(keras.ops.convert_to_numpy(part)) for part in (layer.mean, layer.variance))
        deviation = np.maximum(np.sqrt(deviation), keras.config.epsilon())
        scale, offset = (deviation, mean) if layer.invert else (1 / deviation, -mean / deviation)
    else:
        return None
    if {scale.size, offset.size} - {1, channels}:
        return None
    return scale.astype(np.float64), offset.astype(np.float64)


def _is_augmentation(node: Node) -> bool:
    """Whether a layer changes images in training only; that it does is checked with the outputs."""
    by_name = node.kind.startswith("Random") or node.kind in ("RandAugment", "AugMix", "MixUp", "CutMix")
    ours = type(node.operation) is getattr(keras.layers, node.kind, None)
    return by_name and ours and len(node.inputs) == 1 and node.inputs[0].shape == node.output.shape


def _build(plan: _Plan, batch_norm: BatchNorm) -> TfKerasTwin:
    tf_keras = load_tf_keras()
    pixels = tf_keras.Input(plan.start.shape[1:], name="pixels")
    twin = _without_rescaling(plan)
    tensors = {id(plan.start): pixels if twin is not None else _depthwise_preprocessing(plan, pixels)}
    for node in plan.graph.nodes:
        if node in plan.skipped:
            tensors[id(node.output)] = tensors[id(node.inputs[0])]
        elif node in plan.nodes:
            tensors[id(node.output)] = _call(node, [tensors[id(value)] for value in node.inputs], batch_norm)
    model = tf_keras.Model(pixels, tensors[id(plan.graph.outputs[0])], name=plan.graph.name)
    scale, offset = twin or (1.0, 0.0)
    return TfKerasTwin(model, pixel_scale=scale, pixel_offset=offset, left_out=plan.left_out)


def _call(node: Node, inputs: list["tf.Tensor"], batch_norm: BatchNorm) -> "tf.Tensor":
    tensor = inputs[0] if len(inputs) == 1 else inputs
    weights = node.operation.get_weights() if isinstance(node.operation, keras.layers.Layer) else []
    for layer in twin_layers(node):
        tensor = layer(tensor)
        layer.trainable = batch_norm == "train" or node.kind != "BatchNormalization"
        own, weights = weights[: len(layer.weights)], weights[len(layer.weights) :]
        give_weights(layer, own)
    return tensor


def _without_rescaling(plan: _Plan) -> tuple[float, float] | None:
    """The one scale and offset that the batches can be given instead; None when TFLite's input could not hold them."""
    if plan.scale.size > 1 or plan.offset.size > 1:
        return None
    scale, offset = float(plan.scale[0]), float(plan.offset[0])
    # A quantised range always holds 0, so that a zero padding can be written in it.
    fits = scale > 0 and 0 <= TfKerasTwin(None, scale, offset).zero_point <= 255
    return (scale, offset) if fits else None


def _depthwise_preprocessing(plan: _Plan, pixels: "tf.Tensor") -> "tf.Tensor":
    channels = int(pixels.shape[-1])
    layer = load_tf_keras().layers.DepthwiseConv2D(1, name=_PREPROCESSING)
    preprocessed = layer(pixels)
    kernel = np.broadcast_to(plan.scale, (channels,)).reshape(1, 1, channels, 1)
    layer.set_weights([kernel, np.broadcast_to(plan.offset, (channels,))])
    return preprocessed


def _refuse_difference(model: keras.Model, twin: TfKerasTwin, inputs: Inputs | None) -> None:
    shape = (_CHECKED_IMAGES, *model.inputs[0].shape[1:])
    if None in shape:
        raise ModelError(f"'{model.name}' takes images of any size {shape[1:]}; the tfmot engine needs a fixed one")
    drawn = np.random.default_rng(0).integers(0, 256, shape)
    given = drawn if inputs is None else some_inputs(inputs, slice(_CHECKED_IMAGES))
    pixels = np.asarray(fed(model, given), np.float32)
    wanted = keras.ops.convert_to_numpy(model(pixels, training=False))
    found = twin.scores(pixels)
    difference = float(np.max(np.abs(found - wanted))) if found.shape == wanted.shape else np.inf
    # Logits have no scale of their own: their rounding errors grow with them.
    if not difference <= _TOLERANCE * max(1.0, float(np.max(np.abs(wanted)))):
        layers = [layer for layer in twin.model.layers if layer.name in {node.name for node in read_graph(model).nodes}]
        probe = load_tf_keras().Model(twin.model.inputs, {layer.name: layer.output for layer in layers})
        refuse_other_values(model, probe(twin.rescale(pixels), training=False), pixels, what="tf-keras twin")
        raise ModelError(
            f"the tf-keras twin of '{model.name}' gives other outputs (largest difference {difference:.2g}, expected "
            f"at most {_TOLERANCE:g}); it would not be the same model",
            hint="build the model in float32 and of Keras's own layers, or use tfkit's own engine",
        )
