"""Keras layers whose kernel is masked (pruning) and rounded to a low-bit grid (quantisation) when they run."""

import keras
from keras import ops

from tfkit.keras_types import Tensor
from tfkit.layers.compressed_kernel import CompressedKernel, WholeKernel


@keras.saving.register_keras_serializable(package="tfkit")
class CompressedConv2D(WholeKernel, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with a compressed kernel.

    Example:
        >>> CompressedConv2D(4, 3, weight_bits=8)(np.ones((1, 8, 8, 3), np.float32)).shape.as_list()
        [1, 6, 6, 4]
    """

    reduced_axes = (0, 1, 2)

    def _product(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        return self.convolution_op(inputs, kernel)


@keras.saving.register_keras_serializable(package="tfkit")
class CompressedConv1D(WholeKernel, keras.layers.Conv1D):
    """`keras.layers.Conv1D` with a compressed kernel."""

    reduced_axes = (0, 1)

    # Conv1D has a call of its own, which does not go through `convolution_op`.
    def _product(self, inputs: Tensor, kernel: Tensor) -> Tensor:
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


class _Depthwise(WholeKernel):
    input_axis = None

    def _product(self, inputs: Tensor, kernel: Tensor) -> Tensor:
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


class _Transposed(WholeKernel):
    input_axis = -1

    def _product(self, inputs: Tensor, kernel: Tensor) -> Tensor:
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
class CompressedDense(WholeKernel, keras.layers.Dense):
    """`keras.layers.Dense` with a compressed kernel.

    Example:
        >>> dense = CompressedDense(2, weight_bits=4)
        >>> dense(np.ones((1, 3), np.float32)).shape[-1]
        2
    """

    reduced_axes = (0,)

    def _product(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        return ops.matmul(inputs, kernel)


def compressed_class(layer: keras.Layer) -> type | None:
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


def plain_class(layer: keras.Layer) -> type:
    """The Keras class that a compressed or settled layer stands for; a plain layer's own class.

    A settled layer's class names it in the attribute `stands_for`.

    Example:
        >>> plain_class(CompressedDense(2)).__name__
        'Dense'
    """
    if isinstance(layer, CompressedKernel):
        bases = type(layer).__mro__
        return next(
            base for base in bases if issubclass(base, keras.layers.Layer) and not issubclass(base, CompressedKernel)
        )
    plain: type = getattr(type(layer), "stands_for", type(layer))
    return plain


_TWINS: dict[type, type] = {
    keras.layers.Conv1D: CompressedConv1D,
    keras.layers.Conv2D: CompressedConv2D,
    keras.layers.Conv1DTranspose: CompressedConv1DTranspose,
    keras.layers.Conv2DTranspose: CompressedConv2DTranspose,
    keras.layers.DepthwiseConv1D: CompressedDepthwiseConv1D,
    keras.layers.DepthwiseConv2D: CompressedDepthwiseConv2D,
    keras.layers.Dense: CompressedDense,
}
