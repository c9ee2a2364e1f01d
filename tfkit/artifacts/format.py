"""The file formats that a model is exported in: the one list, which recipes, exporters, reports and commands read.

A new one is a row here, its exporter in `tfkit.exporters.formats`, and its runtime in `tfkit.runtimes.opening`.
"""

from dataclasses import dataclass
from typing import Literal

ArtifactFormat = Literal["saved_model", "tflite", "onnx", "litertlm"]
Quantization = Literal["none", "float16", "dynamic_int8", "int8", "int16x8"]


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: As recipes and `--format` write it.
        label: For people.
        file: Its name in an artifacts folder.
        kind: Which runtime reads it.
        quantization: What of it is rounded; see `Artifact`.
        of_language_models: Whether it holds language models alone.

    Example:
        >>> format_named("tflite_int8").file
        'model_int8.tflite'
    """

    name: str
    label: str
    file: str
    kind: ArtifactFormat
    quantization: Quantization = "none"
    of_language_models: bool = False

    @property
    def is_integer(self) -> bool:
        """Whether every operator computes in whole numbers."""
        return self.quantization in INTEGER


INTEGER: tuple[Quantization, ...] = ("int8", "int16x8")
FORMATS = (
    Format("saved_model", "SavedModel", "saved_model", "saved_model"),
    Format("tflite_float32", "TFLite float32", "model_float32.tflite", "tflite"),
    Format("tflite_float16", "TFLite float16", "model_float16.tflite", "tflite", "float16"),
    Format("tflite_dynamic_int8", "TFLite dynamic int8", "model_dynamic_int8.tflite", "tflite", "dynamic_int8"),
    Format("tflite_int8", "TFLite int8", "model_int8.tflite", "tflite", "int8"),
    Format("onnx_float32", "ONNX float32", "model_float32.onnx", "onnx"),
    Format("onnx_int8", "ONNX int8", "model_int8.onnx", "onnx", "int8"),
    Format("litertlm", "LiteRT-LM bundle", "model.litertlm", "litertlm", "dynamic_int8", of_language_models=True),
)
FORMAT_NAMES = tuple(one.name for one in FORMATS if not one.of_language_models)
INTEGER_NAMES = tuple(one.name for one in FORMATS if one.is_integer)


def format_named(name: str) -> Format:
    """The format of a name.

    Raises:
        KeyError: When there is none.

    Example:
        >>> format_named("tflite_int8").name
        'tflite_int8'
    """
    return {one.name: one for one in FORMATS}[name]


def format_label(kind: ArtifactFormat, quantization: Quantization) -> str:
    """What a file is called for people; a file with 16-bit activations has the name of the int8 format."""
    labels = {(one.kind, one.quantization): one.label for one in FORMATS}
    return labels.get((kind, quantization), f"{'ONNX' if kind == 'onnx' else 'TFLite'} {quantization}")
