"""Files of text classifiers with int8 weights and float activations."""

from dataclasses import dataclass
from typing import Any

from tfkit.compression import is_compressed, strip_compression, trained_kernels
from tfkit.exporters.conversion import convert_text_to_float
from tfkit.exporters.quantization import quantize_to_dynamic_int8
from tfkit.exporters.quantization_aware import check_kernels
from tfkit.models.text.plain_transformer import with_sequence_length


@dataclass(frozen=True)
class DynamicFile:
    """A file with int8 weights.

    Attributes:
        flatbuffer: The `.tflite` file.
        kernels_on_grid: How many kernels and tables were found in it as trained; 0 for a model trained in float.
    """

    flatbuffer: bytes
    kernels_on_grid: int


def export_text_floats(model: Any, *, sequence_length: int) -> bytes:
    """Make the float32 file of a text classifier.

    Args:
        model: A text classifier of plain layers, as `open_transformer` gives it, compressed or not.
        sequence_length: Tokens of every text.

    Returns:
        The flatbuffer: int32 ids and mask (1, sequence_length) in, float32 scores out.
    """
    model = with_sequence_length(model, sequence_length=sequence_length)
    model = strip_compression(model) if is_compressed(model) else model
    return convert_text_to_float(model, sequence_length=sequence_length)


def export_text_dynamic_int8(model: Any, *, sequence_length: int) -> DynamicFile:
    """Make the file with int8 weights and float activations of a text classifier: what CPUs run fastest.

    When the weights were trained on their grid (`quantize_aware` with `activation_bits=32`), every kernel, and the
    token table row by row, is read back from the file and compared number by number.

    Args:
        model: A text classifier of plain layers, as `open_transformer` gives it, compressed or not.
        sequence_length: Tokens of every text.

    Returns:
        The file.

    Raises:
        ExportError: When the converter or the quantiser refuses the model, or a kernel is not in the file as trained.
    """
    flatbuffer = quantize_to_dynamic_int8(export_text_floats(model, sequence_length=sequence_length))
    kernels = trained_kernels(model)
    return DynamicFile(flatbuffer, check_kernels(flatbuffer, kernels))
