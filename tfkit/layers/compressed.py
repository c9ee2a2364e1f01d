"""Keras layers whose kernel is masked (pruning) and rounded to a low-bit grid (quantisation) when they run."""

from typing import Any

import keras
from keras import ops

from tfkit.layers.addition import Add, Subtract
from tfkit.layers.hard_sigmoid import SettledHardSigmoid
from tfkit.layers.hard_silu import SettledHardSilu
from tfkit.layers.layer_normalization import QuantizedLayerNormalization
from tfkit.layers.precise_activation import PreciseActivation


class CompressedKernel:
    """What the compressed layers share: a mask and a fake quantiser between the stored kernel and the used one.

    Weights are symmetric per output channel with narrow range (-127..127 for 8 bits), the grid of LiteRT's
    quantisation specification (https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec);
    the largest weight of a channel sets its scale. Such a grid commutes with the scale of a BatchNorm behind the
    layer, so the layer is trained unfolded and the BatchNorm is folded at export.

    Args:
        weight_bits: 8 or 4 to round the kernel; None not to.
        masked: Whether the layer has a weight `mask` of the kernel's shape, ones and zeros, that it is multiplied by.
        *args, **kwargs: What the Keras layer takes.

    Attributes:
        enabled: False leaves the kernel unrounded; a mask still counts.
    """

    # The axes of the kernel that are not its output channels.
    reduced_axes: tuple[int, ...]

    def __init__(self, *args: Any, weight_bits: int | None = None, masked: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.weight_bits, self.masked = weight_bits, masked
        self.enabled = True

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)  # type: ignore[misc]
        if self.masked:
            shape = tuple(self.kernel.shape)  # type: ignore[attr-defined]
            self.mask = self.add_weight(name="mask", shape=shape, initializer="ones", trainable=False)  # type: ignore[attr-defined]

    def effective_kernel(self) -> Any:
        """The kernel as it is used: masked, and rounded to its grid.

        Example:
            >>> dense = CompressedDense(1, weight_bits=4, kernel_initializer="ones")
            >>> dense.build((None, 2))
            >>> np.asarray(dense.effective_kernel()).round(2).tolist()
            [[1.0], [1.0]]
        """
        return self._compress(self.kernel)  # type: ignore[attr-defined]

    def kernel_scale(self) -> Any:
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

    def _compress(self, kernel: Any) -> Any:
        if self.masked:
            kernel = kernel * ops.cast(self.mask, kernel.dtype)
        if self.weight_bits is None or not self.enabled:
            return kernel
        frozen = ops.stop_gradient(kernel)
        scale = _scale(frozen, self.reduced_axes, self.weight_bits)
        return kernel + (ops.round(frozen / scale) * scale - frozen)

    # Conv and Dense write their kernel and bias only, so that a mask would be lost; every layer's own way writes all.
    def save_own_variables(self, store: Any) -> None:
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        keras.layers.Layer.load_own_variables(self, store)

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        return config | {"weight_bits": self.weight_bits, "masked": self.masked}


class _RegularConvolution(CompressedKernel):
    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return super().convolution_op(inputs, self._compress(kernel))  # type: ignore[misc]


@keras.saving.register_keras_serializable(package="tfkit")
class CompressedConv2D(_RegularConvolution, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with a compressed kernel.

    Example:
        >>> CompressedConv2D(4, 3, weight_bits=8)(np.ones((1, 8, 8, 3), np.float32)).shape.as_list()
        [1, 6, 6, 4]
    """

    reduced_axes = (0, 1, 2)


class _OwnCall(CompressedKernel):
    def _product(self, inputs: Any, kernel: Any) -> Any:
        raise NotImplementedError

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        outputs = self._product(inputs, self._compress(ops.convert_to_tensor(self.kernel)))  # type: ignore[attr-defined]
        bias = self.bias  # type: ignore[attr-defined]
        if bias is not None:
            if getattr(self, "data_format", None) == "channels_first":
                bias = ops.reshape(bias, (1, -1, *[1] * self.rank))  # type: ignore[attr-defined]
            outputs = ops.add(outputs, bias)
        activation = self.activation  # type: ignore[attr-defined]
        return outputs if activation is None else activation(outputs)


@keras.saving.register_keras_serializable(package="tfkit")
class CompressedConv1D(_OwnCall, keras.layers.Conv1D):
    """`keras.layers.Conv1D` with a compressed kernel."""

    reduced_axes = (0, 1)

    # Conv1D has a call of its own, which does not go through `convolution_op`.
    def _product(self, inputs: Any, kernel: Any) -> Any:
        padding = self.padding
        if padding == "causal":
            before = [self.dilation_rate[0] * (self.kernel_size[0] - 1), 0]
            last = self.data_format == "channels_last"
            inputs, padding = ops.pad(inputs, [[0, 0], before, [0, 0]] if last else [[0, 0], [0, 0], before]), "valid"
        return ops.conv(
            inputs,
            kernel,
            strides=list(self.strides),
            padding=padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )


class _Depthwise(_OwnCall):
    def _product(self, inputs: Any, kernel: Any) -> Any:
        return ops.depthwise_conv(
            inputs,
            kernel,
            strides=self.strides,  # type: ignore[attr-defined]
            padding=self.padding,  # type: ignore[attr-defined]
            dilation_rate=self.dilation_rate,  # type: ignore[attr-defined]
            data_format=self.data_format,  # type: ignore[attr-defined]
        )


@keras.saving.register_keras_serializable(package="tfkit")
class CompressedDepthwiseConv1D(_Depthwise, keras.layers.DepthwiseConv1D):
    """`keras.layers.DepthwiseConv1D` with a compressed kernel."""

    reduced_axes = (0,)


@keras.saving.register_keras_serializable(package="tfkit")
class CompressedDepthwiseConv2D(_Depthwise, keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` with a compressed kernel."""

    reduced_axes = (0, 1)


class _Transposed(_OwnCall):
    def _product(self, inputs: Any, kernel: Any) -> Any:
        return ops.conv_transpose(
            inputs,
            kernel,
            strides=list(self.strides),  # type: ignore[attr-defined]
            padding=self.padding,  # type: ignore[attr-defined]
            output_padding=self.output_padding,  # type: ignore[attr-defined]
            dilation_rate=self.dilation_rate,  # type: ignore[attr-defined]
            data_format=self.data_format,  # type: ignore[attr-defined]
        )


@keras.saving.register_keras_serializable(package="tfkit")
class CompressedConv1DTranspose(_Transposed, keras.layers.Conv1DTranspose):
    """`keras.layers.Conv1DTranspose` with a compressed kernel."""

    reduced_axes = (0, 2)


@keras.saving.register_keras_serializable(package="tfkit")
class CompressedConv2DTranspose(_Transposed, keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` with a compressed kernel."""

    reduced_axes = (0, 1, 3)


@keras.saving.register_keras_serializable(package="tfkit")
class CompressedDense(_OwnCall, keras.layers.Dense):
    """`keras.layers.Dense` with a compressed kernel.

    Example:
        >>> dense = CompressedDense(2, weight_bits=4)
        >>> dense(np.ones((1, 3), np.float32)).shape[-1]
        2
    """

    reduced_axes = (0,)

    def _product(self, inputs: Any, kernel: Any) -> Any:
        return ops.matmul(inputs, kernel)


def compressed_class(layer: Any) -> type | None:
    """The compressed twin of a Keras layer's class.

    Args:
        layer: A layer, compressed already or not.

    Returns:
        The class that takes the layer's configuration; None when there is none.

    Example:
        >>> compressed_class(keras.layers.Dense(2)).__name__
        'CompressedDense'
    """
    if isinstance(layer, CompressedKernel):
        return type(layer)
    return _TWINS.get(type(layer))


def plain_class(layer: Any) -> type:
    """The Keras class that a compressed or settled layer stands for; a plain layer's own class.

    Example:
        >>> plain_class(CompressedDense(2)).__name__
        'Dense'
    """
    if isinstance(layer, QuantizedLayerNormalization):
        return keras.layers.LayerNormalization  # type: ignore[no-any-return]
    if isinstance(layer, CompressedKernel) and isinstance(layer, keras.layers.Embedding):
        return keras.layers.Embedding  # type: ignore[no-any-return]
    twins = _TWINS | _SETTLED
    return next((plain for plain, twin in twins.items() if isinstance(layer, twin)), type(layer))


_TWINS: dict[type, type] = {
    keras.layers.Conv1D: CompressedConv1D,
    keras.layers.Conv2D: CompressedConv2D,
    keras.layers.Conv1DTranspose: CompressedConv1DTranspose,
    keras.layers.Conv2DTranspose: CompressedConv2DTranspose,
    keras.layers.DepthwiseConv1D: CompressedDepthwiseConv1D,
    keras.layers.DepthwiseConv2D: CompressedDepthwiseConv2D,
    keras.layers.Dense: CompressedDense,
}

_SETTLED: dict[type, type | tuple[type, ...]] = {
    keras.layers.Add: Add,
    keras.layers.Subtract: Subtract,
    keras.layers.Activation: (PreciseActivation, SettledHardSigmoid, SettledHardSilu),
}


def _scale(kernel: Any, axes: tuple[int, ...], bits: int) -> Any:
    largest = ops.max(ops.abs(kernel), axis=axes, keepdims=True)
    return ops.where(largest > 0, largest, ops.ones_like(largest)) / (2 ** (bits - 1) - 1)
