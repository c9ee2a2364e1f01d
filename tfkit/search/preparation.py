"""A classifier made ready to be searched, and the cuts of its channels that a search may make."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from tfkit.benchmarking.op_profile import profile_operators
from tfkit.compression import is_compressed
from tfkit.compression.channels import plan_channel_pruning, predict_bytes, predict_latency
from tfkit.errors import ModelError
from tfkit.graph import Node, activation_name, build_model, copy_layer, give_weights, read_graph, refuse_difference
from tfkit.graph.building import Copy
from tfkit.keras_types import Inputs, Tensor
from tfkit.models import with_dtype_policy, with_float_pixels
from tfkit.search.result import Candidate, Cut

# `tfkit.models.logits_model` finds the scores by this name.
_SCORES = "scores"


def searchable_classifier(model: keras.Model, inputs: Inputs | None = None) -> keras.Model:
    """Rebuild a classifier flat, in float32, with a softmax of its own behind the logits.

    Args:
        model: A functional or sequential model from raw pixels to the scores, or the logits, of two or more classes.
            It is not changed.
        inputs: A few real inputs that the two are compared on; see `tfkit.graph.refuse_difference`.

    Returns:
        A model with the same answers, every layer trainable; its last layer is `Softmax(name="scores")`. BatchNorm
        layers follow their statistics at 0.9 or quicker when trained, so that a few hundred steps are enough.

    Raises:
        ModelError: Says why the model cannot be searched, or which layer of the copy does not compute what the
            model's does.
    """
    if faults := _faults(model):
        raise ModelError(
            f"model '{model.name}' cannot be searched: {'; '.join(faults)}",
            hint="give a trained float classifier that takes images and gives the scores of its classes",
        )
    if any(layer.compute_dtype in ("float16", "bfloat16") for layer in model._flatten_layers()):
        model = with_dtype_policy(model, "float32", inputs)
    graph = read_graph(with_float_pixels(model))
    last = graph.outputs[0].node

    def call(node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | Sequence[Tensor]:
        if node is last:
            return keras.layers.Softmax(name=_SCORES)(_logits(node, copy, args, kwargs))
        return _trainable(copy())(*args, **kwargs)

    made = build_model(graph, call)
    gives_scores = last is not None and (last.kind == "Softmax" or activation_name(last.operation) == "softmax")
    alike = made if gives_scores else keras.Model(made.inputs[0], made.get_layer(_SCORES).input, name=made.name)
    refuse_difference(model, alike, inputs, what="copy to search")
    return made


def _faults(model: keras.Model) -> list[str]:
    if not getattr(model, "inputs", None):
        return ["it is a subclassed model, which has no graph of layers"]
    faults = []
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        faults.append(f"it takes {[tuple(tensor.shape) for tensor in model.inputs]}, expected one input of images")
    if len(model.outputs) != 1 or len(model.outputs[0].shape) != 2 or (model.outputs[0].shape[1] or 0) < 2:
        shapes = [tuple(tensor.shape) for tensor in model.outputs]
        faults.append(f"it gives {shapes}, expected the scores of two or more classes")
    if is_compressed(model):
        faults.append("it is pruned or quantisation-aware already")
    graph = None if faults else read_graph(model)
    last = graph.outputs[0].node if graph else None
    if graph is not None and last is not None and len(graph.calls_of(last.operation)) > 1:
        faults.append(f"its last layer '{last.name}' is called elsewhere too")
    if last is not None and activation_name(last.operation) not in ("linear", "softmax"):
        faults.append(f"its last layer '{last.name}' ends in {activation_name(last.operation)}, expected a softmax")
    return faults


def _logits(node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | Sequence[Tensor]:
    layer = node.operation
    if node.kind == "Softmax" or isinstance(layer, keras.layers.Activation):
        return args[0]
    if activation_name(layer) == "softmax":
        linear = copy_layer(layer, name=node.name, activation="linear", trainable=True)
        outputs = linear(*args, **kwargs)
        give_weights(linear, layer.get_weights())
        return outputs
    return _trainable(copy())(*args, **kwargs)


def _trainable(layer: keras.Layer) -> keras.Layer:
    if isinstance(layer, keras.layers.Layer):
        layer.trainable = True
    return layer


# The last keeps the narrowest widths that pruning allows, whatever the model.
KEEPS = (0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.01)


def predict_cuts(
    model: keras.Model,
    whole: Candidate,
    file: Path,
    *,
    keeps: Sequence[float] = KEEPS,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[Cut, ...]:
    """Predict size and speed of a model with fewer channels, from the operator times of its whole int8 file.

    Args:
        model: What `searchable_classifier` gave.
        whole: The measured int8 file of the whole model.
        file: Where it lies.
        keeps: Shares of channels to keep, the largest first.
        progress: Called with shares done, shares in all, and a text.

    Returns:
        One entry for each share that gives other widths than the one before; none when no channel can be removed.

    Raises:
        ModelError: When the file cannot be profiled.
    """
    profile = profile_operators(file)
    cuts: list[Cut] = []
    for number, keep in enumerate(keeps):
        if progress is not None:
            progress(number, len(keeps), f"keeping {keep:.0%} of the channels")
        try:
            # Widths depend on the share alone; the criterion says only which channels go.
            plan = plan_channel_pruning(model, criterion="weight_norm", keep=keep)
        except ModelError:
            return ()
        before, after = plan.costs_before, plan.costs_after
        # What the profiler's own runs and the measured ones differ by does not depend on the widths.
        beside = whole.latency_ms - predict_latency(profile, before=before, after=before)
        cut = Cut(
            keep=keep,
            parameters=plan.parameters_after,
            multiply_adds=plan.multiply_adds_after,
            bytes=predict_bytes(whole.bytes, before=before, after=after),
            latency_ms=max(0.0, predict_latency(profile, before=before, after=after) + beside),
        )
        if cut.parameters < (cuts[-1].parameters if cuts else plan.parameters_before):
            cuts.append(cut)
    return tuple(cuts)
