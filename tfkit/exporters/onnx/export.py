"""Export a model as an ONNX file: what its `.tflite` file computes, for any number of examples at once."""

import json
from importlib import metadata
from pathlib import Path

import onnx

from tfkit.arguments import takes_text
from tfkit.artifacts import Artifact, ImageSpec, InputSpec, ModelSignature, Quantization, TaskName, TensorSpec
from tfkit.errors import ExportError
from tfkit.exporters.destination import finished_model
from tfkit.exporters.flatbuffer_graph import read_file_graph
from tfkit.exporters.onnx.operators import RULES
from tfkit.exporters.onnx.translation import translated
from tfkit.version import __version__


@takes_text
def export_onnx(
    flatbuffer: bytes,
    path: Path,
    *,
    quantization: Quantization,
    spec: InputSpec,
    class_names: tuple[str, ...],
    task: TaskName = "classification",
    thresholds: tuple[float, ...] = (),
) -> Artifact:
    """Write an ONNX file that computes what a `.tflite` file of tfkit does, on the same steps of every tensor.

    Pictures go in as uint8 (n, height, width, channels), raw 0..255; token ids and masks as int32 (n, length); numbers
    as float32. What comes out is float32 (n, classes): the real numbers that an integer file's steps stand for.

    Args:
        flatbuffer: The float32 file, or the int8 one.
        path: The file to write; it must not exist.
        quantization: `none` or `int8`: what the flatbuffer is.
        spec: What it takes.
        class_names: Its labels, in the order of the scores.
        task: What is asked of it.
        thresholds: As for `Artifact`.

    Returns:
        The artifact.

    Raises:
        ExportError: When an operator has no rule, or the file exists.
        RunError: When the file cannot be written.

    Example:
        >>> made = Path("model_int8.tflite").read_bytes()
        >>> artifact = export_onnx(made, Path("m.onnx"), quantization="int8", spec=image, class_names=("a", "b"))
    """
    model = onnx_model(flatbuffer, pictures=isinstance(spec, ImageSpec))
    model.producer_name, model.producer_version = "tfkit", __version__
    told = {"task": task, "labels": json.dumps(class_names), "thresholds": json.dumps(thresholds)}
    onnx.helper.set_model_props(model, told)
    content = model.SerializeToString()
    if len(content) >= onnx.checker.MAXIMUM_PROTOBUF:
        raise ExportError(f"'{path}' would be larger than the 2 GiB of one ONNX file", hint="export a SavedModel")
    with finished_model(path) as unfinished:
        unfinished.write_bytes(content)
    opset = model.opset_import[0].version
    return Artifact(
        path=path,
        format="onnx",
        quantization=quantization,
        signature=ModelSignature(_described(model.graph.input), _described(model.graph.output)),
        input=spec,
        class_names=class_names,
        task=task,
        thresholds=thresholds,
        made_by=f"tfkit {__version__} from the .tflite file; onnx {metadata.version('onnx')}, opset {opset}",
    )


def onnx_model(flatbuffer: bytes, *, pictures: bool = False) -> onnx.ModelProto:
    """What a `.tflite` file computes as an ONNX model in memory.

    Args:
        flatbuffer: The file's bytes.
        pictures: Whether its input is given as uint8, also where the file takes float32.

    Returns:
        The model, checked.

    Raises:
        ExportError: When an operator has no rule.
    """
    graph = read_file_graph(flatbuffer)
    return translated(graph, RULES, bytes_for=tuple(graph.inputs) if pictures else (), named="tfkit")


def _described(values: "list[onnx.ValueInfoProto]") -> tuple[TensorSpec, ...]:
    specs = []
    for value in values:
        kind = value.type.tensor_type
        shape = tuple(size.dim_value or None for size in kind.shape.dim)
        specs.append(TensorSpec(value.name, shape, str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))))
    return tuple(specs)
