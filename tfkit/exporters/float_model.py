"""A Keras model as it is exported: in float32, whatever precision it was trained in."""

from typing import Any

from tfkit.artifacts import ImageSpec
from tfkit.errors import ExportError
from tfkit.models import with_dtype_policy


def exportable_model(model: Any, *, image: ImageSpec, class_names: tuple[str, ...]) -> Any:
    """Check that a model is what the exporters take, and rebuild it in float32 when it was trained in less.

    Args:
        model: A built `keras.Model`, float32 (n, height, width, channels) raw pixels in, (n, classes) out.
        image: The images it takes.
        class_names: Its labels.

    Returns:
        The model itself, or its float32 twin: the TFLite converter refuses the casts of mixed precision.

    Raises:
        ExportError: When its inputs or outputs do not fit `image` and `class_names`.
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
    if any(layer.compute_dtype in ("float16", "bfloat16") for layer in model._flatten_layers()):
        return with_dtype_policy(model, "float32")
    return model
