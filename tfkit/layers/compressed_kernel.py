"""What layers share whose kernel is masked (pruning) and rounded to a low-bit grid (quantisation) when they run."""

import itertools
from typing import TYPE_CHECKING, Literal, TypedDict

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tfkit.keras_types import LayerConfig, Shape, Tensor
from tfkit.layers.whole_numbers import Kernel, rounded_sums, straight_through

if TYPE_CHECKING:
    from keras.src.saving.saving_lib import H5IOStore

# The settings that a compressed layer has beside Keras's.
OWN_SETTINGS = ("weight_bits", "masked", "settled")
# Float32 holds whole numbers up to here: a sum of smaller ones is the same in any order.
_EXACT = 2**24
_LARGEST_INPUT = 255  # of 8 bits, from any zero point


class SettledKernel(TypedDict):
    """What a settled `WholeKernel` predicts by: arrays as text, their little-endian bytes in hexadecimal.

    Attributes:
        counted: What a sum of the file's kernel counts in, float32 for each output channel; 0: not known.
        scale, shift: float32, of the normalisation behind the layer.
        bias: int32, what the kernel adds to each sum.
        input_step: Width of a step of the inputs' grid.
        step: Width of a step of the result's.
        kernel: How sums are rounded.
        parts: Into how many parts of the input channels the sums are cut.
    """

    counted: str
    scale: str
    shift: str
    bias: str
    input_step: float
    step: float
    kernel: Kernel
    parts: int


# The arrays of floats among them.
_FLOATS: tuple[Literal["counted", "scale", "shift"], ...] = ("counted", "scale", "shift")


class CompressedKernel:
    """What the compressed layers share: a mask and a fake quantiser between the stored kernel and the used one.

    Weights are symmetric per output channel with narrow range (-127..127 for 8 bits), the grid of LiteRT's
    quantisation specification (https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec);
    the largest weight of a channel sets its scale. Such a grid commutes with the scale of a BatchNorm behind the
    layer, so the layer is trained unfolded and the BatchNorm is folded at export.

    Args:
        weight_bits: 8 or 4 to round the kernel; None not to.
        masked: Whether the layer has a weight `mask` of the kernel's shape, ones and zeros, that it is multiplied by.
        settled: What `settle` has set, as text; default nothing.
        *args, **kwargs: What the Keras layer takes.

    Attributes:
        enabled: False leaves the kernel unrounded; a mask still counts.
    """

    # The axes of the kernel that are not its output channels.
    reduced_axes: tuple[int, ...]
    # The axis of its input channels; None where each of them has outputs of its own.
    input_axis: int | None = -2

    def __init__(
        self,
        *args: object,
        weight_bits: int | None = None,
        masked: bool = False,
        settled: SettledKernel | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.weight_bits, self.masked, self.settled = weight_bits, masked, settled
        self.enabled = True

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)  # type: ignore[misc]
        if self.masked:
            shape = tuple(self.kernel.shape)  # type: ignore[attr-defined]
            self.mask = self.add_weight(name="mask", shape=shape, initializer="ones", trainable=False)  # type: ignore[attr-defined]

    def effective_kernel(self) -> Tensor:
        """The kernel as it is used: masked, and rounded to its grid.

        Example:
            >>> dense = CompressedDense(1, weight_bits=4, kernel_initializer="ones")
            >>> dense.build((None, 2))
            >>> np.asarray(dense.effective_kernel()).round(2).tolist()
            [[1.0], [1.0]]
        """
        return self._compress(self.kernel)  # type: ignore[attr-defined]

    def kernel_scale(self) -> Tensor:
        """Width of a step for each output channel, the kernel's rank kept; 1 for a channel of zeros.

        Example:
            >>> dense = CompressedDense(1, weight_bits=4, kernel_initializer="ones")
            >>> dense.build((None, 2))
            >>> round(float(dense.kernel_scale()[0, 0]) * 7, 3)
            1.0
        """
        kernel = ops.convert_to_tensor(self.kernel)  # type: ignore[attr-defined]
        kernel = kernel * self.mask if self.masked else kernel
        return _scale(kernel, self.reduced_axes, self.weight_bits or 8)

    def hold_steps(self) -> None:
        """Put the stored kernel on its grid. A weight half way between two steps would be either, as it is compiled."""
        used, width = (ops.convert_to_numpy(array) for array in (self.effective_kernel(), self.kernel_scale()))
        self.kernel.assign(np.rint(used.astype(np.float64) / width) * width)  # type: ignore[attr-defined]

    def _compress(self, kernel: Tensor) -> Tensor:
        if self.masked:
            kernel = kernel * ops.cast(self.mask, kernel.dtype)
        if self.weight_bits is None or not self.enabled:
            return kernel
        frozen = ops.stop_gradient(kernel)
        scale = _scale(frozen, self.reduced_axes, self.weight_bits)
        return kernel + (ops.round(frozen / scale) * scale - frozen)

    # Conv and Dense write their kernel and bias only, so that a mask would be lost; every layer's own way writes all.
    def save_own_variables(self, store: "H5IOStore") -> None:
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: "H5IOStore") -> None:
        keras.layers.Layer.load_own_variables(self, store)

    def get_config(self) -> LayerConfig:
        config: LayerConfig = super().get_config()  # type: ignore[misc]
        return config | {name: getattr(self, name) for name in OWN_SETTINGS}


class WholeKernel(CompressedKernel):
    """A layer that can predict in the whole numbers of the file's kernel.

    Its inputs and weights are then whole numbers, and so are its sums, to the last one: float32 holds those below
    2**24, and longer sums are added up in parts. What the kernel makes of them in steps of its result is what the
    layer gives, in such a way that the normalisation behind it, which the file's kernel holds, brings it back to
    whole steps. Scaled inputs and weights, as layers train with, have sums that are a little off a whole number.

    Example:
        >>> CompressedDense(2, weight_bits=8).settled is None  # until tfkit.compression.settle_biases
        True

    Source: `xnn_init_qs8_qc8w_conv_minmax_fp32_scalar_params` of XNNPACK's `src/microparams-init.c` for `once`;
    `rounded_twice` for the others.
    """

    use_bias: bool
    bias: keras.Variable | None

    def _product(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        raise NotImplementedError

    def settle(
        self,
        input_step: float,
        *,
        counted: NDArray[np.float32],
        bias: NDArray[np.float64],
        scale: NDArray[np.float64],
        shift: NDArray[np.float64],
        step: float,
        kernel: Kernel,
    ) -> bool:
        """Predict as the file's kernel does, from now on, until it is trained again.

        Args:
            input_step: Width of a step of the inputs' grid, of 8 bits.
            counted: What a sum of the file's kernel counts in, for each output channel; 0: not known.
            bias: What that kernel adds to each sum, whole.
            scale, shift: Of the normalisation behind the layer, for each output channel.
            step: Width of a step of the grid that the result is rounded to, of 8 bits.
            kernel: How the sums are rounded.

        Returns:
            False where sums cannot be kept whole; nothing is settled then.
        """
        parts = self._parts_of_sums()
        if parts is None:
            return False
        channels = len(counted)
        self.settled = {
            "counted": _as_text(counted, channels, "<f4"),
            "scale": _as_text(scale, channels, "<f4"),
            "shift": _as_text(shift, channels, "<f4"),
            "bias": _as_text(bias, channels, "<i4"),
            "input_step": input_step,
            "step": step,
            "kernel": kernel,
            "parts": parts,
        }
        return True

    def _parts_of_sums(self) -> int | None:
        """Into how many parts of the input channels sums must be cut to be exact."""
        runs_activation = self.activation not in (None, keras.activations.linear)  # type: ignore[attr-defined]
        if runs_activation or getattr(self, "data_format", "channels_last") != "channels_last":
            return None
        largest = np.abs(np.rint(ops.convert_to_numpy(self.effective_kernel() / self.kernel_scale()))) * _LARGEST_INPUT
        if self.input_axis is None or getattr(self, "groups", 1) != 1:
            return 1 if largest.sum(axis=self.reduced_axes).max() < _EXACT else None
        given = self.input_axis % largest.ndim
        sums = largest.sum(axis=tuple(axis for axis in self.reduced_axes if axis != given))
        sums = sums.T if self.input_axis == -1 else sums  # (input channels, output channels)
        for parts in range(1, len(sums) + 1):
            if max(some.sum(axis=0).max() for some in np.array_split(sums, parts)) < _EXACT:
                return parts
        return None

    def _predicted(self, inputs: Tensor, told: SettledKernel) -> Tensor:
        width = ops.stop_gradient(self.kernel_scale())
        weights = self.effective_kernel() / width
        kernel = straight_through(weights, ops.round(weights))
        steps = inputs * (1 / told["input_step"])
        whole = straight_through(steps, ops.round(steps))
        counted, scale, shift = (np.frombuffer(bytes.fromhex(told[name]), "<f4") for name in _FLOATS)
        total, sums = 0.0, np.frombuffer(bytes.fromhex(told["bias"]), "<i4")
        for some, taken in self._cut(whole, kernel, told["parts"]):
            part = self._product(some, taken)
            total, sums = total + part, sums + np.where(scale < 0, -1, 1).astype(np.int32) * ops.cast(part, "int32")
        plain = total * ops.reshape(width, (-1,)) * told["input_step"]
        plain = plain if self.bias is None else plain + self.bias
        known = counted > 0
        rounded = rounded_sums(sums, np.where(known, counted, np.float32(1)), told["step"], kernel=told["kernel"])
        behind = np.where(known, scale, np.float32(1))
        exact = (rounded * told["step"] - ops.convert_to_tensor(shift)) / ops.convert_to_tensor(behind)
        return straight_through(plain, ops.where(ops.convert_to_tensor(known), exact, plain))

    def _cut(self, inputs: Tensor, kernel: Tensor, parts: int) -> list[tuple[Tensor, Tensor]]:
        if parts == 1 or self.input_axis is None:
            return [(inputs, kernel)]
        ends = [0, *np.cumsum([len(some) for some in np.array_split(np.arange(inputs.shape[-1]), parts)]).tolist()]
        last = self.input_axis == -1
        return [
            (inputs[..., start:end], kernel[..., start:end] if last else kernel[..., start:end, :])
            for start, end in itertools.pairwise(ends)
        ]

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if training:
            self.settled = None  # what is trained on has other weights
        if self.settled is not None and self.enabled and inputs.dtype == "float32":
            return self._predicted(inputs, self.settled)
        outputs = self._product(inputs, self._compress(ops.convert_to_tensor(self.kernel)))  # type: ignore[attr-defined]
        bias = self.bias
        if bias is not None:
            if getattr(self, "data_format", None) == "channels_first":
                bias = ops.reshape(bias, (1, -1, *[1] * self.rank))  # type: ignore[attr-defined]
            outputs = ops.add(outputs, bias)
        activation = self.activation  # type: ignore[attr-defined]
        return outputs if activation is None else activation(outputs)


def _as_text(numbers: NDArray[np.float32] | NDArray[np.float64], channels: int, dtype: Literal["<f4", "<i4"]) -> str:
    return np.broadcast_to(numbers, channels).astype(dtype).tobytes().hex()


def _scale(kernel: Tensor, axes: tuple[int, ...], bits: int) -> Tensor:
    largest = ops.max(ops.abs(kernel), axis=axes, keepdims=True)
    return ops.where(largest > 0, largest, ops.ones_like(largest)) / (2 ** (bits - 1) - 1)
