"""A Keras model as it is exported: in float32, whatever precision it was trained in."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from tfkit.artifacts import InputSpec, TaskName
from tfkit.compression import is_compressed, strip_compression
from tfkit.errors import ExportError, ModelError
from tfkit.graph import Head, Node, build_model, copy_layer, read_graph
from tfkit.graph.building import Copy
from tfkit.inputs import input_of
from tfkit.keras_types import Tensor
from tfkit.models import gives_boxes, named_outputs, weight_that_is_no_number, with_dtype_policy, with_float_pixels
from tfkit.models.text.classifier import is_embedder
from tfkit.tasks import EMBEDDING

if TYPE_CHECKING:
    import tf_keras

_MAP = 3


def exportable_model(model: keras.Model, *, spec: InputSpec, class_names: tuple[str, ...]) -> keras.Model:
    """Check that a model is what the exporters take, and rebuild it plain, in float32, when it is not so.

    Args:
        model: A built `keras.Model`: float32 (n, height, width, channels) raw pixels in, or a dict of int32
            `token_ids` and `padding_mask`; (n, classes) out.
        spec: The images or texts it takes.
        class_names: Its labels.

    Returns:
        The model itself, or its float32 twin without masks, fake quantisers and whole numbers for pixels: the TFLite
        converter refuses the casts of mixed precision.

    Raises:
        ExportError: When its inputs or outputs do not fit `spec` and `class_names`.
    """
    check_model(model, spec=spec, class_names=class_names)
    model = with_float_pixels(strip_compression(model) if is_compressed(model) else model)
    if any(layer.compute_dtype in ("float16", "bfloat16") for layer in model._flatten_layers()):
        return with_dtype_policy(model, "float32")
    return model


def check_model(model: keras.Model, *, spec: InputSpec, class_names: tuple[str, ...]) -> None:
    """Refuse a model that does not take the images or texts, does not give the scores, or has weights of NaN.

    Args:
        model: The model.
        spec: The images or texts it should take.
        class_names: The labels it should score; none for an embedder of texts.

    Raises:
        ExportError: Tells every fault.
    """
    faults = input_of(spec).faults(model, spec)
    if is_embedder(model):
        faults += [f"it gives vectors; expected scores of {len(class_names)} classes"] if class_names else []
    elif len(model.outputs) != 1 or not _scores_each(model, len(class_names)):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in model.outputs)
        faults.append(f"it gives {shapes}; expected scores of {len(class_names)} classes")
    if faults:
        one = len(class_names) == 2 and len(model.outputs) == 1 and tuple(model.outputs[0].shape[1:]) == (1,)
        raise ExportError(
            f"model '{model.name}' cannot be exported: {'; '.join(faults)}",
            hint="one unit that stands for two classes gets a score for each by with_two_scores" if one else "",
        )
    refuse_weights_that_are_no_numbers(model)


def _scores_each(model: keras.Model, classes: int) -> bool:
    """Whether an answer is a row of scores, one for each pixel, or one for each place of a detector."""
    rank = len(model.outputs[0].shape) - 1
    return rank > 0 and named_outputs(model) == classes and (rank in (1, _MAP) or gives_boxes(model))


def task_of_model(model: keras.Model, asked: TaskName) -> TaskName:
    """What is asked of a model: an embedder says it itself."""
    return EMBEDDING.name if is_embedder(model) else asked


def refuse_weights_that_are_no_numbers(model: "keras.Model | tf_keras.Model") -> None:
    """Refuse a model of Keras or tf-keras with NaN or infinity in its weights: no file of it could answer.

    Raises:
        ExportError: Names the first such weight.
    """
    if (name := weight_that_is_no_number(model)) is not None:
        raise ExportError(
            f"model '{model.name}' cannot be exported: its weights '{name}' hold values that are no numbers",
            hint="its training has gone wrong; train it again with a lower learning_rate",
        )


def with_two_scores(model: keras.Model, head: Head) -> keras.Model:
    """Make of one unit, the probability or the logit of the second class, a score for each of the two.

    A Dense layer of one sigmoid unit becomes one of two softmax units with half its weights, which is the same
    function: softmax(-z/2, z/2) = (1 - sigmoid(z), sigmoid(z)). Behind anything else two units are added.

    Args:
        model: It is not changed.
        head: What `read_head` gave: one unit, sigmoid or linear.

    Returns:
        A flat copy of two outputs, probabilities; over .5 in the one unit is the second class.

    Raises:
        ModelError: When the model is quantisation-aware or pruned already.
    """
    if is_compressed(model):
        raise ModelError(
            f"model '{model.name}' ends in one unit and is pruned or quantisation-aware",
            hint="give it two softmax units before it is compressed: over .5 is then the second class",
        )
    graph = read_graph(model)
    last = graph.outputs[0].node

    def call(node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | Sequence[Tensor]:
        if node is not last:
            return copy()(*args, **kwargs)
        layer = node.operation
        if type(layer) is keras.layers.Dense:
            both = copy_layer(layer, name=node.name, units=2, activation="softmax")
            scores = both(*args, **kwargs)
            both.set_weights([np.concatenate([-weights / 2, weights / 2], axis=-1) for weights in layer.get_weights()])
            return scores
        if head.activation == "sigmoid" and _is_plain_sigmoid(node):
            return _both(args[0], halves=(-0.5, 0.5), bias=(0.0, 0.0), activation="softmax")
        found = copy()(*args, **kwargs)
        if head.activation == "linear":
            return _both(found, halves=(-0.5, 0.5), bias=(0.0, 0.0), activation="softmax")
        return _both(found, halves=(-1.0, 1.0), bias=(1.0, 0.0), activation="linear")

    return build_model(graph, call)


def _both(tensor: Tensor, *, halves: tuple[float, float], bias: tuple[float, float], activation: str) -> Tensor:
    layer = keras.layers.Dense(2, activation=activation, name="both_scores")
    scores = layer(tensor)
    layer.set_weights([np.array([halves], np.float32), np.array(bias, np.float32)])
    return scores


def _is_plain_sigmoid(node: Node) -> bool:
    is_activation = isinstance(node.operation, keras.layers.Activation) or node.kind == "Sigmoid"
    return is_activation and len(node.inputs) == 1 and len(node.inputs[0].shape) == 2
