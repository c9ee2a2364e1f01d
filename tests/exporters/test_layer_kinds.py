"""Layers without an integer kernel of their own: trained fake-quantised, in the file as they were trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tfkit.artifacts import ImageSpec
from tfkit.compression import FreezeRanges, QuantizationPolicy, quantization_coverage, quantize_aware, settle_biases
from tfkit.compression.splitting import split_layers
from tfkit.errors import ModelError
from tfkit.exporters import export_tflite
from tfkit.exporters.onnx.export import export_onnx
from tfkit.graph import build_model, read_graph
from tfkit.runtimes import LiteRTRuntime, read_operators
from tfkit.runtimes.onnx_runtime import OnnxRuntime

_IMAGE = ImageSpec(16, 16, 3)
_LABELS = tuple("abcde")


@pytest.fixture(scope="module")
def pixels() -> Any:
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (96, 4, 4, 3)).repeat(4, 1).repeat(4, 2)
    return (blocks + random.normal(0, 12, blocks.shape)).round().clip(0, 255).astype(np.uint8)


def brightest_quarters() -> tuple[Any, Any]:
    """192 pictures, and which quarter of each is the brightest."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 192)
    pixels = random.integers(0, 110, (192, 2, 8, 2, 8, 3))
    pixels[np.arange(192), labels // 2, :, labels % 2] += 100
    return pixels.reshape(192, *_IMAGE.shape).astype(np.uint8), labels


def network(middle: Callable[[Any], Any]) -> keras.Model:
    """A stem, what is tried on its 16 x 16 x 12 maps, and a classifier."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input(_IMAGE.shape)
    x = middle(layers.Conv2D(12, 3, padding="same", name="stem")(layers.Rescaling(1 / 127.5, -1)(inputs)))
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(12, 3, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x))


def spread(model: keras.Model, pixels: Any) -> keras.Model:
    """Give the classes scores that differ from image to image."""
    last = model.layers[-1]
    features = ops.convert_to_numpy(keras.Model(model.input, last.input)(pixels.astype("float32"), training=False))
    kernel, _ = last.get_weights()
    wider = 2.0 / max(float((features @ kernel).std(0).max()), 1e-6)
    last.set_weights([kernel * wider, -(features @ kernel).mean(0) * wider])
    return model


def proven(middle: Callable[[Any], Any], pixels: Any, folder: Path, *, worst: float = 2.01, **policy: Any) -> list[str]:
    """Train a step, export, compare on every image; gives the file's operators."""
    model = spread(network(middle), pixels)
    student = quantize_aware(model, pixels[:48], policy=QuantizationPolicy(**policy))
    student.compile(keras.optimizers.Adam(3e-4), "sparse_categorical_crossentropy", run_eagerly=True)
    student.train_on_batch(pixels[:16].astype(np.float32), np.arange(16) % 5)
    settle_biases(student)
    given: dict[str, Any] = {"spec": _IMAGE, "class_names": _LABELS, "calibration": pixels[:4]}
    file = export_tflite(student, folder / "model.tflite", quantization="int8", **given)
    assert not [operator.name for operator in read_operators(file.path) if operator.is_float]
    assert max(row.worst_steps for row in file.layers) <= worst
    with LiteRTRuntime(file.path) as runtime:
        found = runtime.scores(pixels)
    expected = ops.convert_to_numpy(student(pixels.astype(np.float32), training=False))
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.99
    onnx = folder / "model.onnx"
    onnx.unlink(missing_ok=True)
    named: dict[str, Any] = {"quantization": "int8", "spec": _IMAGE, "class_names": _LABELS}
    made = export_onnx(file.path.read_bytes(), onnx, **named)
    with OnnxRuntime(onnx, made.signature) as runtime:
        assert (runtime.scores(pixels).argmax(1) == expected.argmax(1)).mean() >= 0.97
    return [operator.name for operator in read_operators(file.path)]


def _all_of(*kinds: Any) -> Callable[[Any], Any]:
    """One layer behind the other, a convolution between them."""

    def middle(x: Any) -> Any:
        for kind in kinds:
            x = kind(layers.Conv2D(12, 1)(x))
        return x

    return middle


_SLOPES = keras.initializers.RandomUniform(-0.5, 1.5, seed=0)
_KINDS: dict[str, Any] = {
    "saturating": _all_of(*map(layers.Activation, ("elu", "selu", "mish", "softplus"))),
    "others": _all_of(*map(layers.Activation, ("softsign", "hard_tanh", "celu", "tanh_shrink")), layers.ELU(0.5)),
    "operations": _all_of(lambda x: ops.clip(x, -0.2, 0.4), ops.abs, lambda x: ops.minimum(x, 0.3), lambda x: x**2),
    "ops of activations": _all_of(ops.relu, ops.silu, ops.gelu, lambda x: ops.leaky_relu(x, 0.3), ops.elu),
    "odd slopes": _all_of(
        layers.ReLU(max_value=0.5, negative_slope=0.1, threshold=0.1), layers.LeakyReLU(2.0), layers.LeakyReLU(0.0)
    ),
    "two of one tensor": lambda x: layers.Add()([layers.Activation("elu")(x), layers.Activation("mish")(x)]),
    "gelu beside": lambda x: layers.Add()([layers.Activation("gelu")(x), layers.Activation("mish")(x)]),
    "of features": lambda x: layers.ELU()(layers.Dense(8)(layers.GlobalAveragePooling2D()(x))),
}


_QUICK = ("saturating", "operations")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in _QUICK else pytest.mark.slow) for kind in _KINDS]
)
def test_functions_of_one_number_are_looked_up(kind: str, pixels: Any, tmp_path: Path) -> None:
    assert "GATHER" in proven(_KINDS[kind], pixels, tmp_path)


_SLOPED: dict[str, Any] = {
    "of channels": layers.PReLU(_SLOPES, shared_axes=[1, 2]),
    "of places": layers.PReLU(_SLOPES),
    "of features": lambda x: layers.PReLU(_SLOPES)(layers.Dense(8)(layers.GlobalAveragePooling2D()(x))),
}


@pytest.mark.parametrize(
    "kind", ["of channels", *(pytest.param(f"of {what}", marks=pytest.mark.slow) for what in ("places", "features"))]
)
def test_learned_slopes_are_weights_of_the_file(kind: str, pixels: Any, tmp_path: Path) -> None:
    assert "GATHER" not in proven(_SLOPED[kind], pixels, tmp_path)


@pytest.mark.parametrize("bits", [8, pytest.param(16, marks=pytest.mark.slow)])
def test_an_upper_bound_is_the_end_of_a_range(bits: int, pixels: Any, tmp_path: Path) -> None:
    def middle(x: Any) -> Any:
        bounded = layers.ReLU(max_value=0.3)(layers.Conv2D(12, 1)(layers.ReLU(max_value=1.0)(x)))
        return layers.Concatenate()([bounded, x])  # whose range is wider than the bound

    fine = 65534 / 255 if bits == 16 else 1
    operators = proven(middle, pixels, tmp_path, worst=2.01 * fine, activation_bits=bits)
    assert not {"MINIMUM", "RELU6", "GATHER"} & set(operators)


@pytest.mark.parametrize(
    ("most", "rows"),
    [(1.0, False), *(pytest.param(most, rows, marks=pytest.mark.slow) for most, rows in ((6.0, False), (None, True)))],
)
def test_a_relu_runs_behind_a_scaling_of_features(most: float | None, rows: bool, pixels: Any, tmp_path: Path) -> None:
    """Which is an operator of its own, as nothing before it has a kernel to take it in."""
    scale, offset = np.linspace(-1, 1, 12), np.linspace(0, 1, 12)

    def middle(x: Any) -> Any:
        pooled = layers.Activation("sigmoid")(layers.GlobalAveragePooling2D()(x))
        pooled = layers.Reshape((1, 12))(pooled) if rows else pooled
        scaled = layers.Rescaling(scale.tolist(), offset.tolist())(pooled)
        return layers.Flatten()(layers.ReLU(max_value=most)(scaled))

    proven(middle, pixels, tmp_path)


@pytest.mark.parametrize("kind", [layers.Minimum, pytest.param(layers.Maximum, marks=pytest.mark.slow)])
def test_the_smaller_and_the_larger_of_tensors(kind: Any, pixels: Any, tmp_path: Path) -> None:
    operators = proven(lambda x: kind()([x, layers.Conv2D(12, 1)(x), layers.Conv2D(12, 1)(x)]), pixels, tmp_path)
    assert operators.count(kind.__name__.upper()) == 2


def test_what_has_no_kernel_is_refused_before_training() -> None:
    model = network(layers.Activation("softplus", name="odd"))
    with pytest.raises(ModelError, match="layer 'odd': LiteRT has no 16-bit kernel for the activation 'softplus'"):
        quantization_coverage(model, policy=QuantizationPolicy(activation_bits=16))
    inputs = keras.Input((96, 96, 12))
    wide = keras.Model(inputs, layers.Flatten()(layers.PReLU(name="wide")(inputs)))
    with pytest.raises(ModelError, match=r"'wide': it has 110,592 slopes .* shared_axes=\[1, 2\]"):
        quantization_coverage(wide)


_RECURRENT: dict[str, Any] = {
    "GRU": lambda: layers.GRU(4, name="rows"),
    "LSTM": lambda: layers.LSTM(4, unroll=True, name="rows"),
    "Bidirectional": lambda: layers.Bidirectional(layers.SimpleRNN(4), name="rows"),
}


@pytest.mark.parametrize(
    "kind", ["GRU", *(pytest.param(kind, marks=pytest.mark.slow) for kind in _RECURRENT if kind != "GRU")]
)
def test_recurrent_layers_are_refused_before_training_with_a_way_that_works(
    kind: str, pixels: Any, tmp_path: Path
) -> None:
    """Leaving them in float, which was the advice, ended in a refusal after the training."""
    model = network(lambda x: _RECURRENT[kind]()(layers.Reshape((16, 16 * 12))(x)))
    for skip in ((), ("rows",)):
        with pytest.raises(ModelError, match=f"layer 'rows': a {kind} goes step by step") as caught:
            quantization_coverage(model, policy=QuantizationPolicy(skip=skip))
        assert "skip" not in str(caught.value.hint) and "tflite_dynamic_int8" in str(caught.value.hint)
    student = quantize_aware(model, pixels[:8], policy=QuantizationPolicy(activation_bits=32))
    file = export_tflite(
        student, tmp_path / "model.tflite", quantization="dynamic_int8", spec=_IMAGE, class_names=_LABELS
    )
    with LiteRTRuntime(file.path) as runtime:
        scores = runtime.scores(pixels[:8])
    np.testing.assert_allclose(scores, student.predict(pixels[:8].astype(np.float32), verbose=0), atol=0.03)


def _attended(size: int) -> Callable[[Any], Any]:
    """A block of a vision transformer on patches of so many pixels."""

    def middle(x: Any) -> Any:
        patches = layers.Conv2D(24, size, strides=size)(x)
        x = layers.Reshape((patches.shape[1] * patches.shape[2], 24))(patches)
        normalized = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(3, 8, name="attention")(normalized, normalized)])
        return layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))

    return middle


def _grouped(groups: int, **settings: Any) -> Callable[[Any], Any]:
    spread = keras.initializers.RandomNormal
    learned = {"gamma_initializer": spread(1, 0.4, 1), "beta_initializer": spread(0, 0.4, 2)}
    return lambda x: layers.Activation("relu")(layers.GroupNormalization(groups, **(learned | settings))(x))


_COMPOSITES: dict[str, Any] = {
    "groups": _grouped(4),
    "instances": _grouped(-1),
    "neither scale nor shift": _grouped(3, scale=False, center=False),
    "attention": _attended(4),
    "attention over many places": _attended(1),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", _COMPOSITES)
def test_layers_of_many_operators_are_in_the_file_as_they_were_trained(kind: str, tmp_path: Path) -> None:
    pixels, labels = brightest_quarters()
    model = network(_COMPOSITES[kind])
    rebuilt = build_model(split_layers(read_graph(model)))
    images = pixels.astype(np.float32)
    np.testing.assert_allclose(rebuilt.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-5)
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(images, labels, epochs=8, batch_size=16, verbose=0)
    student = quantize_aware(model, pixels[:64])
    student.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy")
    student.fit(images, labels, epochs=1, batch_size=16, verbose=0, callbacks=[FreezeRanges(after_epochs=0)])
    settle_biases(student)
    given: dict[str, Any] = {"spec": _IMAGE, "class_names": _LABELS, "calibration": pixels[:4]}
    file = export_tflite(student, tmp_path / "model.tflite", quantization="int8", **given)
    assert not [operator.name for operator in read_operators(file.path) if operator.is_float]
    with LiteRTRuntime(file.path) as runtime:
        found = runtime.scores(pixels)
    expected = ops.convert_to_numpy(student(images, training=False))
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.99
    assert (expected.argmax(1) == labels).mean() > 0.9
