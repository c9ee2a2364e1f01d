"""Which formats of a model an older runtime cannot read, found before anything is trained or written."""

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfkit.artifacts import ImageSpec, InputSpec, format_named
from tfkit.errors import ExportError, TfkitError
from tfkit.exporters.float_model import exportable_model
from tfkit.exporters.quantization import quantize_to_dynamic_int8, quantize_to_float16, quantize_to_int8
from tfkit.exporters.tflite import converted_to_float
from tfkit.models.text.classifier import is_embedder
from tfkit.runtimes.portability import newer_operators

_TRIED_IMAGES = 2


def refuse_newer_formats(model: schema.ModelT, formats: Sequence[str], *, spec: InputSpec, oldest: str) -> None:
    """Refuse formats whose operators came after a TensorFlow Lite runtime.

    The model is converted as it is, trained or not: which operators a file has depends on its layers. Not known before
    training are the int8 files of texts; `acceptance.min_runtime` judges them like every other file when it is proved.

    Args:
        model: A built classifier or embedder.
        formats: Out of `tfkit.exporters.FORMATS`.
        spec: The images or texts it takes.
        oldest: The runtime, such as `2.14`.

    Raises:
        ExportError: Names each format that it cannot read, with the operators; or says that the model converts to none.

    Example:
        >>> refuse_newer_formats(model, ["tflite_float32"], spec=image, oldest="2.14")
    """
    wanted = [name for name in formats if format_named(name).kind == "tflite"]
    if not wanted:
        return
    names = () if is_embedder(model) else tuple(map(str, range(int(model.output_shape[-1]))))
    flatbuffer = converted_to_float(exportable_model(model, spec=spec, class_names=names), spec)
    newer = {name: found for name in wanted if (found := newer_operators(_made(flatbuffer, name, spec), oldest))}
    if newer:
        told = "; ".join(
            f"{name} needs {found.runtime} ({', '.join(found.operators)})" for name, found in newer.items()
        )
        good = [name for name in wanted if name not in newer]
        raise ExportError(
            f"TensorFlow Lite {oldest} cannot read every format asked for: {told}",
            hint=f"it reads {', '.join(good)}; leave the others out" if good else "ask for float files, or a later one",
        )


def _made(flatbuffer: bytes, name: str, spec: InputSpec) -> bytes:
    if name == "tflite_float16":
        return quantize_to_float16(flatbuffer)
    if name == "tflite_dynamic_int8":
        return quantize_to_dynamic_int8(flatbuffer)
    if name == "tflite_int8" and isinstance(spec, ImageSpec):
        noise = np.random.default_rng(0).integers(0, 256, (_TRIED_IMAGES, *spec.shape), dtype=np.uint8)
        try:
            return quantize_to_int8(flatbuffer, noise)
        except TfkitError:  # training quantisation-aware takes more layers than quantising afterwards
            return flatbuffer
    return flatbuffer
