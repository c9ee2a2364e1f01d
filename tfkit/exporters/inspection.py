"""Whether a finished `.tflite` file is what was asked for, operator by operator."""

import fnmatch
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfkit.artifacts import INTEGER, Quantization
from tfkit.errors import ExportError
from tfkit.runtimes import Operator, read_operators

if TYPE_CHECKING:
    import keras

CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
_SHOWN = 5
_LOOPS = frozenset({"WHILE", "IF"})


class LoopError(ExportError):
    """A model goes step by step, or decides while it runs what comes next; no integer file has an operator for it."""


def refuse_loops(flatbuffer: bytes, model: "keras.Model") -> None:
    """Refuse a float file whose values int8 after training could not measure: those inside of loops.

    Args:
        flatbuffer: The float `.tflite` file. It goes to a temporary folder: the run's disk may have no room for it.
        model: The Keras model it was made from, for the names of its layers.

    Raises:
        LoopError: When it holds a loop or a branch.
    """
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(flatbuffer)
        file.flush()
        loops = [operator for operator in read_operators(Path(file.name)) if operator.name in _LOOPS]
    if loops:
        raise LoopError(
            f"int8 after training needs the range of every value; got values that lie inside of loops or branches, "
            f"which have no integer operator: {describe_operators(loops, model)}",
            hint="export dynamic_int8, whose weights are int8, or float16; a recurrent layer of few steps without a "
            "loop, layers.GRU(..., unroll=True), can be int8",
        )


def refuse_unasked_operators(
    path: Path,
    *,
    quantization: Quantization,
    model: "keras.Model",
    float_operators: int = 0,
    allow_float: Sequence[str] = (),
) -> str:
    """Read a finished file back and refuse what the converter and the quantiser leave in it silently.

    Args:
        path: The file.
        quantization: What was asked for.
        model: The Keras model it was made from, for the names of its layers.
        float_operators: How many float operators were asked for.
        allow_float: Further ones that are accepted: names of operators, or names or patterns of layers.

    Returns:
        The operators in `allow_float` that are in float, in words; empty when there are none.

    Raises:
        ExportError: When it holds a custom operator, or a float operator though `int8` was asked for.
    """
    operators = read_operators(path)
    custom = [operator for operator in operators if operator.custom]
    if custom:
        raise ExportError(
            f"the exported file holds operators that no plain interpreter has: {describe_operators(custom, model)}",
            hint="replace these layers by ones of builtin operators",
        )
    if quantization not in INTEGER:
        return ""
    names = {layer.name for layer in model._flatten_layers()}
    every = [operator for operator in operators if operator.is_float]
    allowed = [operator for operator in every if _is_allowed(operator, allow_float, names)]
    conversions = [operator for operator in every if allowed and operator.name in CONVERSIONS]
    floats = [operator for operator in every if operator not in allowed and operator not in conversions]
    if len(floats) > float_operators:
        raise ExportError(
            f"int8 was asked for, but {len(floats)} of {len(operators)} operators stayed in float: "
            f"{describe_operators(floats, model)}",
            hint="export as dynamic_int8 or float16, or replace these layers by ones that have an int8 operator; to "
            f"accept them: allow_float [{', '.join(_named(floats, names))}]",
        )
    return describe_operators(allowed, model) if allowed else ""


def _named(floats: Sequence[Operator], layer_names: set[str]) -> list[str]:
    """What to allow: the layers of float operators, not those that numbers are converted behind."""
    return sorted({layer_of(operator.layer, layer_names) for operator in floats if operator.name not in CONVERSIONS})


def _is_allowed(operator: Operator, allow_float: Sequence[str], layer_names: set[str]) -> bool:
    layer = layer_of(operator.layer, layer_names)
    return any(operator.name == name or fnmatch.fnmatchcase(layer, name) for name in allow_float)


def describe_operators(operators: Sequence[Operator], model: "keras.Model") -> str:
    """Name operators with the Keras layers they come from.

    Args:
        operators: The operators.
        model: The Keras model.

    Returns:
        Such as `ERF (layer 'gelu'), FlexErfinv (layer 'odd')`; the first five and how many more there are.
    """
    names = {layer.name for layer in model._flatten_layers()}
    shown = [f"{operator.name} (layer '{layer_of(operator.layer, names)}')" for operator in operators[:_SHOWN]]
    more = len(operators) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def layer_of(tensor_name: str, layer_names: set[str]) -> str:
    """Find the Keras layer in a tensor's name.

    The converter joins name scopes with `/` and the names of fused operators with `;`, and a scope entered for
    the second time has `_1` after the layer's name.

    Args:
        tensor_name: Such as `functional_1/backbone_1/re_lu_1/Relu;functional_1/backbone_1/conv_1/convolution`.
        layer_names: The names of all layers of the model, nested ones too.

    Returns:
        The innermost layer's name (`re_lu`), or the tensor's name when no layer is in it.

    Example:
        >>> layer_of("functional_1/backbone_1/re_lu_1/Relu", {"backbone", "re_lu"})
        're_lu'
    """
    for scope in reversed(tensor_name.split(";")[0].split("/")):
        for name in (scope, re.sub(r"_\d+$", "", scope)):
            if name in layer_names:
                return name
    return tensor_name
