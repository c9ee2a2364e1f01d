"""What other and older runtimes need of a `.tflite` file, and what in it would lead them astray."""

import re
from dataclasses import dataclass
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema
from packaging.version import Version

from tfkit.arguments import takes_text
from tfkit.runtimes.flatbuffer import opened_flatbuffer
from tfkit.runtimes.operator_versions import OperatorTypes, needed_version
from tfkit.runtimes.runtime_versions import runtime_since

MIN_RUNTIME = "min_runtime_version"
_UNKNOWN = (0, 0)
# A buffer's offset of 0 or 1 says that its data are inside.
_INSIDE = 1
_LARGEST_DEPRECATED_CODE = 127
_OPERATORS = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_TYPES = {code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")}


@dataclass(frozen=True)
class Portability:
    """Which runtimes read a file.

    Attributes:
        min_runtime: The first TensorFlow Lite runtime with every operator version in the file, such as `2.17.0`.
        faults: What makes other runtimes refuse the file, or answer wrongly without an error, in phrases.
    """

    min_runtime: str
    faults: tuple[str, ...]


@takes_text
def read_portability(path: Path) -> Portability:
    """Find which runtimes read a `.tflite` file rightly.

    Args:
        path: The file.

    Returns:
        The least runtime version and the faults.

    Raises:
        ModelError: When the file is missing, damaged or no `.tflite` file.

    Example:
        >>> portability = read_portability(Path("model_int8.tflite"))
    """
    with opened_flatbuffer(path) as packed:
        model = schema.ModelT.InitFromObj(packed)
        versions = needed_versions(model)
        return Portability(least_runtime(model, versions), tuple(_faults(model, versions)))


@dataclass(frozen=True)
class OperatorNeed:
    """What the operators of one kind in a file ask of a runtime.

    Attributes:
        name: The builtin operator's name, or `CUSTOM`.
        version: The version that it must have.
        since: The first TensorFlow Lite runtime with it, such as `2.11`; None where no facts are known of it.
    """

    name: str
    version: int
    since: str | None


@takes_text
def read_operator_needs(path: Path) -> tuple[OperatorNeed, ...]:
    """Find since which runtime each kind of operator in a `.tflite` file exists.

    Args:
        path: The file.

    Returns:
        One for each operator code, by name.

    Raises:
        ModelError: When the file is missing, damaged or no `.tflite` file.

    Example:
        >>> {need.name for need in read_operator_needs(Path("model_int8.tflite"))} >= {"SOFTMAX"}
        True
    """
    with opened_flatbuffer(path) as packed:
        model = schema.ModelT.InitFromObj(packed)
        needed = needed_versions(model)
        found = []
        for place, code in enumerate(model.operatorCodes):
            name, version = operator_name(model, place), max(needed.get(place, 1), code.version)
            since = runtime_since(name, version)
            found.append(OperatorNeed(name, version, None if since == _UNKNOWN else "{}.{}".format(*since)))
    return tuple(sorted(found, key=lambda need: (need.name, need.version)))


def needed_versions(model: schema.ModelT) -> dict[int, int]:
    """The smallest version of each operator code that all of its operators' tensors and options need.

    Args:
        model: The schema's `ModelT`.

    Returns:
        Versions by the code's place in `operatorCodes`; custom operators are left out.
    """
    needed: dict[int, int] = {}
    for graph in model.subgraphs:
        for operator in graph.operators if graph.operators is not None else ():
            name = operator_name(model, operator.opcodeIndex)
            if name != "CUSTOM":
                version = needed_version(name, _types(graph, operator))
                needed[operator.opcodeIndex] = max(needed.get(operator.opcodeIndex, 1), version)
    return needed


def least_runtime(model: schema.ModelT, versions: dict[int, int]) -> str:
    """The first runtime that has all operators of a file.

    Args:
        model: The schema's `ModelT`.
        versions: What `needed_versions` gave; a version that the file itself says counts where it is higher.

    Returns:
        Such as `2.17.0`; never below what the file itself says where no facts are known of an operator.
    """
    since = [(1, 5)]
    for place, version in versions.items():
        said = model.operatorCodes[place].version
        known = runtime_since(operator_name(model, place), max(version, said))
        since.append(known if known != _UNKNOWN else _said_runtime(model))
    return "{}.{}.0".format(*max(since))


@dataclass(frozen=True)
class NewerOperators:
    """Operators that an older runtime does not have.

    Attributes:
        runtime: The first runtime that has them all, such as `2.17.0`.
        operators: Their names and versions, such as `FULLY_CONNECTED version 12`.
    """

    runtime: str
    operators: tuple[str, ...]


def newer_operators(flatbuffer: bytes, oldest: str) -> NewerOperators | None:
    """The operators of a `.tflite` model that came after a runtime.

    Args:
        flatbuffer: The model.
        oldest: The runtime, such as `2.14`.

    Returns:
        What they are and need; None when the runtime reads the model.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer))
    versions = needed_versions(model)
    runtime = least_runtime(model, versions)
    if Version(runtime) <= Version(oldest):
        return None
    known = (*Version(oldest).release, 0)[:2]
    newer = [
        f"{operator_name(model, place)} version {max(version, model.operatorCodes[place].version)}"
        for place, version in versions.items()
        if runtime_since(operator_name(model, place), max(version, model.operatorCodes[place].version)) > known
    ]
    return NewerOperators(runtime, tuple(newer))


def _said_runtime(model: schema.ModelT) -> tuple[int, int]:
    for entry in model.metadata if model.metadata is not None else ():
        data = model.buffers[entry.buffer].data if entry.name == MIN_RUNTIME.encode() else None
        if data is not None and (said := re.match(rb"(\d+)\.(\d+)", bytes(data))):
            return int(said[1]), int(said[2])
    return _UNKNOWN


def operator_name(model: schema.ModelT, place: int) -> str:
    """The builtin operator's name of an operator code, whichever of its two fields says it."""
    code = model.operatorCodes[place]
    name: str = _OPERATORS.get(max(code.builtinCode, code.deprecatedBuiltinCode), "UNKNOWN")
    return name


def deprecated_code(code: int) -> int:
    """What the older field of an operator code holds: the code, or 127 for what has no place there.

    Example:
        >>> deprecated_code(9), deprecated_code(150)
        (9, 127)
    """
    return min(code, _LARGEST_DEPRECATED_CODE)


def is_outside(buffer: schema.BufferT) -> bool:
    """Whether a buffer's data lie behind the flatbuffer."""
    return bool(buffer.offset > _INSIDE)


def _faults(model: schema.ModelT, versions: dict[int, int]) -> list[str]:
    faults = []
    low = [
        f"{operator_name(model, place)} says version {model.operatorCodes[place].version} and needs {version}"
        for place, version in versions.items()
        if model.operatorCodes[place].version < version
    ]
    if low:
        told = ", ".join(low)
        faults.append(f"operator versions are too low, so older runtimes answer wrongly without an error: {told}")
    outside = sum(is_outside(buffer) for buffer in model.buffers)
    if outside:
        faults.append(
            f"{outside} of {len(model.buffers)} buffers lie behind the flatbuffer, where TFLite Micro, OpenVINO and "
            "older phones do not look"
        )
    # Files from before the newer field was added have 0 there, and are read by the older one alone.
    codes = {code.builtinCode for code in model.operatorCodes if code.builtinCode > 0}
    unsaid = codes - {code.builtinCode for code in model.operatorCodes if _says_both(code)}
    if unsaid:
        names = ", ".join(sorted(_OPERATORS.get(code, "UNKNOWN") for code in unsaid))
        faults.append(f"the older field of operator codes is not set, so OpenVINO and tf2onnx take {names} for others")
    return faults


def _says_both(code: schema.OperatorCodeT) -> bool:
    return bool(code.deprecatedBuiltinCode == deprecated_code(code.builtinCode))


def _types(graph: schema.SubGraphT, operator: schema.OperatorT) -> OperatorTypes:
    inputs = [graph.tensors[place] if place >= 0 else None for place in operator.inputs]
    outputs = [graph.tensors[place] for place in operator.outputs]
    weights = inputs[1] if len(inputs) > 1 else (inputs + outputs)[0]
    looked_at = [*inputs[:2], *outputs[:1]]
    scales = [_scales(tensor) for tensor in looked_at]
    return OperatorTypes(
        inputs=tuple(_TYPES[tensor.type] if tensor else "" for tensor in inputs),
        outputs=tuple(_TYPES[tensor.type] for tensor in outputs),
        shapes=tuple(tuple(map(int, tensor.shape)) if tensor and tensor.shape is not None else () for tensor in inputs),
        per_channel=len(_scales(weights)) > 1 or (len(inputs) == 1 and len(_scales(outputs[0])) > 1),
        scales=tuple(scale[0] for scale in scales) if all(scales) else (),
        options=operator.builtinOptions,
    )


def _scales(tensor: schema.TensorT | None) -> list[float]:
    if tensor is None or tensor.quantization is None or tensor.quantization.scale is None:
        return []
    return [float(scale) for scale in tensor.quantization.scale]
