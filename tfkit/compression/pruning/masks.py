"""Which weights are pruned: masks of ones and zeros by the weights' magnitudes."""

from collections.abc import Sequence

import keras
import numpy as np

from tfkit.layers import CompressedKernel, plain_class


def masked_layers(model: keras.Model) -> list[keras.Layer]:
    """The layers of a model that have a mask, nested models' too, each once, in order.

    Example:
        >>> [layer.name for layer in masked_layers(prunable(model))][-1]
        'logits'
    """
    found: dict[int, keras.Layer] = {}
    for layer in model.layers:
        if isinstance(layer, CompressedKernel) and layer.masked:
            found[id(layer)] = layer
        elif hasattr(layer, "layers"):
            found |= {id(inner): inner for inner in masked_layers(layer)}
    return list(found.values())


def input_axis(layer: keras.Layer) -> int:
    """The axis of a layer's kernel that runs over its input channels."""
    return -1 if issubclass(plain_class(layer), (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose)) else -2


def input_channels(layer: keras.Layer) -> int:
    """How many input channels each output of a layer is made from."""
    depthwise = issubclass(plain_class(layer), (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D))
    return 1 if depthwise else int(layer.kernel.shape[input_axis(layer)])


def magnitude_masks(kernels: Sequence[np.ndarray], sparsity: float) -> list[np.ndarray]:
    """Masks that put the smallest weights of several kernels together to zero.

    Args:
        kernels: float arrays of any shapes; one for a budget of its own, all of a model's for a global one.
        sparsity: Share of zeros over all of them, in [0, 1). The count is exact, to a whole weight.

    Returns:
        float32 masks of the kernels' shapes.

    Example:
        >>> magnitude_masks([np.float32([[1, -3], [2, 0.5]])], 0.5)[0].tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    magnitudes = np.concatenate([np.abs(kernel).ravel() for kernel in kernels])
    mask = np.ones(magnitudes.size, np.float32)
    zeros = round(sparsity * magnitudes.size)
    if zeros:
        mask[np.argpartition(magnitudes, zeros - 1)[:zeros]] = 0.0
    ends = np.cumsum([kernel.size for kernel in kernels])[:-1]
    return [part.reshape(kernel.shape) for part, kernel in zip(np.split(mask, ends), kernels, strict=True)]


def n_of_m_mask(kernel: np.ndarray, *, n: int, m: int, axis: int) -> np.ndarray:
    """A mask that keeps the n largest of each m consecutive weights along an axis.

    Args:
        kernel: A float array.
        n: Weights kept in a group.
        m: Weights in a group; divides the axis's length.
        axis: The axis over input channels.

    Returns:
        A float32 mask of the kernel's shape.

    Example:
        >>> n_of_m_mask(np.float32([1, -3, 2, 0.5]), n=2, m=4, axis=0).tolist()
        [0.0, 1.0, 1.0, 0.0]
    """
    last = np.moveaxis(np.abs(kernel), axis, -1)
    groups = last.reshape(-1, m)
    mask = np.zeros(groups.shape, np.float32)
    np.put_along_axis(mask, np.argsort(-groups, axis=1, kind="stable")[:, :n], 1.0, axis=1)
    return np.moveaxis(mask.reshape(last.shape), -1, axis)
