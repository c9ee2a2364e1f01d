"""A file's layers beside those of the model that was trained for it, in steps of their grids."""

from collections.abc import Sequence
from dataclasses import replace

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import LayerDifference
from tfkit.compression import Rounding
from tfkit.exporters.tensor_matching import FileTensor, Samples, keras_values, read_tensors
from tfkit.graph import Node, build_model, read_graph
from tfkit.graph.building import Copy
from tfkit.graph.feeding import float_pixels
from tfkit.keras_types import Tensor
from tfkit.layers import FakeQuantize, round_to_steps


def compare_layers(
    model: keras.Model, flatbuffer: bytes, roundings: dict[str, Rounding], samples: Samples
) -> tuple[LayerDifference, ...]:
    """Run both on the same images and compare every tensor that both have.

    Args:
        model: The quantisation-aware model.
        flatbuffer: The file made from it.
        roundings: The rounding of each of the file's tensors, as `quantize_as_trained` gave them.
        samples: uint8 (n, height, width, channels), a few real images; or a dictionary of token ids and mask.

    Returns:
        One row for each tensor found in both, in the file's running order.
    """
    rebuilt, outputs, narrow = _rounded_tensors(model)
    everything = read_tensors(flatbuffer, samples)
    # What a kernel gives in 16 bits and the next one takes in eight is compared as it is taken.
    narrowed = {one.sources[0]: one for one in everything if one.operator == "QUANTIZE" and one.bits == 8}
    tensors = [tensor for tensor in everything if tensor.name in roundings]
    given = float_pixels(samples)
    wanted = {name: outputs[name] for name in {roundings[tensor.name].name for tensor in tensors} if name in outputs}
    values = dict(zip(wanted, keras_values(rebuilt, list(wanted.values()), given), strict=True))
    # Tensors that an 8-bit model holds in 16 bits are compared in steps of 8: a step of their own is nothing.
    bits = min((rounding.bits for rounding in roundings.values()), default=8)
    rows: list[LayerDifference] = []
    for tensor in tensors:
        rounding = roundings[tensor.name]
        expected = values.get(rounding.name)
        if tensor.bits > 8 and rounding.name in narrow and tensor.index in narrowed:
            tensor = replace(tensor, values=narrowed[tensor.index].values)
        if expected is not None and expected.size == tensor.values.size and tensor.operator != "QUANTIZE":
            rows.append(_difference(rounding, tensor, expected, bits=bits))
            del values[rounding.name]  # what is only handed on has its input's name, and comes after it
    return tuple(rows)


def first_drift(rows: tuple[LayerDifference, ...], *, mean_steps: float = 1.0) -> LayerDifference | None:
    """The first layer that differs by more than rounding does; None when all agree.

    Args:
        rows: What `compare_layers` gave.
        mean_steps: How many steps a tensor may differ on average.
    """
    return next((row for row in rows if row.mean_steps > mean_steps), None)


def _difference(rounding: Rounding, tensor: FileTensor, expected: NDArray[np.float32], *, bits: int) -> LayerDifference:
    step = max((rounding.maximum - rounding.minimum) / (2**bits - 1), 1e-12)
    values = _on_grid(tensor.values, rounding) if tensor.is_float else tensor.values
    difference = np.abs(values.ravel() - expected.ravel()) / step
    ends = (expected >= rounding.maximum - step) | (
        expected <= rounding.minimum + step if rounding.minimum < 0 else False
    )
    return LayerDifference(
        rounding.name,
        tensor.operator,
        float(difference.mean()),
        float(difference.max()),
        float(np.mean(ends)),
    )


def _on_grid(values: NDArray[np.float32], rounding: Rounding) -> NDArray[np.float32]:
    """What layers of integers take of a tensor that a layer left in float gives."""
    rounded = round_to_steps(values, rounding.minimum, rounding.maximum, bits=rounding.bits, fused=False)
    return np.asarray(keras.ops.convert_to_numpy(rounded))


def _rounded_tensors(model: keras.Model) -> tuple[keras.Model, dict[str, Tensor], set[str]]:
    """The model built anew, what each of its quantisers gives, by its name, and which of them give eight bits.

    Pooled tensors have their layers' names.
    """
    outputs: dict[str, Tensor] = {}
    narrow: set[str] = set()

    def call(node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | Sequence[Tensor]:
        made = copy()(*args, **kwargs)
        if isinstance(node.operation, FakeQuantize):
            source = node.inputs[0].node
            again = node.operation.name in outputs and source is not None
            name = f"{source.name}_quantizer" if again and source else node.operation.name
            outputs.setdefault(name, made)
            if node.operation.result_bits == 8:
                narrow.add(name)
        return made

    return build_model(read_graph(model), call), outputs, narrow
