"""Plain layers that a transformer encoder is opened into, one for each operator that Keras has no layer for."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypedDict, Unpack

import keras
from keras import ops

from tfkit.keras_types import LayerConfig, LayerOptions, Shape, Tensor
from tfkit.layers.compressed_kernel import CompressedKernel
from tfkit.layers.fake_quantization import FakeQuantize
from tfkit.layers.rounding import WIDE_BITS, round_to_steps
from tfkit.layers.tables import looked_up_softmax
from tfkit.layers.whole_numbers import (
    LARGEST_OF_16,
    PRECISE,
    rounded_coarsely,
    rounded_twice,
    step_width,
    straight_through,
)

if TYPE_CHECKING:
    import tensorflow as tf

# Adding or writing minus infinity would make a row of padding alone a row of NaN; this is keras's own number.
HIDDEN_SCORE = -1e9
# With eight bits a score of -1e9 leaves one step for all others. In a fine-tuned MiniLM the largest score of every row
# was above 0, and exp(-12) is 6e-6; -20 would take half of the steps of four layers in six.
BOUNDED_SCORE = -12.0
_SHARE = 1 / (LARGEST_OF_16 + 1)  # a step of LiteRT's 16-bit softmax


@keras.saving.register_keras_serializable(package="tfkit")
class AddPositions(keras.layers.Layer):
    """Add a learned row to each place of a sequence.

    Args:
        positions: Rows of the table: the longest sequence.
        bits: 8 or 16: the rows in use are rounded to the grid that the file holds them on, which spans the smallest
            and the largest of them; None not to.
        **kwargs: As for every Keras layer.

    Attributes:
        embeddings: float32 (positions, hidden).
        enabled: False leaves the rows unrounded.
    """

    def __init__(self, *, positions: int, bits: int | None = None, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.positions, self.bits = positions, bits
        self.enabled = True

    def build(self, input_shape: Shape) -> None:
        self.embeddings = self.add_weight(
            name="embeddings", shape=(self.positions, input_shape[-1]), initializer="uniform"
        )
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        length = inputs.shape[1] if inputs.shape[1] is not None else ops.shape(inputs)[1]
        return ops.add(inputs, self.rows(length, dtype=inputs.dtype))

    def rows(self, length: int | Tensor, *, dtype: "str | tf.DType" = "float32") -> Tensor:
        """The first rows of the table as they are added, (length, hidden)."""
        rows = ops.convert_to_tensor(self.embeddings)[:length]
        if self.bits is not None and self.enabled:
            still = ops.stop_gradient(rows)
            low, high = ops.min(still), ops.max(still)
            rows = round_to_steps(rows, low, high, bits=self.bits, fused=False)
        return ops.cast(rows, dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape)

    def get_config(self) -> LayerConfig:
        config: LayerConfig = super().get_config()
        return config | {"positions": self.positions, "bits": self.bits}


class SettledProduct(TypedDict):
    """What a settled product of 16 bits computes with.

    Attributes:
        right: Range of the second factor's grid.
        bits: Of that grid, 8 or 16.
        result: Range of the result's grid.
    """

    right: tuple[float, float]
    bits: int
    result: tuple[float, float]


@keras.saving.register_keras_serializable(package="tfkit")
class MatMul(keras.layers.Layer):
    """The product of two tensors over their last two axes: `layer(left, right)`.

    Once settled, a product of shares of 16 bits with a tensor of 8 or 16 is predicted in whole numbers, as LiteRT's
    kernel of 16 bits computes it: the second factor is brought to 16 bits, and so is the sum, by a multiplier of 15.

    Args:
        scale: What the product is multiplied by. In the weights of a projection it would make them smaller, and an
            optimiser with steps of one size would move them too far.
        settled: What `settle` has set; default nothing.
        **kwargs: As for every Keras layer.

    Attributes:
        enabled: False computes as Keras does.

    Example:
        >>> MatMul()(np.ones((1, 2, 3), np.float32), np.ones((1, 3, 2), np.float32)).shape.as_list()
        [1, 2, 2]
    """

    def __init__(
        self, *, scale: float = 1.0, settled: SettledProduct | None = None, **kwargs: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        self.scale = float(scale)
        self.settled = settled
        self.enabled = True

    def settle(self, settled: SettledProduct) -> None:
        """Predict as the file computes, until it is trained again; `left` are shares of 16 bits."""
        self.settled = settled

    def call(self, left: Tensor, right: Tensor, training: bool | None = None) -> Tensor:
        product = ops.matmul(left, right)
        if self.scale != 1.0:
            product = ops.multiply(product, ops.cast(self.scale, product.dtype))
        if training:
            self.settled = None  # what is trained on has other ranges
        if self.settled is None or not self.enabled or product.dtype != "float32":
            return product
        shares = ops.round(left * LARGEST_OF_16)
        return straight_through(product, _wide_product(shares, right, self.settled, scale=self.scale))

    def compute_output_shape(self, left_shape: Shape, right_shape: Shape) -> Shape:
        return (*left_shape[:-1], right_shape[-1])

    def get_config(self) -> LayerConfig:
        config: LayerConfig = super().get_config()
        return config | {"scale": self.scale, "settled": self.settled}


def _wide_product(shares: Tensor, right: Tensor, settled: SettledProduct, *, scale: float = 1.0) -> Tensor:
    """Shares in steps of the 16-bit softmax, times a tensor on its grid; on the result's 16-bit grid."""
    wide, result = (step_width(*real_range, bits=WIDE_BITS) for real_range in (settled["right"], settled["result"]))
    factors = shares, _widened(right, settled["right"], bits=settled["bits"])
    sums = ops.matmul(*(ops.cast(factor, PRECISE) for factor in factors))
    steps = rounded_coarsely(sums, _SHARE * wide * scale / result)
    return ops.cast(ops.clip(steps, -LARGEST_OF_16 - 1, LARGEST_OF_16), "float32") * result


def _widened(inputs: Tensor, real_range: tuple[float, float], *, bits: int) -> Tensor:
    """What lies on a grid, in steps of the 16-bit grid of the same range."""
    own, wide = (step_width(*real_range, bits=bits) for bits in (bits, WIDE_BITS))
    steps = ops.round(inputs * (1 / own))
    steps = steps if bits == WIDE_BITS else rounded_twice(steps, own / wide)
    return ops.clip(steps, -LARGEST_OF_16 - 1, LARGEST_OF_16)


@keras.saving.register_keras_serializable(package="tfkit")
class SettledSoftmax(keras.layers.Softmax):
    """Keras's softmax over the last axis until it is settled; then what LiteRT's 16-bit kernel answers.

    For attention over so many places that the shares have 16 bits: scores of 8 bits are brought to 16 first.

    Args:
        axis: As in Keras.
        scores: Range of the scores' grid of 8 bits, once settled; default nothing.
        **kwargs: As for every Keras layer.

    Attributes:
        enabled: False computes as Keras does.
    """

    stands_for = keras.layers.Softmax

    def __init__(
        self, axis: int = -1, *, scores: tuple[float, float] | None = None, **kwargs: Unpack[LayerOptions]
    ) -> None:
        super().__init__(axis, **kwargs)
        self.scores = scores
        self.enabled = True

    def settle(self, scores: tuple[float, float]) -> None:
        """Predict as the file computes, until it is trained again.

        Args:
            scores: Range of the scores' grid of 8 bits, which holds 0.
        """
        self.scores = scores

    def call(self, inputs: Tensor, mask: Tensor | None = None, training: bool | None = None) -> Tensor:
        shares = super().call(inputs, mask=mask)
        if training:
            self.scores = None  # what is trained on has other ranges
        if self.scores is None or not self.enabled or mask is not None or inputs.dtype != "float32":
            return shares
        steps = looked_up_softmax(
            _widened(inputs, self.scores, bits=8), input_step=step_width(*self.scores, bits=WIDE_BITS)
        )
        return straight_through(shares, steps * (1 / LARGEST_OF_16))

    def get_config(self) -> LayerConfig:
        config: LayerConfig = super().get_config()
        return config | {"scores": self.scores}


@keras.saving.register_keras_serializable(package="tfkit")
class AttentionMask(keras.layers.Layer):
    """Write one low score where a token is padding: `layer(scores, padding_mask)`.

    `scores` are (batch, heads, queries, keys), `padding_mask` is int32 (batch, keys), 0 for padding.

    Args:
        score: What padding gets; the softmax behind it makes zero of it.
        **kwargs: As for every Keras layer.
    """

    def __init__(self, *, score: float = HIDDEN_SCORE, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.score = float(score)

    def call(self, scores: Tensor, padding_mask: Tensor) -> Tensor:
        kept = ops.cast(ops.expand_dims(padding_mask, (1, 2)), "bool")
        return ops.where(kept, scores, ops.cast(self.score, scores.dtype))

    def compute_output_shape(self, scores_shape: Shape, padding_mask_shape: Shape) -> Shape:
        return tuple(scores_shape)

    def get_config(self) -> LayerConfig:
        config: LayerConfig = super().get_config()
        return config | {"score": self.score}


@keras.saving.register_keras_serializable(package="tfkit")
class ApproximateGelu(keras.layers.Layer):
    """GELU by a hyperbolic tangent, as BERT was trained with (Hendrycks and Gimpel 2016, arXiv:1606.08415).

    Example:
        >>> round(float(ApproximateGelu()(np.float32([1.0]))[0]), 2)
        0.84
    """

    def call(self, inputs: Tensor) -> Tensor:
        return ops.gelu(inputs, approximate=True)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape)

    # Keras's own way refuses a layer that was given a dtype policy.
    def get_config(self) -> LayerConfig:
        config: LayerConfig = super().get_config()
        return dict(config)


@keras.saving.register_keras_serializable(package="tfkit")
class MaskedMean(keras.layers.Layer):
    """The mean of the rows that are no padding: `layer(rows, padding_mask)`.

    Computed as a softmax over the mask and a product, which an integer file has operators for; its weights are
    then held in 16 bits, because 1/100 is two and a half of 256 steps.

    Args:
        rounded: Whether the values between its operators are rounded.
        score: What padding gets before the softmax.
        fused: As for `FakeQuantize`.
        settled: What `settle` has set; default nothing.
        **kwargs: As for every Keras layer.

    Attributes:
        enabled: False computes without rounding.
        quantizers: One for each value between the operators: scores, weights.
    """

    BITS = 16

    def __init__(
        self,
        *,
        rounded: bool = False,
        score: float = HIDDEN_SCORE,
        fused: bool = True,
        settled: SettledProduct | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.settled = settled
        self.rounded, self.score, self.fused = rounded, float(score), fused
        self.enabled = True
        ranges = {"scores": (self.score, -self.score), "weights": (-1.0, 1.0)} if rounded else {}
        self.quantizers = {
            step: FakeQuantize(bits=self.BITS, fixed_range=ends, fused=fused, name=f"{self.name}_{step}")
            for step, ends in ranges.items()
        }

    def build(self, rows_shape: Shape, padding_mask_shape: Shape) -> None:
        for quantizer in self.quantizers.values():
            quantizer.build((rows_shape[0], 1, rows_shape[1]))
        self.built = True

    def settle(self, settled: SettledProduct) -> None:
        """Predict as the file computes, until it is trained again; `right` are the rows."""
        self.settled = settled

    def call(self, rows: Tensor, padding_mask: Tensor, training: bool | None = None) -> Tensor:
        if not self.enabled or not self.rounded:
            return self.steps(rows, padding_mask, lambda step, value: value)
        mean = self.steps(rows, padding_mask, lambda step, value: self.quantizers[step](value))
        if training:
            self.settled = None  # what is trained on has other ranges
        if self.settled is None or rows.dtype != "float32":
            return mean
        hidden = ops.cast(ops.expand_dims(padding_mask, 1) == 0, "float32")
        step = step_width(self.score, -self.score, bits=self.BITS)
        shares = looked_up_softmax(hidden * -LARGEST_OF_16, input_step=step)
        return straight_through(mean, ops.reshape(_wide_product(shares, rows, self.settled), ops.shape(mean)))

    def steps(self, rows: Tensor, padding_mask: Tensor, rounded: Callable[[str, Tensor], Tensor]) -> Tensor:
        """The mean, operator by operator.

        Args:
            rows: (batch, length, hidden).
            padding_mask: int32 (batch, length).
            rounded: `rounded(step, value)` is called for the result of each operator, and gives it back rounded.

        Returns:
            (batch, hidden).
        """
        kept = ops.cast(ops.expand_dims(padding_mask, 1), "bool")
        zero, hidden = (ops.cast(value, rows.dtype) for value in (0.0, self.score))
        scores = rounded("scores", ops.where(kept, zero, hidden))
        weights = rounded("weights", ops.softmax(scores, axis=-1))
        return ops.reshape(ops.matmul(weights, rows), (-1, rows.shape[-1]))

    def compute_output_shape(self, rows_shape: Shape, padding_mask_shape: Shape) -> Shape:
        return (rows_shape[0], rows_shape[-1])

    def get_config(self) -> LayerConfig:
        config: LayerConfig = super().get_config()
        own = {"rounded": self.rounded, "score": self.score, "fused": self.fused, "settled": self.settled}
        return config | own


@keras.saving.register_keras_serializable(package="tfkit")
class TokenIds(keras.layers.Layer):
    """Hand token ids on; carries what an integer model of them must remember through saving and loading.

    Args:
        float_layers: Names of the model's layers that are left in float: nothing else tells them from rounded ones.
        **kwargs: As for every Keras layer.
    """

    def __init__(self, *, float_layers: Sequence[str] = (), **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.float_layers = tuple(float_layers)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs

    def compute_output_spec(self, inputs: Tensor) -> keras.KerasTensor:
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def get_config(self) -> LayerConfig:
        config: LayerConfig = super().get_config()
        return config | {"float_layers": list(self.float_layers)}


@keras.saving.register_keras_serializable(package="tfkit")
class CompressedEmbedding(CompressedKernel, keras.layers.Embedding):
    """`keras.layers.Embedding` with each row rounded to a grid of its own, as LiteRT's hybrid lookup holds it."""

    reduced_axes = (-1,)

    @property
    def kernel(self) -> Tensor:
        """The table."""
        return self.embeddings

    def call(self, inputs: Tensor) -> Tensor:
        # Only the rows looked up are rounded: a table of 30,000 rows would take as long as a layer.
        rows = ops.take(self.embeddings, ops.cast(inputs, "int32"), axis=0)
        return ops.cast(self._compress(rows), self.compute_dtype)
