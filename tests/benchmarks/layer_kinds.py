"""What becomes of each kind of layer: int8 after training, quantisation-aware, or refused in words, as a table.

    python -m tests.benchmarks.layer_kinds [--kinds "group normalisation" elu ...]

Each kind stands in a small network of its own that learns which quarter of 192 pictures is the brightest, until it
names all of them or for 40 epochs. Then int8 after training is compared with that model, beside the file that
TensorFlow's own converter makes of it with the same calibration pictures; and the int8 file of quantisation-aware
training with the model that was trained so, on all pictures. Times are LiteRT's for one picture on one thread, beside
the float file's, in the same process.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tests.exporters.test_layer_kinds import brightest_quarters, network
from tfkit.artifacts import Artifact, ImageSpec
from tfkit.benchmarking import describe_host, measure_latency
from tfkit.compression import FreezeRanges, quantize_aware, settle_biases
from tfkit.errors import ExportError, TfkitError
from tfkit.exporters import export_tflite
from tfkit.runtimes import LiteRTRuntime, held_native_output, read_operators, read_signature

_IMAGE = ImageSpec(16, 16, 3)
_LABELS = tuple("abcde")
_EPOCHS = 40
_CALIBRATION = 96  # pictures

Middle = Callable[[Any], Any]


def _activated(name: str) -> Middle:
    return lambda x: layers.Activation(name)(layers.Conv2D(12, 3, padding="same")(x))


def _rows(kind: Any) -> Middle:
    return lambda x: kind(layers.Reshape((16, 16 * 12))(x))


def _attended(x: Any) -> Any:
    x = layers.Reshape((16, 24))(layers.Conv2D(24, 4, strides=4)(x))
    normalized = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(3, 8)(normalized, normalized)])
    return layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))


def _gated(x: Any) -> Any:
    gate = layers.Conv2D(6, 1, activation="relu")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return layers.Multiply()([x, layers.Conv2D(12, 1, activation="sigmoid")(gate)])


_KINDS: dict[str, Middle] = {
    "convolution, BatchNorm, ReLU": lambda x: layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(12, 3)(x))),
    "separable convolution": layers.SeparableConv2D(12, 3, activation="relu"),
    "transposed convolution": layers.Conv2DTranspose(12, 3, strides=2, activation="relu"),
    "average pooling": layers.AveragePooling2D(2),
    "global maximum": layers.GlobalMaxPooling2D(),
    "upsampling, nearest": layers.UpSampling2D(2),
    "upsampling, bilinear": layers.UpSampling2D(2, interpolation="bilinear"),
    "squeeze and excite": _gated,
    "mean of tensors": lambda x: layers.Average()([x, layers.Conv2D(12, 3, padding="same")(x), x]),
    "minimum of tensors": lambda x: layers.Minimum()([x, layers.Conv2D(12, 3, padding="same")(x)]),
    "maximum of tensors": lambda x: layers.Maximum()([x, layers.Conv2D(12, 3, padding="same")(x)]),
    "ReLU up to 1": layers.ReLU(max_value=1.0),
    "leaky ReLU": layers.LeakyReLU(0.1),
    "PReLU": layers.PReLU("ones", shared_axes=[1, 2]),
    **{name: _activated(name) for name in ("elu", "selu", "softplus", "mish", "silu", "hard_silu", "gelu", "tanh")},
    "layer normalisation": lambda x: layers.ReLU()(layers.LayerNormalization()(x)),
    "group normalisation": lambda x: layers.ReLU()(layers.GroupNormalization(4)(x)),
    "attention": _attended,
    "GRU": _rows(layers.GRU(12)),
    "LSTM": _rows(layers.LSTM(12)),
    "GRU, unrolled": _rows(layers.GRU(12, unroll=True)),
}


@dataclass(frozen=True)
class _File:
    """An int8 file: its share of equal answers, how far its scores are away in steps, its operators, milliseconds."""

    agreement: float
    worst_steps: float
    operators: tuple[str, ...]
    floats: int
    milliseconds: float

    def told(self) -> str:
        floats = f", {self.floats} float operators" if self.floats else ""
        return f"{self.agreement:.3f} / {self.worst_steps:.0f}{floats}"


def _compared(make: Callable[[], Artifact], model: keras.Model, pixels: Any) -> _File | str:
    try:
        path = make().path
    except TfkitError as fault:
        return f"refused: {str(fault).splitlines()[0]}"
    with LiteRTRuntime(path, threads=1) as runtime:
        found, latency = runtime.scores(pixels), measure_latency(runtime, pixels[:1])
    expected = model.predict(pixels.astype(np.float32), verbose=0)
    operators = read_operators(path)
    return _File(
        float((found.argmax(1) == expected.argmax(1)).mean()),
        float(np.abs(found - expected).max() * 256),
        tuple(operator.name for operator in operators),
        sum(operator.is_float for operator in operators),
        latency.latency_ms_p50,
    )


class _StopWhenRight(keras.callbacks.Callback):
    """Ends the training once the model names every picture, as it is used: without dropout, by running statistics."""

    def __init__(self, pixels: Any, labels: Any) -> None:
        super().__init__()
        self._pixels, self._labels = pixels.astype(np.float32), labels

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if (self.model.predict(self._pixels, verbose=0).argmax(1) == self._labels).all():
            self.model.stop_training = True


def _stock(model: keras.Model, pixels: Any, folder: Path) -> Artifact:
    """int8 in, inside and out, by TensorFlow's own converter; it sees the pictures that ours sees.

    Raises:
        ExportError: When it refuses the model, or leaves it in float.
    """
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[np.newaxis].astype(np.float32)] for image in pixels)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    path = folder / "stock.tflite"
    try:
        with held_native_output():
            path.write_bytes(converter.convert())
    except Exception as fault:  # it fails by its own kinds
        raise ExportError(str(fault).strip().splitlines()[0][:100]) from fault
    return Artifact(path, "tflite", "int8", read_signature(path), _IMAGE, _LABELS, made_by="TFLiteConverter")


def _student(model: keras.Model, pixels: Any, labels: Any) -> keras.Model:
    student = quantize_aware(model, pixels[:64])
    student.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy")
    frozen = FreezeRanges(after_epochs=0)
    student.fit(pixels.astype(np.float32), labels, epochs=1, batch_size=16, verbose=0, callbacks=[frozen])
    settle_biases(student)
    return student


def _row(kind: str, folder: Path) -> str:
    pixels, labels = brightest_quarters()
    model = network(_KINDS[kind])
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    until = [_StopWhenRight(pixels, labels)]
    model.fit(pixels.astype(np.float32), labels, epochs=_EPOCHS, batch_size=16, verbose=0, callbacks=until)
    scores = model.predict(pixels.astype(np.float32), verbose=0)

    def export(what: keras.Model, name: str, quantization: Any) -> Artifact:
        given: dict[str, Any] = {"spec": _IMAGE, "class_names": _LABELS, "calibration": pixels[:_CALIBRATION]}
        return export_tflite(what, folder / name, quantization=quantization, **given)

    plain = _compared(lambda: export(model, "float.tflite", "none"), model, pixels)
    after = _compared(lambda: export(model, "after.tflite", "int8"), model, pixels)
    stock = _compared(lambda: _stock(model, pixels[:_CALIBRATION], folder), model, pixels)
    try:
        student = _student(model, pixels, labels)
        aware = _compared(lambda: export(student, "aware.tflite", "int8"), student, pixels)
    except TfkitError as fault:
        aware = f"refused before training: {str(fault).split(': ', 1)[-1]}; {getattr(fault, 'hint', '')}"
    quick = aware if isinstance(aware, _File) else after
    times = "-"
    if isinstance(quick, _File) and isinstance(plain, _File):
        table = " (table)" if "GATHER" in quick.operators else ""
        times = f"{quick.milliseconds:.3f} / {plain.milliseconds:.3f}{table}"
    told = [answer if isinstance(answer, str) else answer.told() for answer in (after, stock, aware)]
    accuracy = float((scores.argmax(1) == labels).mean())
    return f"| {kind} | {accuracy:.3f} | {told[0]} | {told[1]} | {told[2]} | {times} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="*", choices=_KINDS, default=list(_KINDS))
    print("| kind | float model right | int8 after training | stock int8 | int8 after QAT | int8 and float file, ms |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in parser.parse_args().kinds:
        with tempfile.TemporaryDirectory() as folder:
            print(_row(kind, Path(folder)), flush=True)
        keras.backend.clear_session()
    host = describe_host()
    print(f"\nMeasured on {host.processor}, {host.cores} cores, {host.versions}.")


if __name__ == "__main__":
    main()
