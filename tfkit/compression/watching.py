"""Show in TensorBoard what a quantisation-aware model's ranges do while it trains."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from tfkit.compression.calibration import fake_quantizers
from tfkit.graph import Node, build_model, read_graph
from tfkit.graph.building import Copy
from tfkit.keras_types import Inputs, Tensor
from tfkit.layers import FakeQuantize

_IMAGES = 16


class WatchRanges(keras.callbacks.Callback):
    """Writes, after each epoch, every quantiser's range and the share of values that it clips.

    Args:
        model: The quantisation-aware model in training. With mixed precision a copy of it is trained: the ranges are
            then those of the copy.
        pixels: (n, ...) real images, or a dictionary of token ids and mask; the clipped shares are measured on the
            first 16.
        log_directory: TensorBoard's folder: `ranges/NAME/minimum`, `ranges/NAME/maximum`, `clipped/NAME`.
    """

    def __init__(self, model: keras.Model, pixels: Inputs, log_directory: Path) -> None:
        super().__init__()
        self._trained, self._directory = model, log_directory
        # Token ids come in a dictionary and stay whole numbers.
        if isinstance(pixels, Mapping):
            self._inputs: Inputs = {name: values[:_IMAGES] for name, values in pixels.items()}
        else:
            self._inputs = pixels[:_IMAGES].astype(np.float32)
        self._probe: tuple[list[FakeQuantize], keras.Model | None] | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        _ = self.model  # under JAX, asking for the model brings its weights up to date
        figures: dict[str, float] = {}
        for quantizer in fake_quantizers(self.model):
            if quantizer.fixed_range is None:
                low, high = quantizer.real_range()
                figures |= {f"ranges/{quantizer.name}/minimum": low, f"ranges/{quantizer.name}/maximum": high}
        _write(self._directory, figures | self._clipped(), epoch)

    def _clipped(self) -> dict[str, float]:
        if self._probe is None:
            self._probe = _inputs_of_quantizers(self._trained)
        quantizers, probe = self._probe
        if probe is None:
            return {}
        shares: dict[str, float] = {}
        for quantizer, values in zip(quantizers, probe(self._inputs, training=False), strict=True):
            ranges = quantizer.channel_ranges() if quantizer.per_channel else None
            low, high = quantizer.real_range() if ranges is None else (-ranges, ranges)
            seen = keras.ops.convert_to_numpy(values)
            shares[f"clipped/{quantizer.name}"] = float(np.mean((seen < low) | (seen > high)))
        return shares


def _inputs_of_quantizers(model: keras.Model) -> tuple[list[FakeQuantize], keras.Model | None]:
    """The learned quantisers, and a model on the same layers that gives what goes into each."""
    inputs: dict[int, tuple[FakeQuantize, Tensor]] = {}

    def call(node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | Sequence[Tensor]:
        layer = node.operation
        if isinstance(layer, FakeQuantize) and layer.fixed_range is None:
            inputs.setdefault(id(layer), (layer, args[0]))
        return layer(*args, **kwargs)

    shared = build_model(read_graph(model), call)
    quantizers = [layer for layer, _ in inputs.values()]
    return quantizers, keras.Model(shared.input, [tensor for _, tensor in inputs.values()]) if quantizers else None


def _write(directory: Path, figures: dict[str, float], step: int) -> None:
    import tensorflow as tf  # TensorBoard's writer; the model may run on another backend

    writer = tf.summary.create_file_writer(str(directory))
    with writer.as_default(step=step):
        for name, value in figures.items():
            tf.summary.scalar(name, value)
    writer.close()
