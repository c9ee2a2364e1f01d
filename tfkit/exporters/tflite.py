"""Export a Keras classifier as a `.tflite` file."""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import keras

from tfkit import compression
from tfkit.arguments import takes_text
from tfkit.artifacts import Artifact, InputSpec, Quantization, TaskName
from tfkit.compression import tfmot
from tfkit.compression.tfmot.twin import TfKerasTwin
from tfkit.errors import ExportError, ModelError
from tfkit.exporters.conversion import convert_to_float
from tfkit.exporters.destination import finished_tflite
from tfkit.exporters.float_model import exportable_model, refuse_weights_that_are_no_numbers, task_of_model
from tfkit.exporters.inspection import LoopError, refuse_loops, refuse_unasked_operators
from tfkit.exporters.quantization import quantize_to_dynamic_int8, quantize_to_float16, quantize_to_int8
from tfkit.inputs import input_of
from tfkit.keras_types import Inputs
from tfkit.runtimes import read_signature
from tfkit.runtimes.protocol import input_count


@takes_text
def export_tflite(
    model: keras.Model | TfKerasTwin,
    path: Path,
    *,
    quantization: Quantization,
    spec: InputSpec,
    class_names: tuple[str, ...],
    calibration: Inputs | None = None,
    float_flatbuffer: bytes | None = None,
    allow_float: Sequence[str] = (),
    task: TaskName = "classification",
) -> Artifact:
    """Write a `.tflite` file of builtin operators that takes raw pixels or token ids, one image or text at a time.

    The finished file is read back before it gets its name: a custom operator anywhere, or a float operator in an
    int8 file, is an error that names the operator and its layer, and no file is left behind.

    Args:
        model: A built `keras.Model`: float32 (n, height, width, channels) raw pixels 0..255 in, or a dict of int32
            `token_ids` and `padding_mask`; (n, classes) out; for `int8` also a quantised twin of the tfmot engine.
        path: The file to write; it must not exist.
        quantization: `none` (float32), `float16` (weights), `dynamic_int8` (weights, activations while it
            runs) or `int8` (everything; uint8 pixels or int32 ids in, uint8 scores out). The int8 file of a
            quantisation-aware model has the ranges and weights it was trained on, and so has the dynamic_int8 file of
            one whose weights alone were; its other files have the trained weights only.
        spec: The images or texts it takes.
        class_names: Its labels, in the order of the scores.
        calibration: For `int8`: uint8 (n, height, width, channels), some hundred real training images; of texts a few
            real ones to compare on, a dict of int32 `token_ids` and `padding_mask`.
        float_flatbuffer: What `converted_to_float` gave for this model, to convert once for several files.
        allow_float: Float operators that an int8 file made after training may have: names of operators, or names or
            patterns of layers. `made_by` tells those that it has.
        task: What is asked of it, for the file's metadata.

    Returns:
        The artifact.

    Raises:
        ExportError: When the model does not fit, an operator is not what was asked for, calibration images are
            missing, or the file exists.
        RunError: When the file cannot be written.

    Example:
        >>> options = {"spec": image, "class_names": ("ants", "bees")}
        >>> artifact = export_tflite(model, Path("ants.tflite"), quantization="int8", calibration=pixels, **options)
    """
    task = task_of_model(model, task)
    if isinstance(model, TfKerasTwin):
        return _export_twin(model, path, spec=spec, class_names=class_names)
    if makes_its_own_file(model, quantization):
        from tfkit.exporters.quantization_aware import export_trained_integers
        from tfkit.exporters.text_quantization import export_trained_weights

        if quantization == "dynamic_int8":
            return export_trained_weights(model, path, spec=spec, class_names=class_names, task=task)
        return export_trained_integers(model, path, spec=spec, class_names=class_names, samples=calibration, task=task)
    if quantization == "int8":
        _check_calibration(calibration, spec)
    model = exportable_model(model, spec=spec, class_names=class_names)
    try:
        return _export_converted(
            model,
            path,
            quantization,
            spec,
            class_names,
            calibration,
            float_flatbuffer,
            allow_float=allow_float,
            task=task,
        )
    except ExportError as fault:
        if calibration is None or quantization != "int8" or isinstance(fault, LoopError):
            raise
        return _export_untrained(model, path, spec, class_names, calibration, fault, allow_float=allow_float, task=task)


def _export_converted(
    model: keras.Model,
    path: Path,
    quantization: Quantization,
    spec: InputSpec,
    class_names: tuple[str, ...],
    calibration: Inputs | None,
    float_flatbuffer: bytes | None,
    *,
    allow_float: Sequence[str],
    task: TaskName,
) -> Artifact:
    with finished_tflite(path, spec=spec, class_names=class_names, task=task) as unfinished:
        flatbuffer = float_flatbuffer or converted_to_float(model, spec)
        if quantization == "int8":
            refuse_loops(flatbuffer, model)
        unfinished.write_bytes(_quantized(flatbuffer, quantization, calibration, spec))
        floats = refuse_unasked_operators(unfinished, quantization=quantization, model=model, allow_float=allow_float)
    noun = input_of(spec).noun
    made_by = _made_by(quantization, f"{0 if calibration is None else input_count(calibration)} training {noun}s")
    return Artifact(
        path=path,
        format="tflite",
        quantization=quantization,
        signature=read_signature(path),
        input=spec,
        class_names=class_names,
        made_by=f"{made_by}; in float, as allowed: {floats}" if floats else made_by,
    )


def _export_untrained(
    model: keras.Model,
    path: Path,
    spec: InputSpec,
    class_names: tuple[str, ...],
    samples: Inputs,
    refusal: ExportError,
    *,
    allow_float: Sequence[str],
    task: TaskName,
) -> Artifact:
    """int8 after training by the rewrites of quantisation-aware training, for what the quantiser has no rule for.

    Raises:
        ExportError: The quantiser's refusal, with why training's rewrites do not take the model either.
    """
    from tfkit.exporters.quantization_aware import export_trained_integers

    skipped = [name for name in allow_float if fnmatch.filter([layer.name for layer in model._flatten_layers()], name)]
    try:
        rewritten = compression.quantize_aware(model, samples, policy=compression.QuantizationPolicy(skip=skipped))
        compression.settle_biases(rewritten)
        made = export_trained_integers(rewritten, path, spec=spec, class_names=class_names, samples=samples, task=task)
    except (ModelError, ExportError) as fault:
        raise ExportError(f"{refusal}; nor as in quantisation-aware training: {fault}", hint=refusal.hint) from fault
    told = f"; in float, as allowed: {', '.join(skipped)}" if skipped else ""
    seen = f"{input_count(samples)} training {input_of(spec).noun}s"
    return replace(made, made_by=f"{made.made_by}; nothing was trained: ranges measured on {seen}{told}")


def converted_to_float(model: keras.Model, spec: InputSpec) -> bytes:
    """The float32 flatbuffer of what `exportable_model` gave; texts have the full length there.

    Example:
        >>> converted_to_float(model, image)[4:8]
        b'TFL3'
    """
    taken = input_of(spec)
    return convert_to_float(taken.sized(taken.plain(model), spec), spec=spec)


def makes_its_own_file(model: keras.Model | TfKerasTwin, quantization: Quantization) -> bool:
    """Whether a model's file comes from its own training, not from the plain float file."""
    if isinstance(model, TfKerasTwin):
        return True
    if not compression.is_compressed(model):
        return False
    if quantization == "dynamic_int8":
        return isinstance(getattr(model, "input", None), dict) and compression.has_trained_weights(model)
    return quantization == "int8" and compression.is_quantize_aware(model)


def _export_twin(twin: TfKerasTwin, path: Path, *, spec: InputSpec, class_names: tuple[str, ...]) -> Artifact:
    refuse_weights_that_are_no_numbers(twin.model)
    with finished_tflite(path, spec=spec, class_names=class_names) as unfinished:
        unfinished.write_bytes(tfmot.export_tfmot_int8(twin))
    return Artifact(
        path=path,
        format="tflite",
        quantization="int8",
        signature=read_signature(path),
        input=spec,
        class_names=class_names,
        made_by=f"TFLiteConverter of TensorFlow {metadata.version('tensorflow')}, ranges trained by "
        f"tensorflow-model-optimization {metadata.version('tensorflow-model-optimization')}",
    )


def _quantized(flatbuffer: bytes, quantization: Quantization, calibration: Inputs | None, spec: InputSpec) -> bytes:
    if quantization == "float16":
        return quantize_to_float16(flatbuffer)
    if quantization == "dynamic_int8":
        return quantize_to_dynamic_int8(flatbuffer)
    if quantization == "int8" and calibration is not None:
        return quantize_to_int8(flatbuffer, calibration, known=input_of(spec).ranges)
    return flatbuffer


def _check_calibration(calibration: Inputs | None, spec: InputSpec) -> None:
    taken = input_of(spec)
    if taken.uncalibrated is not None:
        told, hint = taken.uncalibrated
        raise ExportError(told, hint=hint)
    what = f"calibration {taken.noun}s"
    if calibration is None or input_count(calibration) == 0:
        raise ExportError(
            f"int8 needs {what}; got none", hint=f"give some hundred training {taken.noun}s: --calibration DATA"
        )
    fed = {name: (values.shape[1:], values.dtype) for name, values in taken.noise(spec, 1).items()}
    given = calibration if isinstance(calibration, Mapping) else dict.fromkeys(list(fed)[:1], calibration)
    if {name: (values.shape[1:], values.dtype) for name, values in given.items()} != fed:
        wanted = ", ".join(f"{dtype} (n, {', '.join(map(str, shape))})" for shape, dtype in fed.values())
        got = ", ".join(f"{values.dtype} {values.shape}" for values in given.values())
        raise ExportError(f"{what} must be {wanted}; got {got}")


def _made_by(quantization: Quantization, seen: str) -> str:
    converter = f"TFLiteConverter of TensorFlow {metadata.version('tensorflow')}"
    quantizer = f"litert-quantizer {metadata.version('litert-quantizer')}"
    ways = {
        "none": converter,
        "float16": f"{converter}, float16 weights by {quantizer}",
        "dynamic_int8": f"{converter}, dynamic_wi8_afp32 by {quantizer}",
        "int8": f"{converter}, static_wi8_ai8 by {quantizer}, calibrated on {seen}",
    }
    return ways[quantization]
