"""Files of text classifiers with int8 weights and float activations."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import Artifact, LayerDifference, Quantization, TaskName, TextSpec
from tfkit.compression import is_compressed, strip_compression, trained_kernels
from tfkit.errors import ExportError
from tfkit.exporters.conversion import convert_text_to_float
from tfkit.exporters.destination import finished_tflite
from tfkit.exporters.float_model import check_model
from tfkit.exporters.quantization import quantize_to_dynamic_int8
from tfkit.exporters.quantization_aware import (
    check_kernels,
    export_text_integers,
    refuse_floats_but_skipped,
)
from tfkit.models.text.plain_transformer import with_sequence_length
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
    model = with_sequence_length(model, sequence_length=sequence_length)
    model = strip_compression(model) if is_compressed(model) else model
    return convert_text_to_float(model, sequence_length=sequence_length)


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
    flatbuffer = quantize_to_dynamic_int8(export_text_floats(model, sequence_length=sequence_length))
    kernels = trained_kernels(model)
    return DynamicFile(flatbuffer, check_kernels(flatbuffer, kernels))


def export_trained_text(
    model: keras.Model,
    path: Path,
    *,
    quantization: Quantization,
    text: TextSpec,
    class_names: tuple[str, ...],
    texts: Mapping[str, NDArray[np.int32]] | None = None,
    task: TaskName = "classification",
) -> Artifact:
    """Write the file that a text classifier was trained to be.

    Args:
        model: An opened transformer after quantisation-aware training.
        path: The file to write; it must not exist.
        quantization: `int8`, or `dynamic_int8` for trained weights.
        text: The texts it takes.
        class_names: Its labels, in the order of the scores.
        texts: For `int8`: `token_ids` and `padding_mask`, int32 (n, length), a few real texts to compare on.

    Returns:
        The artifact.

    Raises:
        ExportError: When the file is not what was trained, or an operator is not what was asked for.
        RunError: When it cannot be written.
    """
    check_model(model, spec=text, class_names=class_names)
    length = text.sequence_length
    layers: tuple[LayerDifference, ...] = ()
    float_layers: tuple[str, ...] = ()
    with finished_tflite(path, spec=text, class_names=class_names, task=task) as unfinished:
        if quantization == "int8":
            if texts is None:
                raise ExportError("int8 of texts needs some real texts to compare on; got none")
            integers = export_text_integers(model, sequence_length=length, texts=texts)
            flatbuffer, kernels, layers = integers.flatbuffer, integers.kernels_on_grid, integers.layers
            float_layers = integers.float_layers
        else:
            dynamic = export_text_dynamic_int8(model, sequence_length=length)
            flatbuffer, kernels = dynamic.flatbuffer, dynamic.kernels_on_grid
        unfinished.write_bytes(flatbuffer)
        refuse_floats_but_skipped(unfinished, float_layers, quantization=quantization, model=model)
    return Artifact(
        path=path,
        format="tflite",
        quantization=quantization,
        signature=read_signature(path),
        input=text,
        class_names=class_names,
        made_by=f"TFLiteConverter of TensorFlow {metadata.version('tensorflow')}, litert-quantizer "
        f"{metadata.version('litert-quantizer')} with what quantisation-aware training gave; "
        f"{kernels} kernels read back as trained",
        layers=layers,
    )
