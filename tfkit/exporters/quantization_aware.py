"""Export a quantisation-aware model as the integer file it was trained to be, and prove that it is that file."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from numpy.typing import NDArray

from tfkit.artifacts import Artifact, ImageSpec, InputSpec, LayerDifference, Quantization, TaskName, TextSpec
from tfkit.compression import FoldedModel, Rounding, TrainedKernel, fold
from tfkit.errors import ExportError
from tfkit.exporters.answer_tables import with_own_operators
from tfkit.exporters.conversion import convert_to_float
from tfkit.exporters.destination import finished_tflite
from tfkit.exporters.float_model import check_model
from tfkit.exporters.inspection import CONVERSIONS, layer_of, refuse_unasked_operators
from tfkit.exporters.layer_differences import compare_layers, first_drift
from tfkit.exporters.normalization import normalized
from tfkit.exporters.tensor_matching import Samples
from tfkit.exporters.trained_ranges import quantize_as_trained
from tfkit.graph import read_graph
from tfkit.inputs import input_of
from tfkit.runtimes import read_operators, read_signature
from tfkit.runtimes.protocol import input_count, only_array, some_inputs

# Examples the file and the Keras model are both run on before the file gets its name.
_COMPARED = 4
# A file further from its model than this, on average over the scores, is not the model that was trained.
_MOST_STEPS = 8.0
_FINE_STEPS = 65534 / 255  # steps of 16 bits in one of 8
_OUTPUT = "StatefulPartitionedCall"  # what the converter calls a model's outputs
_SHOWN = 5


@dataclass(frozen=True)
class IntegerFile:
    """An integer file with what is known of it.

    Attributes:
        flatbuffer: The `.tflite` file.
        layers: How far each of its tensors is from the Keras model's, in its running order.
        kernels_on_grid: How many kernels were found in it, every number and its sign as trained.
        activation_bits: 8 or 16.
        float_layers: The layers that the policy left in float.
    """

    flatbuffer: bytes
    layers: tuple[LayerDifference, ...]
    kernels_on_grid: int
    activation_bits: int
    float_layers: tuple[str, ...] = ()


def export_trained_integers(
    model: keras.Model,
    path: Path,
    *,
    spec: InputSpec,
    class_names: tuple[str, ...],
    samples: Samples | None = None,
    task: TaskName = "classification",
) -> Artifact:
    """Write the integer file of a quantisation-aware model; see `export_integers`.

    Args:
        model: What `tfkit.compression.quantize_aware` gave, trained.
        path: The file to write; it must not exist.
        spec: The images or texts it takes.
        class_names: Its labels, in the order of the scores.
        samples: A few real inputs to compare on: uint8 (n, height, width, channels), or `token_ids` and
            `padding_mask`, int32 (n, length); default noise, of images alone.
        task: What is asked of it.

    Returns:
        The artifact: `int8`, or `int16x8` for 16-bit activations.

    Raises:
        ExportError: When the file is not what was trained, or an operator is not what was asked for.
        RunError: When it cannot be written.
    """
    check_model(model, spec=spec, class_names=class_names)
    with finished_tflite(path, spec=spec, class_names=class_names, task=task) as unfinished:
        made = _file(model, spec=spec, samples=samples)
        quantization: Quantization = "int16x8" if made.activation_bits == 16 else "int8"
        pixels = bool(input_of(spec).ranges)
        gave = "the ranges of quantisation-aware training" if pixels else "what quantisation-aware training gave"
        unfinished.write_bytes(made.flatbuffer)
        refuse_floats_but_skipped(unfinished, made.float_layers, quantization=quantization, model=model)
    return Artifact(
        path=path,
        format="tflite",
        quantization=quantization,
        signature=read_signature(path),
        input=spec,
        class_names=class_names,
        made_by=f"TFLiteConverter of TensorFlow {metadata.version('tensorflow')}, litert-quantizer "
        f"{metadata.version('litert-quantizer')} with {gave}; "
        f"{made.kernels_on_grid} kernels read back as trained",
        layers=made.layers,
    )


def export_integers(model: keras.Model, *, image: ImageSpec, pixels: NDArray[np.uint8] | None = None) -> IntegerFile:
    """Make the integer file of a quantisation-aware model: uint8 pixels in, uint8 scores out.

    Nothing is calibrated: ranges and weights are the trained ones. Before the file is handed out, each kernel is
    read back from it and compared number by number, and it is run beside the Keras model.

    Args:
        model: What `tfkit.compression.quantize_aware` gave, trained.
        image: The images it takes.
        pixels: uint8 (n, height, width, channels), a few real images to compare on; default noise.

    Returns:
        The file.

    Raises:
        ExportError: When a kernel is not in the file as it was trained, a tensor of the file is none of the model's,
            or the file's scores drift; it names the first layer that does.

    Example:
        >>> file = export_integers(student, image=image, pixels=pixels)
        >>> file.flatbuffer[4:8]
        b'TFL3'
    """
    return _file(model, spec=image, samples=pixels)


def _file(model: keras.Model, *, spec: InputSpec, samples: Samples | None) -> IntegerFile:
    taken = input_of(spec)
    if samples is None or (taken.noise_tells and input_count(samples) == 0):
        if not taken.noise_tells:
            raise ExportError(f"int8 of {taken.noun}s needs some real {taken.noun}s to compare on; got none")
        samples = taken.noise(spec, _COMPARED)
    check_samples(samples, spec=spec)
    few, model = some_inputs(samples, slice(_COMPARED)), taken.sized(model, spec)
    made = _integers(model, spec=spec, samples=few)
    rows = compare_layers(model, made.flatbuffer, made.roundings, few)
    refuse_drift(rows, activation_bits=made.folded.activation_bits)
    return IntegerFile(made.flatbuffer, rows, made.kernels, made.folded.activation_bits, made.folded.float_layers)


@dataclass(frozen=True)
class _Integers:
    """A file that was not compared with its model yet."""

    flatbuffer: bytes
    roundings: dict[str, Rounding]
    folded: FoldedModel
    kernels: int


def _integers(model: keras.Model, *, spec: InputSpec, samples: Samples) -> _Integers:
    folded, taken = fold(model), input_of(spec)
    if folded.input is None and taken.ranges:
        raise ExportError(f"the model takes token ids, not {taken.noun}s", hint="use export_text_integers")
    if folded.input is not None and not taken.ranges:
        raise ExportError(
            f"quantisation-aware training takes float inputs for pixels; the model takes {taken.noun}s",
            hint="make int8 after training, without quantisation-aware training",
        )
    floats = convert_to_float(folded.model, spec=spec)
    if folded.input is None:
        return _finished(*quantize_as_trained(floats, folded, samples), folded)
    step = (folded.input.maximum - folded.input.minimum) / 255
    pixels = np.asarray(only_array(samples), np.float64)
    scaled = (folded.input.minimum + pixels * step).astype(np.float32)
    return _finished(*quantize_as_trained(floats, folded, scaled), folded)


def _finished(flatbuffer: bytes, roundings: dict[str, Rounding], folded: FoldedModel) -> _Integers:
    """Put in what litert-quantizer has no rule for, and read the kernels back."""
    tensors = {rounding.name: name for name, rounding in reversed(roundings.items())}
    tables = {tensors[table.rounding]: table.answers for table in folded.tables}
    flatbuffer = with_own_operators(flatbuffer, tables, {tensors[name] for name in folded.smaller})
    flatbuffer = normalized(flatbuffer)
    return _Integers(flatbuffer, roundings, folded, check_kernels(flatbuffer, folded.kernels))


def rehearse_integers(model: keras.Model, *, spec: InputSpec, samples: Samples) -> bytes:
    """Make the integer file of a quantisation-aware model that is not trained yet.

    Every tensor of the file must be one that the model is trained on, every kernel in it, and every operator what
    was asked for; how near the file comes to the model is not asked.

    Args:
        model: What `tfkit.compression.quantize_aware` gave.
        spec: The images or texts it takes.
        samples: uint8 (n, height, width, channels), or `token_ids` and `padding_mask`: a few real inputs.

    Returns:
        The flatbuffer, to be thrown away.

    Raises:
        ExportError: As the export after training would.
    """
    few = some_inputs(samples, slice(_COMPARED))
    made = _integers(input_of(spec).sized(model, spec), spec=spec, samples=few)
    quantization: Quantization = "int16x8" if made.folded.activation_bits == 16 else "int8"
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(made.flatbuffer)
        file.flush()
        floats = made.folded.float_layers
        refuse_floats_but_skipped(Path(file.name), floats, quantization=quantization, model=model)
    return made.flatbuffer


def export_text_integers(
    model: keras.Model, *, sequence_length: int, texts: Mapping[str, NDArray[np.int32]]
) -> IntegerFile:
    """Make the integer file of a quantisation-aware text classifier: int32 ids and mask in, uint8 scores out.

    Everything between is computed in whole numbers; the kernels and the token table are read back as trained, and
    the file is run beside the Keras model, as for images.

    Args:
        model: What `tfkit.compression.quantize_aware` gave for an opened transformer, trained.
        sequence_length: Tokens of every text.
        texts: `token_ids` and `padding_mask`, int32 (n, sequence_length), a few real texts to compare on.

    Returns:
        The file.

    Raises:
        ExportError: As for `export_integers`.

    Example:
        >>> file = export_text_integers(student, sequence_length=32, texts=tokenizer(some_texts))  # doctest: +SKIP
    """
    return _file(model, spec=TextSpec(sequence_length, Path()), samples=texts)


def check_samples(samples: Samples, *, spec: InputSpec) -> None:
    """Refuse inputs that are not what a file of one size takes.

    Raises:
        ExportError: Tells what came.
    """
    taken = input_of(spec).tensors(spec)
    if not isinstance(samples, Mapping):
        return
    shapes = {name: np.shape(values) for name, values in samples.items()}
    lengths = {shape[0] for shape in shapes.values() if shape}
    good = set(shapes) == {tensor.name for tensor in taken} and len(lengths) == 1 and 0 not in lengths
    if not good or any(shapes[tensor.name][1:] != tensor.shape[1:] for tensor in taken):
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "nothing"
        wanted = dict.fromkeys(f"{one.dtype} (n, {', '.join(map(str, one.shape[1:]))})" for one in taken)
        names = " and ".join(tensor.name for tensor in taken)
        raise ExportError(f"expected {names}, {' and '.join(wanted)} each; got {told}")


def refuse_drift(rows: tuple[LayerDifference, ...], *, activation_bits: int) -> None:
    """Refuse a file whose scores are far from its model's, counted in steps of eight bits whatever the file has.

    Args:
        rows: What `compare_layers` gave, the scores last.
        activation_bits: Of the steps that they count.

    Raises:
        ExportError: Names the first layer that is far.
    """
    wide = activation_bits == 16
    step = _FINE_STEPS if wide else 1.0
    if rows and rows[-1].mean_steps > _MOST_STEPS * step:
        drifting = first_drift(rows, mean_steps=step) or rows[-1]
        raise ExportError(
            f"the file is {rows[-1].mean_steps / step:.1f} steps {'of 8 bits ' if wide else ''}from the Keras model on "
            f"average; the first layer to drift is '{drifting.layer}' ({drifting.operator}, "
            f"{drifting.mean_steps / step:.1f} steps)",
            hint="leave that layer in float (quantization.skip), or train longer with frozen ranges",
        )


def _last_layer(model: keras.Model) -> str:
    """The layer that gives a model's output; its operator has the output's name in a file, and not its own."""
    node = read_graph(model).outputs[0].node
    return node.name if node is not None else ""


def refuse_floats_but_skipped(
    path: Path, float_layers: tuple[str, ...], *, quantization: Quantization, model: keras.Model
) -> None:
    """`refuse_unasked_operators`, with the layers that training left in float and the conversions around them.

    Raises:
        ExportError: When a further operator of the file computes in float.
    """
    asked = _float_operators(path, float_layers, last=_last_layer(model))
    refuse_unasked_operators(path, quantization=quantization, model=model, float_operators=asked)


def _float_operators(path: Path, float_layers: tuple[str, ...], *, last: str) -> int:
    """How many float operators of a file are layers left in float, or the conversions around them."""
    if not float_layers:
        return 0
    names = set(float_layers)
    floats = [operator for operator in read_operators(path) if operator.is_float]
    return sum(
        operator.name in CONVERSIONS
        or layer_of(operator.layer, names) in names
        or (last in names and operator.layer.startswith(_OUTPUT))
        for operator in floats
    )


def check_kernels(flatbuffer: bytes, kernels: tuple[TrainedKernel, ...]) -> int:
    """Find every trained kernel in a file, each number in its place.

    Args:
        flatbuffer: The quantised file.
        kernels: The kernels as they were trained.

    Returns:
        How many there are.

    Raises:
        ExportError: Names those that are not in the file.
    """
    stored = _integer_constants(flatbuffer)
    missing = [kernel.layer for kernel in kernels if kernel.bits and not _take(kernel, stored)]
    if missing:
        raise ExportError(
            f"{len(missing)} kernels are not in the file as they were trained: {', '.join(missing[:_SHOWN])}",
            hint="report it as a fault of tfkit, or leave these layers in float (quantization.skip)",
        )
    return len(kernels)


def _take(kernel: TrainedKernel, stored: dict[int, list[NDArray[np.int8]]]) -> bool:
    """Take a kernel out of the file's constants; False when none equals it."""
    candidates = stored.get(kernel.steps.size, [])
    for expected in _file_layouts(kernel):
        for place, candidate in enumerate(candidates):
            if np.array_equal(candidate, expected):
                del candidates[place]
                return True
    return False


def _file_layouts(kernel: TrainedKernel) -> Iterator[NDArray[np.int8]]:
    """How TFLite may lay out a Keras kernel, flattened."""
    for axis in kernel.first_axes:
        yield (kernel.steps if axis is None else np.moveaxis(kernel.steps, axis, 0)).ravel()


def _integer_constants(flatbuffer: bytes) -> dict[int, list[NDArray[np.int8]]]:
    """The int8 and int4 constants of a file, flattened, by how many numbers they have."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(flatbuffer))
    found: dict[int, list[NDArray[np.int8]]] = {}
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        if data is None or len(data) == 0:
            continue
        values = np.frombuffer(bytes(data), np.uint8)
        if tensor.type == schema.TensorType.INT4:
            low, high = (values & 0xF).astype(np.int8), (values >> 4).astype(np.int8)
            nibbles = np.stack([low, high], axis=-1).ravel()[: int(np.prod(tensor.shape))]
            constants = np.where(nibbles > 7, nibbles - 16, nibbles).astype(np.int8)
        elif tensor.type == schema.TensorType.INT8:
            constants = values.view(np.int8)
        else:
            continue
        found.setdefault(constants.size, []).append(constants)
    return found
