"""Layer normalisation in the steps that an integer file computes it in."""

from typing import Any

import keras
from keras import ops

from tfkit.layers.fake_quantization import FakeQuantize
from tfkit.layers.inverse_root import tabulated_inverse_root

# The rank of (n, length, channels): there the squares are summed before they are rounded. LiteRT multiplies four axes.
_SEQUENCES = 3


@keras.saving.register_keras_serializable(package="tfkit")
class QuantizedLayerNormalization(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over the last axis with every value between its operators rounded.

    The values between are held in 16 bits, in an 8-bit model too: a variance of a hundredth of the largest one is
    two of 256 steps, and its inverse root then a guess. LiteRT has 16-bit kernels for every operator in here; that of
    the inverse root is far from exact, and computed as it is (see `tabulated_inverse_root`).

    Args:
        bits: Of the normalised values, what the layer's scale and shift take.
        fused: As for `FakeQuantize`.
        *args, **kwargs: What the Keras layer takes.

    Attributes:
        enabled: False computes as Keras does.
        quantizers: One for each value between the operators, in order: mean, centred, squares (of sequences:
            their sum), variance, inverse deviation, normalised.
    """

    STEPS = ("mean", "centred", "squares", "variance", "inverse_deviation", "normalized")
    INNER_BITS = 16

    def __init__(self, *args: Any, bits: int = 8, fused: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bits, self.fused = bits, fused
        self.enabled = True
        self.quantizers = {
            step: FakeQuantize(
                bits=bits if step == self.STEPS[-1] else self.INNER_BITS, fused=fused, name=f"{self.name}_{step}"
            )
            for step in self.STEPS
        }

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        for step, quantizer in self.quantizers.items():
            per_position = step in ("mean", "variance", "inverse_deviation")
            per_position |= step == "squares" and len(input_shape) == _SEQUENCES
            quantizer.build((*input_shape[:-1], 1) if per_position else input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not self.enabled:
            return super().call(inputs)

        def rounded(step: str, value: Any) -> Any:
            return value if step == "inverse_deviation" else self.quantizers[step](value, training=training)

        normalized = self.steps(inputs, rounded, inverse_root=lambda value: self._inverse_root(value, training))
        outputs = normalized * ops.cast(self.gamma, normalized.dtype) if self.scale else normalized
        return outputs + ops.cast(self.beta, outputs.dtype) if self.center else outputs

    def _inverse_root(self, variance: Any, training: bool | None) -> Any:
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

    def steps(self, inputs: Any, rounded: Any, *, inverse_root: Any = ops.rsqrt) -> Any:
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

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()
        return config | {"bits": self.bits, "fused": self.fused}
