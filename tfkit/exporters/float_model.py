"""A Keras model as it is exported: in float32, whatever precision it was trained in."""

from typing import Any

from tfkit.artifacts import ImageSpec
from tfkit.compression import is_compressed, strip_compression
from tfkit.errors import ExportError
from tfkit.models import with_dtype_policy


def exportable_model(model: Any, *, image: ImageSpec, class_names: tuple[str, ...]) -> Any:
    """Check that a model is what the exporters take, and rebuild it plain, in float32, when it is not so.

    Args:
        model: A built `keras.Model`, float32 (n, height, width, channels) raw pixels in, (n, classes) out.
        image: The images it takes.
        class_names: Its labels.

    Returns:
        The model itself, or its float32 twin without masks and fake quantisers: the TFLite converter refuses the
        casts of mixed precision.

    Raises:
        ExportError: When its inputs or outputs do not fit `image` and `class_names`.
    """
    check_image_model(model, image=image, class_names=class_names)
    model = strip_compression(model) if is_compressed(model) else model
    if any(layer.compute_dtype in ("float16", "bfloat16") for layer in model._flatten_layers()):
        return with_dtype_policy(model, "float32")
    return model


def check_image_model(model: Any, *, image: ImageSpec, class_names: tuple[str, ...]) -> None:
    """Refuse a model that does not take the images or does not give the scores.

    Args:
        model: The model.
        image: The images it should take.
        class_names: The labels it should score.

    Raises:
        ExportError: Tells every fault.
    """
    faults = []
    if len(model.inputs) != 1 or tuple(model.inputs[0].shape[1:]) not in (image.shape, (None, None, image.channels)):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in model.inputs)
        faults.append(f"it takes {shapes}; expected one input of images {image.shape}")
    if len(model.outputs) != 1 or tuple(model.outputs[0].shape[1:]) != (len(class_names),):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in model.outputs)
        faults.append(f"it gives {shapes}; expected scores of {len(class_names)} classes")
    if faults:
        raise ExportError(f"model '{model.name}' cannot be exported: {'; '.join(faults)}")
