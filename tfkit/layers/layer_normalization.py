"""Layer normalisation in the steps that an integer file computes it in."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tfkit.keras_types import LayerConfig, Shape, Tensor
from tfkit.layers.fake_quantization import FakeQuantize
from tfkit.layers.tables import looked_up_inverse_root, tabulated_inverse_root
from tfkit.layers.whole_numbers import (
    LARGEST_OF_16,
    PRECISE,
    difference,
    half_away,
    rounded_coarsely,
    rounded_twice,
    step_width,
    straight_through,
)

# The rank of (n, length, channels): there the squares are summed before they are rounded. LiteRT multiplies four axes.
_SEQUENCES = 3
_LARGEST_WEIGHT = 127  # which a channel's only weight is, on its own steps


@keras.saving.register_keras_serializable(package="tfkit")
class QuantizedLayerNormalization(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over the last axis with every value between its operators rounded.

    The values between are held in 16 bits, in an 8-bit model too: a variance of a hundredth of the largest one is
    two of 256 steps, and its inverse root then a guess. LiteRT has 16-bit kernels for every operator in here; that of
    the inverse root is far from exact, and computed as it is (see `tabulated_inverse_root`). Once settled, the layer
    predicts in whole numbers, each rounded as its kernel does.

    Args:
        bits: Of the normalised values, what the layer's scale and shift take.
        fused: As for `FakeQuantize`.
        settled: What `settle` has set; default nothing.
        *args, **kwargs: What the Keras layer takes.

    Attributes:
        enabled: False computes as Keras does.
        quantizers: One for each value between the operators, in order: mean, centred, squares (of sequences:
            their sum), variance, inverse deviation, normalised.
    """

    stands_for = keras.layers.LayerNormalization

    STEPS = ("mean", "centred", "squares", "variance", "inverse_deviation", "normalized")
    INNER_BITS = 16

    def __init__(
        self,
        *args: object,
        bits: int = 8,
        fused: bool = True,
        settled: dict[str, Sequence[float]] | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.bits, self.fused = bits, fused
        self.settled = settled
        self.enabled = True
        self.quantizers = {
            step: FakeQuantize(
                bits=bits if step == self.STEPS[-1] else self.INNER_BITS, fused=fused, name=f"{self.name}_{step}"
            )
            for step in self.STEPS
        }

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        for step, quantizer in self.quantizers.items():
            per_position = step in ("mean", "variance", "inverse_deviation")
            per_position |= step == "squares" and len(input_shape) == _SEQUENCES
            quantizer.build((*input_shape[:-1], 1) if per_position else input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if not self.enabled:
            return super().call(inputs)
        if training:
            self.settled = None  # what is trained on has other ranges and weights
        if self.settled is not None and inputs.dtype == "float32":
            smooth, exact = self.steps(inputs, lambda step, value: value), self._as_file(inputs, self.settled)
            if "counted" in self.settled:
                scaled = ops.cast(self._scaled_as_file(exact, self.settled), inputs.dtype)
                return straight_through(self._scaled(smooth), scaled)
            return self._scaled(straight_through(smooth, ops.cast(exact, inputs.dtype)))

        def rounded(step: str, value: Tensor) -> Tensor:
            return value if step == "inverse_deviation" else self.quantizers[step](value, training=training)

        return self._scaled(self.steps(inputs, rounded, inverse_root=lambda value: self._inverse_root(value, training)))

    def _scaled(self, normalized: Tensor) -> Tensor:
        outputs = normalized * ops.cast(self.gamma, normalized.dtype) if self.scale else normalized
        return outputs + ops.cast(self.beta, outputs.dtype) if self.center else outputs

    def settle(self, input_range: tuple[float, float], input_bits: int) -> None:
        """From now on, until it is trained again, predict as the file computes.

        Args:
            input_range: What the input's quantiser rounds to.
            input_bits: 8 or 16.
        """
        ranges = {step: quantizer.real_range() for step, quantizer in self.quantizers.items()}
        bits = {step: quantizer.bits for step, quantizer in self.quantizers.items()}
        grids = {"input": (*input_range, input_bits)} | {step: (*ranges[step], bits[step]) for step in self.STEPS}
        self.settled = {name: [float(number) for number in grid] for name, grid in grids.items()}

    def settle_scale(self, counted: NDArray[np.float32], step: float) -> None:
        """Let a settled layer of 16 bits scale and shift as the file's kernel does too, and round the result.

        float32 cannot hold the kernel's sums of 16 bits times 8.

        Args:
            counted: What the kernel's sums count in, for each channel or (1,); above 0.
            step: Width of a step of the result.
        """
        assert self.settled is not None
        self.settled |= {"counted": [float(number) for number in np.atleast_1d(counted)], "result": [step]}

    def _scaled_as_file(self, normalized: Tensor, grids: dict[str, Sequence[float]]) -> Tensor:
        """Scale and shift of normalised values of 16 bits, as a depthwise convolution of the file gives them."""
        counted, (step,) = np.asarray(grids["counted"], np.float64), grids["result"]
        whole = half_away(normalized / step_width(*grids["normalized"][:2], bits=self.INNER_BITS))
        sums = whole * (ops.sign(ops.cast(self.gamma, PRECISE)) if self.scale else 1.0) * _LARGEST_WEIGHT
        if self.center:
            sums = sums + ops.round(ops.cast(self.beta, PRECISE) / ops.convert_to_tensor(counted))
        return _in_16_bits(rounded_coarsely(sums, counted / step)) * step

    def _as_file(self, inputs: Tensor, grids: dict[str, Sequence[float]]) -> Tensor:
        """The normalised values as the file's kernels give them, each tensor in whole steps of its grid.

        Source: the kernels for 16 bits of TensorFlow Lite's `kernels/internal/reference`: `reduce.h`, `sub.h`,
        `integer_ops/mul.h`, `add.h`, `requantize.h`.
        """
        width = {name: step_width(*grids[name][:2], bits=self.INNER_BITS) for name in ("input", *self.STEPS)}
        size = int(inputs.shape[-1])
        low, high, bits = grids["input"]
        taken = step_width(low, high, bits=int(bits))
        whole = half_away(ops.cast(inputs, PRECISE) / taken)
        if bits != self.INNER_BITS:
            whole = _in_16_bits(rounded_twice(whole, taken / width["input"]))
        total = ops.sum(whole, axis=-1, keepdims=True)
        mean = _in_16_bits(rounded_twice(total, width["input"] / width["mean"], divided_by=size))
        steps = width["input"], width["mean"], width["centred"]
        centred = _in_16_bits(difference(whole, mean, steps=steps))
        squared = _product_step(width["centred"], width["centred"], width["squares"])
        if len(inputs.shape) == _SEQUENCES:
            squares = rounded_coarsely(ops.sum(centred * centred, axis=-1, keepdims=True), squared)
            share = float(np.float32(1 / size) / np.float32(LARGEST_OF_16))
            divided = _product_step(width["squares"], share, width["variance"])
            variance = rounded_twice(_in_16_bits(squares) * LARGEST_OF_16, divided)
        else:
            squares = _in_16_bits(rounded_twice(centred * centred, squared))
            total = ops.sum(squares, axis=-1, keepdims=True)
            variance = rounded_twice(total, width["squares"] / width["variance"], divided_by=size)
        variance = _in_16_bits(half_away(_in_16_bits(variance) + self.epsilon / width["variance"]))
        source, result = width["variance"], width["inverse_deviation"]
        root = looked_up_inverse_root(variance, input_step=source, output_step=result)
        product = _product_step(width["centred"], result, width["normalized"])
        normalized = _in_16_bits(rounded_twice(centred * root, product))
        if self.bits == self.INNER_BITS:
            return normalized * width["normalized"]
        low, high, bits = grids["normalized"]
        given = step_width(low, high, bits=int(bits))
        zero = round(-low / given)
        steps = rounded_twice(normalized, width["normalized"] / given)
        return ops.clip(steps, -zero, 2**bits - 1 - zero) * given

    def _inverse_root(self, variance: Tensor, training: bool | None) -> Tensor:
        """Of the variance on its grid: the file's answer, once both ranges are known."""
        source, result = self.quantizers["variance"], self.quantizers["inverse_deviation"]
        # A variance of less than half a step is zero on its grid; the gradient at zero is not finite.
        exact = ops.rsqrt(ops.maximum(variance, 1e-12))
        followed = result(exact, training=training)  # its range is that of the true ones
        if not (source.rounds and result.rounds):
            return followed
        ranges = ops.convert_to_tensor(source.maximum), ops.convert_to_tensor(result.maximum)
        known = ops.logical_and(ranges[0] > 0, ranges[1] > 0)
        steps = [ops.where(known, largest, 1.0) / (2 ** (self.INNER_BITS - 1) - 1) for largest in ranges]
        looked_up = tabulated_inverse_root(ops.cast(variance, "float32"), input_step=steps[0], output_step=steps[1])
        return ops.where(known, ops.cast(looked_up, followed.dtype), followed)

    def steps(
        self,
        inputs: Tensor,
        rounded: Callable[[str, Tensor], Tensor],
        *,
        inverse_root: Callable[[Tensor], Tensor] = ops.rsqrt,
    ) -> Tensor:
        """The normalised values, before scale and shift.

        Args:
            inputs: (n, ..., channels).
            rounded: `rounded(step, value)` is called for the result of each operator, and gives it back rounded.
            inverse_root: Of the variance.

        Returns:
            The same shape.
        """
        mean = rounded("mean", ops.mean(inputs, axis=-1, keepdims=True))
        centred = rounded("centred", ops.subtract(inputs, mean))
        if len(inputs.shape) == _SEQUENCES:
            # A token whose outlier is a hundred times the rest would leave the squares of the others no step.
            product = ops.matmul(ops.expand_dims(centred, -2), ops.expand_dims(centred, -1))
            squares = rounded("squares", ops.squeeze(product, -1))
            variance = rounded("variance", ops.multiply(squares, 1 / inputs.shape[-1]))
        else:
            squares = rounded("squares", ops.multiply(centred, centred))
            variance = rounded("variance", ops.mean(squares, axis=-1, keepdims=True))
        variance = rounded("variance", ops.add(variance, self.epsilon))
        inverse = rounded("inverse_deviation", inverse_root(variance))
        return rounded("normalized", ops.multiply(centred, inverse))

    def get_config(self) -> LayerConfig:
        config: LayerConfig = super().get_config()
        return config | {"bits": self.bits, "fused": self.fused, "settled": self.settled}


def _product_step(first: float, second: float, result: float) -> float:
    """A product's step in steps of the result; LiteRT's MUL computes it in float32."""
    return float(np.float32(first) * np.float32(second) / np.float32(result))


def _in_16_bits(steps: Tensor) -> Tensor:
    return ops.clip(steps, -LARGEST_OF_16 - 1, LARGEST_OF_16)
