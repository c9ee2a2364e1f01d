"""How many of a model's weights are zero."""

from dataclasses import dataclass

import keras
import numpy as np

from tfkit.layers import CompressedKernel


@dataclass(frozen=True)
class LayerSparsity:
    """A layer with a kernel.

    Attributes:
        layer: Its name.
        kind: Its class.
        weights: Weights in its kernel.
        zeros: Of these, how many are zero when the layer runs: masked, and rounded to zero by quantisation.
        masked: How many its mask takes away; None for a layer without one.
    """

    layer: str
    kind: str
    weights: int
    zeros: int
    masked: int | None

    @property
    def share(self) -> float:
        """Share of zeros, 0 to 1."""
        return self.zeros / max(1, self.weights)


@dataclass(frozen=True)
class SparsityReport:
    """Zeros in a model's kernels.

    Unstructured zeros make the compressed file smaller and nothing else: LiteRT runs them at the speed of any other
    number (see `tfkit.artifacts.compressed_bytes`).

    Attributes:
        layers: One row for each layer with a kernel, in order.
        parameters: All the model's weights but masks and quantisation ranges: biases, BatchNorm and so on too.

    Example:
        >>> report = sparsity(prunable(model))
        >>> report.masked_share  # nothing was trained yet
        0.0
    """

    layers: tuple[LayerSparsity, ...]
    parameters: int

    @property
    def masked_share(self) -> float:
        """Share of weights that masks take away, over the layers that have one; 0 without any."""
        pruned = [(row.masked, row.weights) for row in self.layers if row.masked is not None]
        return sum(masked for masked, _ in pruned) / max(1, sum(weights for _, weights in pruned))

    @property
    def share(self) -> float:
        """Share of zeros among all kernels' weights.

        Example:
            >>> round(sparsity(model).share, 2)
            0.0
        """
        return sum(row.zeros for row in self.layers) / max(1, sum(row.weights for row in self.layers))

    @property
    def share_of_parameters(self) -> float:
        """Share of all parameters that are zeros in kernels."""
        return sum(row.zeros for row in self.layers) / max(1, self.parameters)


def sparsity(model: keras.Model) -> SparsityReport:
    """Count the zeros in a model's kernels, as the layers use them.

    Args:
        model: A functional, sequential or nested model; compressed or plain.

    Returns:
        The report: layers with a `kernel` weight of two axes or more.

    Example:
        >>> sparsity(pruned).masked_share  # doctest: +SKIP
        0.8
    """
    layers = [layer for layer in _leaves(model) if _kernel_shape(layer)]
    own = {id(weight) for layer in layers for weight in [getattr(layer, "mask", None)] if weight is not None}
    ranges = ("minimum", "maximum", "moving_rate")
    counted = [weight for weight in model.weights if id(weight) not in own and weight.name not in ranges]
    return SparsityReport(
        layers=tuple(_row(layer) for layer in layers),
        parameters=sum(int(np.prod(weight.shape)) for weight in counted),
    )


def _leaves(model: keras.Model) -> list[keras.Layer]:
    found: dict[int, keras.Layer] = {}
    for layer in model.layers:
        inner = _leaves(layer) if hasattr(layer, "layers") else [layer]
        found |= {id(leaf): leaf for leaf in inner}
    return list(found.values())


def _kernel_shape(layer: keras.Layer) -> tuple[int, ...]:
    kernel = getattr(layer, "kernel", None) if layer.built else None
    shape = tuple(getattr(kernel, "shape", ()))
    return shape if len(shape) > 1 else ()


def _row(layer: keras.Layer) -> LayerSparsity:
    compressed = isinstance(layer, CompressedKernel)
    kernel = keras.ops.convert_to_numpy(layer.effective_kernel() if compressed else layer.kernel)
    masked = None
    if compressed and layer.masked:
        masked = int(np.count_nonzero(keras.ops.convert_to_numpy(layer.mask) == 0))
    zeros = int(kernel.size - np.count_nonzero(kernel))
    return LayerSparsity(layer.name, type(layer).__name__, int(kernel.size), zeros, masked)
