"""Layers that round activations to the grid the exported file will hold them on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tfkit.keras_types import LayerConfig, LayerOptions, Shape, Tensor
from tfkit.layers.rounding import DEAD_WIDTH, WIDE_BITS, round_means, round_to_steps
from tfkit.layers.whole_numbers import (
    LARGEST_OF_16,
    Kernel,
    rounded_coarsely,
    rounded_sums,
    rounded_twice,
    step_width,
    straight_through,
)

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = [
    "OBSERVED_IMAGES",
    "OFF_THE_GRID",
    "SHARES",
    "FakeQuantize",
    "PixelGrid",
    "SettledSums",
    "round_means",
    "round_to_steps",
]

# The largest of this many images is, on average, their distribution's 90th percentile: the rule of calibration.
OBSERVED_IMAGES = 8
# A learned range is that much wider than what was seen. Behind a tensor on a given grid (pixels, a sigmoid's 1/256)
# the largest value is a step of it: the grids then have a ratio such as 85/64, at which whole levels lie half way
# between two steps, and a file's whole numbers round them to another side than float32 does.
OFF_THE_GRID = 1 + 2**-11
# What a share of a channel's range lies between, in steps of 1/127.
SHARES = (-128 / 127, 1.0)


class SettledSums(TypedDict):
    """What a settled `FakeQuantize` predicts by: arrays as text, the bytes of little-endian float32 in hexadecimal.

    Attributes:
        sum_steps: What a sum counts in, for each channel or for all; 0: not known.
        shift: What the inputs hold that the kernel adds as a whole number.
        ranges: Of each channel, or 1.
        kernel: How sums are rounded.
        range: Of the file's tensor: lowest, highest.
    """

    sum_steps: str
    shift: str
    ranges: str
    kernel: Kernel
    range: list[float]


# The arrays among them.
_ARRAYS: tuple[Literal["sum_steps", "shift"], ...] = ("sum_steps", "shift")


@keras.saving.register_keras_serializable(package="tfkit")
class FakeQuantize(keras.layers.Layer):
    """Round a tensor to the steps of a quantised one, with a straight-through gradient.

    Asymmetric per-tensor quantisation (Jacob et al. 2018, https://arxiv.org/abs/1712.05877): `2**bits` steps over a
    range that holds zero, the range's ends moved so that zero is a step. The range is set by calibration, follows a
    moving average while training (`moving_rate`), and stays still once that rate is 0.

    Args:
        bits: 8, or 16 (symmetric about zero, as LiteRT's 16x8 kernels want it).
        per_channel: Whether each channel of the last axis has a range of its own, symmetric about zero. No file holds
            such a tensor: it holds 8-bit shares of each channel's range and brings them back by a scale a channel, on
            the 16-bit grid of the largest range, to which this rounds at last.
        fixed_range: (lowest, highest), for outputs whose range is known, such as a softmax; default learned.
        fused: Whether to use TensorFlow's fake-quantisation op, the quickest without XLA; False: plain operations,
            the quickest with XLA. The same steps either way. Other backends than TensorFlow have plain ones only.
        moving_rate: Share of a new batch in the moving range, 0 to 1.
        settled: What `settle` has set, as text; default nothing.
        **kwargs: `name`, `dtype`: as for every Keras layer.

    Attributes:
        minimum, maximum: float32 scalars, the range, or (channels,) with `per_channel`. Zeros until calibrated.
        enabled: False lets every tensor pass as it is.

    Example:
        >>> rounded = FakeQuantize(fixed_range=(0.0, 255.0))(np.float32([[0.4, 0.6]]))
        >>> np.asarray(rounded).tolist()
        [[0.0, 1.0]]
    """

    def __init__(
        self,
        *,
        bits: int = 8,
        per_channel: bool = False,
        fixed_range: Sequence[float] | None = None,
        fused: bool = True,
        moving_rate: float = 0.05,
        settled: SettledSums | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.settled = settled
        self.bits = bits
        self.per_channel = per_channel
        self.fixed_range = None if fixed_range is None else (float(fixed_range[0]), float(fixed_range[1]))
        self.fused = fused
        self.initial_moving_rate = moving_rate
        self.enabled = True
        self._collected: list[tuple[Tensor, Tensor]] | None = None

    def build(self, input_shape: Shape) -> None:
        # Pooled tensors are rounded to their input's grid with the same layer, and must not narrow its range.
        self._observed_shape = tuple(input_shape[1:])
        if self.fixed_range is None:
            # Of several devices the first one sees what one device would: the first images of a batch.
            still = {"trainable": False, "dtype": "float32", "autocast": False, "aggregation": "only_first_replica"}
            shape = input_shape[-1:] if self.per_channel else ()
            self.minimum = self.add_weight(name="minimum", shape=shape, initializer="zeros", **still)
            self.maximum = self.add_weight(name="maximum", shape=shape, initializer="zeros", **still)
            rate = keras.initializers.Constant(self.initial_moving_rate)
            self.moving_rate = self.add_weight(name="moving_rate", shape=(), initializer=rate, **still)
        self.built = True

    def call(
        self, inputs: Tensor, training: bool | None = None, averaged: int | None = None, upwards: bool = False
    ) -> Tensor:
        """Round a tensor.

        Args:
            inputs: The tensor.
            training: Whether the range follows it.
            averaged: For means of values that lie on this grid: of how many at most. They are rounded as LiteRT's
                integer kernels round them; see `round_means`.
            upwards: Which of these kernels.
        """
        if self._collected is not None:
            axes = tuple(range(1, len(inputs.shape) - self.per_channel))
            self._collected.append((ops.min(inputs, axis=axes), ops.max(inputs, axis=axes)))
            return inputs
        if not self.enabled:
            return inputs
        if training:
            self.settled = None  # what is trained on has other ranges and weights
        if self.settled is not None and averaged is None and inputs.dtype == "float32":
            rounded = self._of_shares(inputs, self.settled) if self.per_channel else self._of_sums(inputs, self.settled)
            return straight_through(ops.clip(inputs, *self.settled["range"]), rounded)
        if self.fixed_range is not None and averaged is not None:
            return round_means(inputs, *self.fixed_range, bits=self.bits, averaged=averaged, upwards=upwards)
        if self.fixed_range is not None:
            return round_to_steps(inputs, *self.fixed_range, bits=self.bits, fused=self.fused)
        if training and self._is_observed(inputs.shape[1:]):
            self._follow(inputs)
        if self.per_channel:
            return self._on_channel_grids(inputs)
        if averaged is not None:
            ends = self.minimum, self.maximum
            return round_means(inputs, *ends, bits=self.bits, averaged=averaged, upwards=upwards)
        return round_to_steps(inputs, self.minimum, self.maximum, bits=self.bits, fused=self.fused)

    def settle(
        self,
        sum_steps: NDArray[np.float32] | np.float32,
        *,
        kernel: Kernel = "once",
        shift: NDArray[np.float64] | None = None,
        real_range: tuple[float, float] | None = None,
    ) -> None:
        """From now on, until it is trained again, predict by the sums of the file's kernel.

        Args:
            sum_steps: What a sum counts in, for each channel of the last axis or for all; 0: not known. With
                `per_channel`, as a share of each channel's range.
            kernel: How it rounds them.
            shift: What the inputs hold that the kernel adds as a whole number; (channels,) or (1,), default nothing.
            real_range: Of the file's tensor; default the layer's.
        """
        self.settled = {
            "sum_steps": _as_text(np.atleast_1d(sum_steps)),
            "shift": _as_text(np.zeros(1) if shift is None else shift),
            "ranges": _as_text(self.channel_ranges() if self.per_channel else np.ones(1)),
            "kernel": kernel,
            "range": list(real_range or self.real_range()),
        }

    def _of_sums(self, inputs: Tensor, settled: SettledSums) -> Tensor:
        """Find the whole numbers that float32 has come near, and round them as the kernel does."""
        low, high = settled["range"]
        step = step_width(low, high, bits=self.bits)
        if self.bits == WIDE_BITS:
            return _in_16_bits(self._steps_of_sums(inputs, settled, step)) * step
        zero = int(-low / step + 0.5)
        return ops.clip(self._steps_of_sums(inputs, settled, step), -zero, 255 - zero) * step

    def _of_shares(self, inputs: Tensor, settled: SettledSums) -> Tensor:
        """Shares of each channel's range in 8 bits, then in 16, then the channels on one grid of 16 bits."""
        ranges = np.frombuffer(bytes.fromhex(settled["ranges"]), "<f4")
        share, wide = (step_width(*SHARES, bits=bits) for bits in (8, WIDE_BITS))
        result = step_width(*settled["range"], bits=WIDE_BITS)
        shares = ops.clip(self._steps_of_sums(inputs / ops.convert_to_tensor(ranges), settled, share), -128, 127)
        widened = _in_16_bits(rounded_twice(shares, share / wide))
        weight_steps = (ranges / np.float32(127)).astype(np.float64)
        steps = _in_16_bits(rounded_coarsely(widened * 127, wide * weight_steps / result))
        return ops.cast(steps, "float32") * result

    @staticmethod
    def _steps_of_sums(inputs: Tensor, settled: SettledSums, step: float) -> Tensor:
        sum_steps, shift = (np.frombuffer(bytes.fromhex(settled[name]), "<f4") for name in _ARRAYS)
        known = sum_steps > 0
        counted = np.where(known, sum_steps, np.float32(1))
        sums = ops.round((inputs - ops.convert_to_tensor(shift)) * ops.convert_to_tensor(1 / counted))
        sums = sums + ops.convert_to_tensor(np.rint(shift * (1 / counted)))
        steps = rounded_sums(sums, counted, step, kernel=settled["kernel"])
        if known.all():
            return steps
        return ops.where(ops.convert_to_tensor(known), steps, ops.floor(inputs * (1 / step) + 0.5))

    def _on_channel_grids(self, inputs: Tensor) -> Tensor:
        ranges = ops.maximum(-ops.convert_to_tensor(self.minimum), self.maximum)
        rounded = round_to_steps(inputs, -ranges, ranges, bits=self.bits, fused=False, symmetric=True)
        largest = ops.max(ranges)
        return round_to_steps(rounded, -largest, largest, bits=WIDE_BITS, fused=self.fused)

    def _is_observed(self, shape: "Shape | tf.TensorShape") -> bool:
        pairs = zip(shape, self._observed_shape, strict=True) if len(shape) == len(self._observed_shape) else [(0, 1)]
        return all(size == built or None in (size, built) for size, built in pairs)

    def _follow(self, inputs: Tensor) -> None:
        seen = ops.cast(ops.stop_gradient(inputs[:OBSERVED_IMAGES]), "float32")
        axes = tuple(range(len(seen.shape) - self.per_channel))
        for end, value in (
            (self.minimum, ops.minimum(ops.min(seen, axis=axes), 0.0)),
            (self.maximum, ops.maximum(ops.max(seen, axis=axes), 0.0)),
        ):
            end.assign(end + self.moving_rate * (OFF_THE_GRID * value - end))

    def step(self) -> float:
        """Width of a step of the grid that results lie on, as the file holds it."""
        return step_width(*self.real_range(), bits=self.result_bits)

    @property
    def result_bits(self) -> int:
        """Bits of the grid that results lie on: 16 with `per_channel`."""
        return WIDE_BITS if self.per_channel else self.bits

    def real_range(self) -> tuple[float, float]:
        """The range in use, which holds 0; symmetric for 16 bits, the largest one with `per_channel`."""
        if self.fixed_range is not None:
            low, high = self.fixed_range
        elif self.per_channel:
            return -float(self.channel_ranges().max()), float(self.channel_ranges().max())
        else:
            low, high = (float(ops.convert_to_numpy(end)) for end in (self.minimum, self.maximum))
        low, high = min(low, 0.0), max(high, 0.0)
        if high - low < DEAD_WIDTH:
            high = 1.0
        return (-max(-low, high), max(-low, high)) if self.bits == WIDE_BITS else (low, high)

    def channel_ranges(self) -> NDArray[np.float32]:
        """With `per_channel`: the end of each channel's range, which begins at its negative; (channels,), above 0."""
        low, high = (np.asarray(ops.convert_to_numpy(end)) for end in (self.minimum, self.maximum))
        ranges = np.maximum(-low, high)
        return np.where(ranges > 0, ranges, 1.0).astype(np.float32)

    @property
    def rounds(self) -> bool:
        """Whether tensors are rounded at present: the layer is switched on and not collecting extremes."""
        return self.enabled and self._collected is None

    def start_collecting(self) -> None:
        """Let tensors pass as they are from now on, and keep each image's extremes: run the model eagerly."""
        self._collected = []

    def take_collected(self) -> list[tuple[Tensor, Tensor]]:
        """Give the extremes kept, (minima (n,), maxima (n,)) for each batch, and go back to rounding."""
        collected, self._collected = self._collected or [], None
        return collected

    def get_config(self) -> LayerConfig:
        own = {"bits": self.bits, "per_channel": self.per_channel, "fixed_range": self.fixed_range, "fused": self.fused}
        config: LayerConfig = super().get_config()
        return config | own | {"moving_rate": self.initial_moving_rate, "settled": self.settled}

    def compute_output_spec(
        self, inputs: Tensor, training: bool | None = None, averaged: int | None = None, upwards: bool = False
    ) -> keras.KerasTensor:
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)


@keras.saving.register_keras_serializable(package="tfkit")
class PixelGrid(keras.layers.Layer):
    """Hold scaled pixels on the grid of raw ones, so that the exported file takes raw uint8 pixels.

    For an input that a model begins with by scaling to `scale * pixel + offset`. The zero point of a quantised
    input is a whole number, `-offset / scale` seldom is: (127.5 for the range -1..1). The layer gives
    `scale * (pixel - zero_point)`, what the file computes with, up to half a grey level from what the model was
    trained with before.

    Args:
        scale: Real value of one grey level.
        offset: Real value of a black pixel before the layer.
        float_layers: Names of the model's layers that are left in float: the input's layer carries them through
            saving and loading, because nothing else in the model tells them from rounded ones.
        **kwargs: As for every Keras layer.
    """

    def __init__(
        self, *, scale: float, offset: float, float_layers: Sequence[str] = (), **kwargs: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = float(scale), float(offset)
        self.float_layers = tuple(float_layers)
        self.enabled = True

    @property
    def zero_point(self) -> int:
        """The grey level that stands for zero, 0 to 255."""
        return min(255, max(0, int(-self.offset / self.scale + 0.5)))

    @property
    def real_range(self) -> tuple[float, float]:
        """Real values of pixels 0 and 255 after the layer."""
        return -self.scale * self.zero_point, self.scale * (255 - self.zero_point)

    def step(self) -> float:
        """Width of a step of the grid, as the file holds it."""
        return step_width(*self.real_range, bits=8)

    def call(self, inputs: Tensor) -> Tensor:
        if not self.enabled:
            return inputs
        pixels = ops.clip(ops.round((ops.cast(inputs, "float32") - self.offset) / self.scale), 0.0, 255.0)
        return ops.cast(self.scale * (pixels - self.zero_point), inputs.dtype)

    def get_config(self) -> LayerConfig:
        own = {"scale": self.scale, "offset": self.offset, "float_layers": list(self.float_layers)}
        config: LayerConfig = super().get_config()
        return config | own

    def compute_output_spec(self, inputs: Tensor) -> keras.KerasTensor:
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)


def _as_text(numbers: NDArray[np.float32] | NDArray[np.float64]) -> str:
    return numbers.astype("<f4").tobytes().hex()


def _in_16_bits(steps: Tensor) -> Tensor:
    return ops.clip(steps, -LARGEST_OF_16 - 1, LARGEST_OF_16)
