"""Set the ranges of a quantisation-aware model from real images, and hold them still in the end."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import keras
import numpy as np

from tfkit.errors import ModelError
from tfkit.graph import Node, build_model, fed, read_graph
from tfkit.graph.building import Copy
from tfkit.graph.feeding import float_pixels
from tfkit.keras_types import Inputs, Tensor, Tensors
from tfkit.layers import OFF_THE_GRID, CompressedKernel, FakeQuantize, QuantizedLayerNormalization, WholeKernel
from tfkit.runtimes.protocol import input_count, some_inputs

# What a model takes, at once or in batches.
Calibration: TypeAlias = Inputs | Iterable[Inputs]

# The percentile, over images, of each image's own extremes: finer steps for all at the cost of clipping a few
# values of the most extreme images. The post-training quantiser of tfkit.exporters uses the same.
PERCENTILE = 90
_ALL = 100  # of a channel's own range: in each text some of a hundred channels go beyond nine tenths


def calibrate(model: keras.Model, calibration: Calibration, *, batch_size: int = 32) -> None:
    """Set the range of every learned quantiser of a model.

    Args:
        model: What `quantize_aware` rewrote; its ranges are changed in place.
        calibration: What the model takes, (n, ...) or a dictionary of such arrays, or batches of it.
        batch_size: How many samples are computed at once when they come as one array or dictionary.

    Raises:
        ModelError: When there are no images, or a layer gives values that are not finite.
    """
    quantizers = [quantizer for quantizer in fake_quantizers(model) if quantizer.fixed_range is None]
    for quantizer in quantizers:
        quantizer.start_collecting()
    images = 0
    try:
        for batch in _batches(calibration, batch_size):
            given = fed(model, batch)
            if isinstance(given, Mapping):
                tensors: Tensors = {name: keras.ops.convert_to_tensor(values) for name, values in given.items()}
            else:
                tensors = keras.ops.convert_to_tensor(given, model.inputs[0].dtype)
            model(tensors, training=False)
            images += input_count(batch)
    finally:
        collected = [quantizer.take_collected() for quantizer in quantizers]
    if images == 0:
        raise ModelError("no calibration images", hint="give some hundred training images")
    for quantizer, seen in zip(quantizers, collected, strict=True):
        if not seen:
            continue
        low = np.concatenate([keras.ops.convert_to_numpy(pair[0]).astype(np.float32) for pair in seen])
        high = np.concatenate([keras.ops.convert_to_numpy(pair[1]).astype(np.float32) for pair in seen])
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise ModelError(f"the values that '{quantizer.name}' rounds are not finite", hint="look at the training")
        kept = _ALL if quantizer.per_channel else PERCENTILE
        quantizer.minimum.assign(OFF_THE_GRID * np.minimum(0.0, np.percentile(low, 100 - kept, axis=0)))
        quantizer.maximum.assign(OFF_THE_GRID * np.maximum(0.0, np.percentile(high, kept, axis=0)))


def fake_quantizers(model: keras.Model) -> tuple[FakeQuantize, ...]:
    """Every activation quantiser of a model, in running order, those inside layers and nested models too.

    Example:
        >>> len(fake_quantizers(student)) > 0, len(fake_quantizers(model))
        (True, 0)
    """
    found: list[FakeQuantize] = []
    for layer in model.layers:
        if isinstance(layer, FakeQuantize):
            found.append(layer)
        elif isinstance(layer, QuantizedLayerNormalization):
            found.extend(layer.quantizers.values())
        elif isinstance(layer, keras.Model):  # the student in a distiller
            found.extend(fake_quantizers(layer))
    return tuple(found)


def is_quantize_aware(model: keras.Model) -> bool:
    """Whether a model came from `quantize_aware`.

    Example:
        >>> is_quantize_aware(model), is_quantize_aware(student)
        (False, True)
    """
    return any(isinstance(layer, FakeQuantize) for layer in model.layers)


def set_quantizers(model: keras.Model, *, enabled: bool) -> None:
    """Switch all rounding of a model on or off; compile it again before training on.

    Args:
        model: What `quantize_aware` gave.
        enabled: False: outputs equal to the bit to those of the model before.
    """
    for layer in _rounding_layers(model):
        layer.enabled = enabled


@contextlib.contextmanager
def unrounded(model: keras.Model, *, kernels: bool = True) -> Iterator[None]:
    """Switch a model's rounding off for a while, to compare it with one that has none.

    Args:
        model: What `quantize_aware` gave, or what has masks; masks always count.
        kernels: Whether kernels and tables are left unrounded too.
    """
    switched = [layer for layer in _rounding_layers(model) if kernels or not isinstance(layer, CompressedKernel)]
    before = [layer.enabled for layer in switched]
    whole = {layer: layer.settled for layer in model.layers if isinstance(layer, WholeKernel)}
    for layer in switched:
        layer.enabled = False
    for layer in whole:  # what rounds a kernel's sums is no part of the kernel
        layer.settled = None
    try:
        yield
    finally:
        for layer, enabled in zip(switched, before, strict=True):
            layer.enabled = enabled
        for layer, settled in whole.items():
            layer.settled = settled


class FreezeRanges(keras.callbacks.Callback):
    """Hold the ranges of a quantisation-aware model still for the last epochs, so that it settles on them.

    Args:
        after_epochs: Epochs in which the ranges follow a moving average; 0: they stay as calibrated.

    Example:
        >>> student.compile("adam", "categorical_crossentropy")
        >>> history = student.fit(batches, epochs=2, callbacks=[FreezeRanges(after_epochs=1)], verbose=0)
    """

    def __init__(self, *, after_epochs: int) -> None:
        super().__init__()
        self._after_epochs = after_epochs

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch == self._after_epochs:
            for quantizer in fake_quantizers(self.model):
                if quantizer.fixed_range is None:
                    quantizer.moving_rate.assign(0.0)


def _rounding_layers(model: keras.Model) -> list[keras.Layer]:
    """Layers with a switch for their rounding: tfkit's, and those whose class carries a kind of its own."""
    return [layer for layer in (*model.layers, *fake_quantizers(model)) if _is_switched(layer)]


def _is_switched(layer: keras.Layer) -> bool:
    known = type(layer).__module__.startswith("tfkit.layers.") or hasattr(type(layer), "quantization_kind")
    return known and isinstance(getattr(layer, "enabled", None), bool)


def _batches(calibration: Calibration, batch_size: int) -> Iterator[Inputs]:
    if not isinstance(calibration, np.ndarray | Mapping):
        yield from calibration
        return
    for start in range(0, input_count(calibration), batch_size):
        yield some_inputs(calibration, slice(start, start + batch_size))


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
        few = next(_batches(pixels, _IMAGES))
        self._inputs = float_pixels(fed(model, few))
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
