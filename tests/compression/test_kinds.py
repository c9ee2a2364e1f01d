"""A kind of layer that tfkit does not know is one `Kind` and the layer's class, and nothing of tfkit is touched."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from tfkit.artifacts import ImageSpec
from tfkit.compression import (
    QuantizationPolicy,
    quantization_coverage,
    quantize_aware,
    settle_biases,
    strip_compression,
)
from tfkit.compression.kinds import Fault, Kind
from tfkit.compression.kinds.affine import affine_sums, fold_affine, settle_shift
from tfkit.compression.kinds.kernels import fold_kernel, kernel_sums, settle_kernel, strip_kernel, train_twin
from tfkit.compression.kinds.tables import fold_to_table
from tfkit.errors import ModelError
from tfkit.exporters.quantization_aware import export_integers
from tfkit.layers import WholeKernel
from tfkit.runtimes import LiteRTRuntime, read_operators

L = keras.layers
IMAGE = ImageSpec(12, 12, 3)


@keras.saving.register_keras_serializable(package="test")
class Gain(L.Layer):
    """A gain for each channel, in decibels."""

    quantization_kind = Kind(
        treatment="affine",
        runs_activation=True,
        channel_affine=lambda node: (
            10 ** (ops.convert_to_numpy(node.operation.decibels).astype(np.float64) / 20),
            np.zeros(node.output.shape[-1]),
        ),
        settle=settle_shift,
        sums=affine_sums,
        fold=fold_affine,
    )

    def build(self, shape: Any) -> None:
        spread = keras.initializers.RandomNormal(0, 3, seed=0)
        self.decibels = self.add_weight(shape=shape[-1:], initializer=spread, name="decibels")

    def call(self, inputs: Any) -> Any:
        return inputs * ops.power(10.0, self.decibels / 20)


@keras.saving.register_keras_serializable(package="test")
class Wave(L.Layer):
    """A function of one number."""

    quantization_kind = Kind(
        treatment="compute",
        reason="its answers in a table",
        fault=lambda neighbours, node, bits: None if bits.activations == 8 else Fault("it has 256 answers"),
        fold=fold_to_table,
    )

    def call(self, inputs: Any) -> Any:
        return ops.sin(3 * inputs)


@keras.saving.register_keras_serializable(package="test")
class Mixing(L.Layer):
    """A layer with a kernel; the class with the rounded one is below."""

    activation = None
    quantization_kind = Kind(
        treatment="kernel",
        runs_activation=True,
        train=lambda training, call: train_twin(training, call, CompressedMixing),
        settle=settle_kernel,
        sums=kernel_sums,
        fold=fold_kernel,
        strip=strip_kernel,
    )

    def __init__(self, units: int, use_bias: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.use_bias, self.bias = units, use_bias, None

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], self.units), initializer="glorot_uniform", name="kernel")
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.units,), initializer="random_normal", name="bias")

    def call(self, inputs: Any) -> Any:
        outputs = ops.matmul(inputs, self.kernel)
        return outputs if self.bias is None else outputs + self.bias

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"units": self.units, "use_bias": self.use_bias}


@keras.saving.register_keras_serializable(package="test")
class CompressedMixing(WholeKernel, Mixing):
    reduced_axes = (0,)

    def _product(self, inputs: Any, kernel: Any) -> Any:
        return ops.matmul(inputs, kernel)


BODIES: dict[str, Any] = {
    "Gain": lambda x: L.ReLU()(Gain(name="own")(L.Conv2D(8, 3)(x))),
    "Gain by itself": lambda x: Gain(name="own")(L.MaxPooling2D(2)(L.Conv2D(8, 3, activation="relu")(x))),
    "Wave": lambda x: Wave(name="own")(L.Conv2D(8, 3)(x)),
    "Mixing": lambda x: L.ReLU()(Mixing(8, name="own")(L.Flatten()(L.Conv2D(8, 3, strides=3)(x)))),
}


def _model(body: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input(IMAGE.shape)
    x = BODIES[body](L.Rescaling(1 / 127.5, offset=-1)(inputs))
    x = L.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x
    spread = keras.initializers.RandomNormal(0, 2, seed=1)
    return keras.Model(inputs, L.Dense(5, activation="softmax", kernel_initializer=spread)(x))


def _pixels() -> Any:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (48, 3, 3, 3)).repeat(4, 1).repeat(4, 2).astype(np.uint8)


@pytest.mark.parametrize("body", BODIES)
def test_a_kind_of_ones_own_is_trained_and_is_in_the_file_as_it_was_trained(body: str, tmp_path: Path) -> None:
    model, pixels = _model(body), _pixels()
    assert {row.precision for row in quantization_coverage(model) if row.layer == "own"} == {"int8"}
    student = quantize_aware(model, pixels)
    student.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", run_eagerly=True)
    before = [np.array(weight) for weight in student.get_layer("own").trainable_weights]
    student.train_on_batch(pixels.astype(np.float32), np.arange(48) % 5)
    after = [np.array(weight) for weight in student.get_layer("own").trainable_weights]
    assert all((old != new).any() for old, new in zip(before, after, strict=True))
    settle_biases(student)
    student.save(tmp_path / "student.keras")
    student = keras.models.load_model(tmp_path / "student.keras")
    path = tmp_path / "model.tflite"
    path.write_bytes(export_integers(student, image=IMAGE, pixels=pixels[:4]).flatbuffer)
    assert not [operator.name for operator in read_operators(path) if operator.is_float]
    with LiteRTRuntime(path) as runtime:
        scores = runtime.scores(pixels)
    expected = ops.convert_to_numpy(student(pixels.astype(np.float32), training=False))
    assert np.abs(scores - expected).max() * 256 < 1.01
    assert type(strip_compression(student).get_layer("own")).__name__ == body.split()[0]


def test_a_kind_of_ones_own_tells_its_faults() -> None:
    with pytest.raises(ModelError, match=r"layer 'own': it has 256 answers") as caught:
        quantization_coverage(_model("Wave"), policy=QuantizationPolicy(activation_bits=16))
    assert caught.value.hint == "replace these layers, or leave them in float: skip=['own']"


def test_a_layer_with_a_leaky_relu_inside_is_not_taken_for_one() -> None:
    """An EinsumDense with this activation was folded as the activation alone."""
    inputs = keras.Input(IMAGE.shape)
    x = L.EinsumDense("bhwc,cd->bhwd", output_shape=(12, 12, 8), activation="leaky_relu", name="einsum")(inputs)
    with pytest.raises(ModelError, match="layer 'einsum': there is no rule for a EinsumDense layer"):
        quantization_coverage(keras.Model(inputs, L.Flatten()(x)))
