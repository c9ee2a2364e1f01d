"""What a user says about quantisation, and what is decided for each layer."""

import difflib
import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tfkit.arguments import fields_take_text
from tfkit.errors import ModelError
from tfkit.graph import LayerGraph

Treatment = Literal[
    "kernel",  # has weights on a grid: convolutions and Dense
    "affine",  # a scale and a shift for each channel: BatchNorm, LayerScale
    "compute",  # makes new values: needs a range of its own
    "activation",  # compute, which LiteRT can run inside the operator before it (ReLU, ReLU6)
    "fixed",  # its range is known: sigmoid, tanh, softmax
    "same",  # hands its input's values on: max pooling, reshape, padding
    "same_rounded",  # its outputs lie between its input's steps, and are rounded to them: average pooling
    "joined",  # hands several inputs' values on, on one scale: concatenation
    "masked",  # hands scores on and writes one constant among them, on one scale: an attention's mask
    "table",  # looks rows up: they lie on the grid of the output, or on grids of their own when that is float
    "absent",  # does nothing in an exported model: dropout, augmentation
    "input",  # turns raw pixels into the network's range, before any layer that learns
    "float",  # left alone, because the policy says so
]


@fields_take_text
@dataclass(frozen=True)
class QuantizationPolicy:
    """How a model is quantised.

    Attributes:
        weight_bits: 8 or 4, for the kernels of convolutions and Dense layers.
        activation_bits: 8 or 16; 32 leaves them in float: only weights are on a grid, for a `dynamic_int8` file,
            which CPUs run fastest.
        skip: Layers left in float: their names, or patterns such as `block_1_*`.
        eight_bit_ends: With 4-bit weights: whether the first and the last layer with a kernel stay at 8 bits, which
            costs little and saves most of the accuracy.
        eight_bit: With 4-bit weights: further layers that stay at 8 bits, names or patterns; depthwise and
            transposed convolutions must, because LiteRT has no 4-bit kernel for them.

    Example:
        >>> QuantizationPolicy(weight_bits=4, eight_bit=["block_1_*"]).bits_of("block_1_conv")
        8
    """

    weight_bits: int = 8
    activation_bits: int = 8
    skip: Sequence[str] = ()
    eight_bit_ends: bool = True
    eight_bit: Sequence[str] = ()

    def __post_init__(self) -> None:
        faults = []
        if self.weight_bits not in (8, 4):
            faults.append(f"weight_bits must be 8 or 4; got {self.weight_bits}")
        if self.activation_bits not in (8, 16, 32):
            faults.append(f"activation_bits must be 8, 16 or 32 (float); got {self.activation_bits}")
        if self.weight_bits == 4 and self.activation_bits == 16:
            faults.append("LiteRT has no kernels for 4-bit weights with 16-bit activations")
        if self.weight_bits == 4 and self.activation_bits == 32:
            faults.append("a file with float activations (dynamic_int8) holds 8-bit weights")
        for option in ("skip", "eight_bit"):
            if isinstance(names := getattr(self, option), str):
                faults.append(f"{option} must be a list of layer names; got the text '{names}'")
        if faults:
            raise ModelError(
                "; ".join(faults), hint="weights of 8 or 4 bits go with activations of 8, 8 also with 16 and 32"
            )

    @property
    def weights_only(self) -> bool:
        """Whether activations stay in float.

        Example:
            >>> QuantizationPolicy(activation_bits=32).weights_only
            True
        """
        return self.activation_bits == 32

    def skips(self, name: str) -> bool:
        """Whether a layer is left in float.

        Example:
            >>> QuantizationPolicy(skip=["block_1_*"]).skips("block_1_conv")
            True
        """
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.skip)

    def bits_of(self, name: str) -> int:
        """The bits of a layer's kernel, first and last layers aside.

        Example:
            >>> policy = QuantizationPolicy(weight_bits=4, eight_bit=["block_1_*"])
            >>> policy.bits_of("block_1_conv"), policy.bits_of("block_2_conv")
            (8, 4)
        """
        return 8 if any(fnmatch.fnmatchcase(name, pattern) for pattern in self.eight_bit) else self.weight_bits

    def check_names(self, graph: LayerGraph) -> None:
        """Refuse a name or pattern that fits no layer.

        Raises:
            ModelError: Names each, with the nearest layer.

        Example:
            >>> QuantizationPolicy(skip=["logit*"]).check_names(graph)
        """
        names = [node.name for node in graph.nodes]
        unknown = [pattern for pattern in (*self.skip, *self.eight_bit) if not fnmatch.filter(names, pattern)]
        if unknown:
            nearest = {name: difflib.get_close_matches(name, names, 1) for name in unknown}
            hints = [f"'{near[0]}' instead of '{name}'" for name, near in nearest.items() if near]
            asked = "skip or eight_bit" if self.eight_bit else "skip"
            raise ModelError(
                f"{asked} names no layer of '{graph.name}': {', '.join(unknown)}",
                hint=f"did you mean {', '.join(hints)}?" if hints else "list the layers: print(model.summary())",
            )


@dataclass(frozen=True)
class LayerCoverage:
    """What becomes of one layer: a row of the coverage table.

    Attributes:
        layer: Its name.
        kind: Its class.
        treatment: What is done with it.
        precision: `int8`, `int4`, `int16` or `float32`; `-` for a layer that an exported model has not.
        reason: Why, in words.
    """

    layer: str
    kind: str
    treatment: Treatment
    precision: str
    reason: str
