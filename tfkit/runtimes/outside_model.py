"""Describe a model file that nobody has described: an outside `.tflite` file or SavedModel."""

from pathlib import Path

from tfkit.artifacts import Artifact, ImageSpec, ModelSignature, Quantization
from tfkit.errors import ModelError
from tfkit.runtimes.flatbuffer import Operator, read_operators, read_signature
from tfkit.runtimes.opening import version_folder
from tfkit.runtimes.saved_model_runtime import SavedModelRuntime


def describe_model(path: Path, *, class_names: tuple[str, ...] = ()) -> Artifact:
    """Read from a file itself what the manifest says of tfkit's own: its images, tensors and quantisation.

    Args:
        path: A `.tflite` file or a SavedModel's folder.
        class_names: Its labels, when they are known.

    Returns:
        The artifact. Its resize rule is `crop`, since no file says which one it was trained with.

    Raises:
        ModelError: When it cannot be read, or does not take images of one fixed size.

    Example:
        >>> describe_model(Path("mobilenet_v2_1.0_224_quant.tflite")).input.shape  # doctest: +SKIP
        (224, 224, 3)
    """
    if not path.is_dir():
        signature = read_signature(path)
        return Artifact(
            path=path,
            format="tflite",
            quantization=_quantization(read_operators(path)),
            signature=signature,
            input=_image(signature, path),
            class_names=class_names,
            made_by="not known",
        )
    path = version_folder(path)
    with SavedModelRuntime(path) as runtime:
        return Artifact(
            path=path,
            format="saved_model",
            quantization="none",
            signature=runtime.signature,
            input=_image(runtime.numbers_signature, path),
            class_names=class_names,
            made_by="not known",
        )


def _image(signature: ModelSignature, path: Path) -> ImageSpec:
    shapes = [tensor.shape for tensor in signature.inputs]
    if len(shapes) == 1 and len(shapes[0]) == 4:
        _, height, width, channels = shapes[0]
        if height and width and channels in (1, 3):
            return ImageSpec(height=height, width=width, channels=channels)
    raise ModelError(f"'{path}' takes {shapes}; expected one image (1, height, width, 1 or 3) of a fixed size")


def _quantization(operators: tuple[Operator, ...]) -> Quantization:
    if not any(operator.is_float for operator in operators):
        return "int8"
    if any(operator.is_float and "int8" in operator.inputs for operator in operators):
        return "dynamic_int8"
    float16 = any(operator.name == "DEQUANTIZE" and operator.inputs == ("float16",) for operator in operators)
    return "float16" if float16 else "none"
