"""Files with int8 weights and float activations, of texts."""

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import keras

from tfkit.artifacts import Artifact, InputSpec, TaskName, TextSpec
from tfkit.compression import is_compressed, strip_compression, trained_kernels
from tfkit.exporters.conversion import convert_to_float
from tfkit.exporters.destination import finished_tflite
from tfkit.exporters.float_model import check_model
from tfkit.exporters.quantization import quantize_to_dynamic_int8
from tfkit.exporters.quantization_aware import check_kernels, refuse_floats_but_skipped
from tfkit.inputs import input_of
from tfkit.runtimes import read_signature


@dataclass(frozen=True)
class DynamicFile:
    """A file with int8 weights.

    Attributes:
        flatbuffer: The `.tflite` file.
        kernels_on_grid: How many kernels and tables were found in it as trained; 0 for a model trained in float.
    """

    flatbuffer: bytes
    kernels_on_grid: int


def export_text_floats(model: keras.Model, *, sequence_length: int) -> bytes:
    """Make the float32 file of a text classifier.

    Args:
        model: A text classifier, as `opened_if_possible` gives it, compressed or not.
        sequence_length: Tokens of every text.

    Returns:
        The flatbuffer: int32 ids and mask (1, sequence_length) in, float32 scores out.
    """
    return _floats(model, TextSpec(sequence_length, Path()))


def export_text_dynamic_int8(model: keras.Model, *, sequence_length: int) -> DynamicFile:
    """Make the file with int8 weights and float activations of a text classifier: what CPUs run fastest.

    When the weights were trained on their grid (`quantize_aware` with `activation_bits=32`), every kernel, and the
    token table row by row, is read back from the file and compared number by number.

    Args:
        model: A text classifier, as `opened_if_possible` gives it, compressed or not.
        sequence_length: Tokens of every text.

    Returns:
        The file.

    Raises:
        ExportError: When the converter or the quantiser refuses the model, or a kernel is not in the file as trained.
    """
    return _dynamic_int8(model, TextSpec(sequence_length, Path()))


def _floats(model: keras.Model, spec: InputSpec) -> bytes:
    model = input_of(spec).sized(model, spec)
    return convert_to_float(strip_compression(model) if is_compressed(model) else model, spec=spec)


def _dynamic_int8(model: keras.Model, spec: InputSpec) -> DynamicFile:
    flatbuffer = quantize_to_dynamic_int8(_floats(model, spec))
    return DynamicFile(flatbuffer, check_kernels(flatbuffer, trained_kernels(model)))


def export_trained_weights(
    model: keras.Model, path: Path, *, spec: InputSpec, class_names: tuple[str, ...], task: TaskName = "classification"
) -> Artifact:
    """Write the file with the int8 weights that a model was trained to have.

    Args:
        model: An opened transformer after quantisation-aware training of its weights.
        path: The file to write; it must not exist.
        spec: What it takes.
        class_names: Its labels, in the order of the scores.
        task: What is asked of it.

    Returns:
        The artifact.

    Raises:
        ExportError: When the file is not what was trained, or an operator is not what was asked for.
        RunError: When it cannot be written.
    """
    check_model(model, spec=spec, class_names=class_names)
    with finished_tflite(path, spec=spec, class_names=class_names, task=task) as unfinished:
        made = _dynamic_int8(model, spec)
        unfinished.write_bytes(made.flatbuffer)
        refuse_floats_but_skipped(unfinished, (), quantization="dynamic_int8", model=model)
    return Artifact(
        path=path,
        format="tflite",
        quantization="dynamic_int8",
        signature=read_signature(path),
        input=spec,
        class_names=class_names,
        made_by=f"TFLiteConverter of TensorFlow {metadata.version('tensorflow')}, litert-quantizer "
        f"{metadata.version('litert-quantizer')} with what quantisation-aware training gave; "
        f"{made.kernels_on_grid} kernels read back as trained",
    )
