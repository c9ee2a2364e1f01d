"""A Keras model as it is exported: in float32, whatever precision it was trained in."""

from typing import TYPE_CHECKING

import keras

from tfkit.artifacts import ImageSpec, InputSpec, TaskName, TextSpec
from tfkit.compression import is_compressed, strip_compression
from tfkit.errors import ExportError
from tfkit.models import weight_that_is_no_number, with_dtype_policy, with_float_pixels
from tfkit.models.text.embedder import is_embedder
from tfkit.tasks import EMBEDDING

if TYPE_CHECKING:
    import tf_keras


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
    faults = _text_faults(model, spec) if isinstance(spec, TextSpec) else _image_faults(model, spec)
    if is_embedder(model):
        faults += [f"it gives vectors; expected scores of {len(class_names)} classes"] if class_names else []
    elif len(model.outputs) != 1 or tuple(model.outputs[0].shape[1:]) != (len(class_names),):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in model.outputs)
        faults.append(f"it gives {shapes}; expected scores of {len(class_names)} classes")
    if faults:
        one = len(class_names) == 2 and len(model.outputs) == 1 and tuple(model.outputs[0].shape[1:]) == (1,)
        raise ExportError(
            f"model '{model.name}' cannot be exported: {'; '.join(faults)}",
            hint="one unit that stands for two classes gets a score for each by with_two_scores" if one else "",
        )
    refuse_weights_that_are_no_numbers(model)


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


def _image_faults(model: keras.Model, image: ImageSpec) -> list[str]:
    fitting = (image.shape, (None, None, image.channels))
    if len(model.inputs) == 1 and tuple(model.inputs[0].shape[1:]) in fitting:
        return []
    shapes = ", ".join(str(tuple(tensor.shape)) for tensor in model.inputs)
    return [f"it takes {shapes}; expected one input of images {image.shape}"]


def _text_faults(model: keras.Model, text: TextSpec) -> list[str]:
    if isinstance(model.input, dict) and set(model.input) == {"token_ids", "padding_mask"}:
        lengths = {tensor.shape[1] for tensor in model.inputs}
        if lengths <= {None, text.sequence_length}:
            return []
    shapes = ", ".join(f"{tensor.name} {tuple(tensor.shape)}" for tensor in model.inputs)
    return [f"it takes {shapes}; expected token_ids and padding_mask of {text.sequence_length} tokens, as a dict"]
