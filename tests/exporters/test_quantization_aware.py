"""Files of quantisation-aware models: all integers, on the trained grids, and the model that was trained."""

import dataclasses
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from tfkit.artifacts import ImageSpec
from tfkit.compression import QuantizationPolicy, fold, quantize_aware, settle_biases
from tfkit.errors import ExportError
from tfkit.exporters.conversion import convert_to_float
from tfkit.exporters.layer_differences import compare_layers, first_drift
from tfkit.exporters.quantization_aware import export_integers
from tfkit.exporters.trained_ranges import quantize_as_trained
from tfkit.models import build_backbone
from tfkit.runtimes import LiteRTRuntime, read_operators

SIZE = 32
IMAGE = ImageSpec(SIZE, SIZE, 3)
layers = keras.layers


def _pixels(count=16, size=SIZE):
    """Noise of several grains and brightnesses: plain white noise looks the same to every network."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (count, 4, 4, 3)).repeat(size // 4, axis=1).repeat(size // 4, axis=2)
    return np.clip(coarse + rng.normal(0, 25, (count, size, size, 3)), 0, 255).astype(np.uint8)


def _classifier(body):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((SIZE, SIZE, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1)(layers.RandomFlip()(pixels))
    x = layers.Conv2D(16, 3, strides=2, use_bias=False, name="stem")(x)
    x = body(layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_norm")(x)))
    x = layers.GlobalAveragePooling2D(name="pool")(x) if len(x.shape) == 4 else x
    x = layers.GlobalAveragePooling1D(name="pool")(x) if len(x.shape) == 3 else x
    return _alive(keras.Model(pixels, layers.Dense(5, activation="softmax", name="head")(x)))


def _alive(model, size=SIZE):
    """Normalisations and biases with numbers of their own, as a trained network has; a head that tells images apart."""
    rng = np.random.default_rng(0)
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.5
        if isinstance(layer, layers.BatchNormalization | layers.LayerNormalization):
            for weight, spread in ((layer.gamma, 0.2), (layer.beta, 0.3)):
                weight.assign(weight + rng.normal(0, spread, weight.shape))
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(rng.normal(0, 0.1, layer.bias.shape))
    for _ in range(4):
        model(_pixels(size=size).astype(np.float32), training=True)
    head = model.layers[-1]
    features = keras.Model(model.inputs, head.input).predict(_pixels(size=size).astype(np.float32), verbose=0)
    kernel = rng.normal(0, 1.0, head.kernel.shape) / (features.std(axis=0)[:, None] + 0.2)
    head.set_weights([kernel / np.sqrt(len(kernel)), -features.mean(axis=0) @ kernel / np.sqrt(len(kernel))])
    return model


def _residual(x):
    branch = layers.Conv2D(16, 3, padding="same", use_bias=False, name="branch")(x)
    return layers.ReLU(name="sum_relu")(layers.Add(name="sum")([x, layers.BatchNormalization(name="norm")(branch)]))


def _squeeze(x):
    gate = layers.Dense(8, activation="silu")(layers.GlobalAveragePooling2D()(x))
    gate = layers.Dense(16, activation="sigmoid")(gate)
    return layers.Multiply()([x, layers.Reshape((1, 1, 16))(gate)])


def _dense_block(x):
    for number in range(2):
        y = layers.ReLU()(layers.BatchNormalization(name=f"lone{number}")(x))
        x = layers.Concatenate()([x, layers.Conv2D(8, 3, padding="same")(y)])
    return layers.AveragePooling2D(2)(layers.ReLU(6)(x))


def _sequence(x):
    x = layers.Reshape((x.shape[1] * x.shape[2], 16))(x)
    x = layers.Conv1D(16, 3, padding="causal", activation="relu")(layers.MaxPooling1D(2)(x))
    x = layers.SeparableConv1D(16, 3, activation="relu6")(layers.UpSampling1D(2)(x))
    return layers.GlobalMaxPooling1D()(layers.Conv1DTranspose(16, 3, strides=2)(x))


def _convnext_block(x):
    y = layers.LayerNormalization(epsilon=1e-6)(layers.DepthwiseConv2D(7, padding="same")(x))
    return layers.Add()([x, layers.Dense(16)(layers.Dense(64, activation="gelu")(y))])


def _decoder(x):
    x = layers.Conv2DTranspose(16, 3, strides=2, use_bias=False)(layers.MaxPooling2D(2)(x))
    x = layers.LeakyReLU(negative_slope=0.1)(layers.BatchNormalization()(x))
    return layers.Conv2D(16, 3, activation="hard_sigmoid")(layers.UpSampling2D(2)(x))


def _merges(x):
    branches = [layers.Conv2D(16, 3, padding="same", activation="tanh")(x) for _ in range(3)]
    x = layers.Average()([layers.Maximum()(branches), layers.Subtract()(branches[:2]), layers.Add()(branches)])
    return layers.Dense(16, activation="gelu")(layers.BatchNormalization()(layers.Flatten()(x)))


BODIES = {
    "residual": _residual,
    "squeeze_and_excite": _squeeze,
    "dense_block": _dense_block,
    "sequence": _sequence,
    "decoder": _decoder,
    "merges": _merges,
    "convnext_block": _convnext_block,
    "lone_normalization": lambda x: layers.Dense(16)(layers.BatchNormalization()(layers.MaxPooling2D(2, 1)(x))),
    "layer_normalization": lambda x: layers.Conv2D(16, 1)(layers.LayerNormalization(epsilon=1e-6)(x)),
    "groups": lambda x: layers.Conv2D(32, 3, groups=16)(layers.Conv2D(16, 3, groups=4, activation="hard_swish")(x)),
}


def _student(body, policy=None):
    student = quantize_aware(_classifier(body), _pixels().astype(np.float32), policy=policy)
    settle_biases(student)
    return student


def _run(flatbuffer, folder):
    path = Path(folder) / "model.tflite"
    path.write_bytes(flatbuffer)
    with LiteRTRuntime(path) as runtime:
        return runtime.scores(_pixels()), read_operators(path)


@pytest.mark.parametrize("name", BODIES)
def test_the_file_holds_integers_only_and_is_within_few_steps_of_the_keras_model(name, tmp_path):
    student = _student(BODIES[name])
    made = export_integers(student, image=IMAGE, pixels=_pixels())
    scores, operators = _run(made.flatbuffer, tmp_path)
    assert not [operator for operator in operators if operator.is_float or operator.custom]
    steps = np.abs(scores - student.predict(_pixels().astype(np.float32), verbose=0)) * 256
    assert steps.mean() < 1.0
    assert steps.max() < 12
    # The head makes the most of features that are nearly alike, of half a step as well.
    assert first_drift(made.layers[:-2]) is None
    assert made.activation_bits == 8


@pytest.mark.parametrize("name", ["residual", "decoder", "layer_normalization"])
def test_sixteen_bit_activations_are_nearer_still_and_the_file_takes_raw_pixels(name, tmp_path):
    student = _student(BODIES[name], QuantizationPolicy(activation_bits=16))
    made = export_integers(student, image=IMAGE, pixels=_pixels())
    scores, operators = _run(made.flatbuffer, tmp_path)
    assert not any(operator.is_float for operator in operators)
    assert {kind for operator in operators[1:-1] for kind in operator.outputs} == {"int16"}
    assert np.abs(scores - student.predict(_pixels().astype(np.float32), verbose=0)).max() < 1e-3
    assert made.activation_bits == 16


@pytest.mark.parametrize("bits", [8, 4])
def test_every_weight_of_the_file_is_the_trained_step(bits):
    student = _student(_residual, QuantizationPolicy(weight_bits=bits))
    made = export_integers(student, image=IMAGE, pixels=_pixels())
    assert made.kernels_on_grid == 3
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(made.flatbuffer))
    kinds = [tensor.type for tensor in model.subgraphs[0].tensors]
    assert kinds.count(schema.TensorType.INT4) == (1 if bits == 4 else 0)  # the first and last stay at 8 bits


@pytest.mark.parametrize(
    ("skip", "expected"),
    [
        (["branch"], {"CONV_2D"}),
        (["sum"], {"ADD"}),
        (["head*"], {"FULLY_CONNECTED", "SOFTMAX"}),
    ],
    ids=["convolution", "add", "head"],
)
def test_a_skipped_layer_is_in_float_in_the_file_and_nothing_else(skip, expected, tmp_path):
    student = _student(_residual, QuantizationPolicy(skip=skip))
    made = export_integers(student, image=IMAGE, pixels=_pixels())
    scores, operators = _run(made.flatbuffer, tmp_path)
    floats = {operator.name for operator in operators if operator.is_float}
    assert floats - {"QUANTIZE", "DEQUANTIZE"} == expected
    assert sum(operator.name == "CONV_2D" and operator.is_float for operator in operators) == ("branch" in skip)
    assert np.abs(scores - student.predict(_pixels().astype(np.float32), verbose=0)).max() < 12 / 256


def test_a_dead_channel_with_a_large_shift_keeps_its_shift(tmp_path):
    model = _classifier(_residual)
    norm = model.get_layer("stem_norm")
    norm.gamma.assign(np.where(np.arange(16) == 3, 1e-12, norm.gamma))
    norm.beta.assign(np.where(np.arange(16) == 3, 2.0, norm.beta))
    student = quantize_aware(model, _pixels().astype(np.float32))
    made = export_integers(student, image=IMAGE, pixels=_pixels())
    scores, _ = _run(made.flatbuffer, tmp_path)
    assert np.abs(scores - student.predict(_pixels().astype(np.float32), verbose=0)).max() < 12 / 256


def test_a_corrupted_range_is_found_at_the_first_layer_that_drifts():
    student = _student(_residual)
    folded = fold(student)
    scaled = (folded.input.minimum + _pixels()[:4] * (folded.input.maximum - folded.input.minimum) / 255).astype(
        np.float32
    )
    flatbuffer = convert_to_float(folded.model, spec=IMAGE)
    sound, roundings = quantize_as_trained(flatbuffer, folded, scaled)
    assert first_drift(compare_layers(student, sound, roundings, _pixels()[:4])) is None
    corrupted = [
        (dataclasses.replace(rounding, maximum=rounding.maximum * 0.1), tensor)
        if rounding.name.startswith("sum_relu")
        else (rounding, tensor)
        for rounding, tensor in folded.roundings
    ]
    broken, _ = quantize_as_trained(flatbuffer, dataclasses.replace(folded, roundings=tuple(corrupted)), scaled)
    drifting = first_drift(compare_layers(student, broken, roundings, _pixels()[:4]))
    assert drifting is not None
    assert drifting.layer.startswith("sum_relu")
    assert drifting.operator == "ADD"


def test_a_tensor_that_was_not_trained_on_is_refused_with_its_name():
    folded = fold(_student(_residual))
    without = dataclasses.replace(folded, roundings=tuple(r for r in folded.roundings if "sum" not in r[0].name))
    with pytest.raises(ExportError, match="ADD 'functional"):
        quantize_as_trained(convert_to_float(folded.model, spec=IMAGE), without, _pixels()[:2].astype(np.float32))


def test_a_dead_layer_that_litert_does_not_run_is_named():
    pixels = keras.Input(IMAGE.shape)
    maps = keras.layers.Conv2D(8, 3, activation="relu", name="dead", bias_initializer=keras.initializers.Constant(-1e3))
    huge = keras.initializers.RandomNormal(stddev=1e6, seed=1)
    answer = keras.layers.Dense(3, activation="softmax", name="huge", kernel_initializer=huge)
    pooled = keras.layers.GlobalAveragePooling2D()(maps(keras.layers.Rescaling(1 / 255)(pixels)))
    student = quantize_aware(keras.Model(pixels, answer(pooled)), _pixels().astype(np.float32))
    with pytest.raises(ExportError, match=r"LiteRT cannot run the file: '.*huge.*nothing but zeros"):
        export_integers(student, image=IMAGE, pixels=_pixels())


def _by_the_tf_converter(student):
    """The second road: the same folded model with fake-quantisation ops, quantised by TensorFlow's converter."""
    folded = fold(student)
    ranges = {id(tensor): rounding for rounding, tensor in folded.roundings}

    class Fixed(keras.layers.Layer):
        def __init__(self, rounding):
            super().__init__()
            self.rounding = rounding

        def call(self, inputs):
            low, high = self.rounding.minimum, self.rounding.maximum
            return tf.quantization.fake_quant_with_min_max_args(inputs, low, high, num_bits=8)

    rounded = {}

    def call(layer, *args, **kwargs):
        made = layer(*args, **kwargs)
        original = layer.output if len(layer._inbound_nodes) else None
        rounded[layer.name] = original
        return Fixed(ranges[id(original)])(made) if original is not None and id(original) in ranges else made

    clone = keras.models.clone_model(folded.model, clone_function=lambda layer: layer, call_function=call)
    pixels = keras.Input((SIZE, SIZE, 3), batch_size=1)
    model = keras.Model(pixels, clone(Fixed(folded.input)(pixels)))
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
        return bytes(converter.convert())


def test_tensorflows_own_converter_makes_the_same_file_of_the_same_ranges(tmp_path):
    student = _student(_residual)
    scores, _ = _run(export_integers(student, image=IMAGE, pixels=_pixels()).flatbuffer, tmp_path)
    other, operators = _run(_by_the_tf_converter(student), tmp_path)
    assert not any(operator.is_float for operator in operators)
    assert np.abs(scores - other).max() * 256 <= 1.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width"), [("mobilenet_v2", 0.35), ("mobilenet_v3_small", 1.0), ("efficientnet_b0", 1.0), ("resnet8", 1.0)]
)
def test_whole_backbones_nested_in_a_users_classifier(name, width, tmp_path):
    # On 32 pixels the last maps are one pixel wide, and the converter computes such additions in another order.
    image = ImageSpec(64, 64, 3)
    keras.utils.set_random_seed(0)
    backbone = build_backbone(name, image=image, weights="random", width=width)
    pixels = keras.Input(image.shape)
    x = layers.GlobalAveragePooling2D()(backbone(layers.RandomFlip()(pixels), training=False))
    model = _alive(keras.Model(pixels, layers.Dense(5, activation="softmax")(x)), 64)
    student = quantize_aware(model, _pixels(size=64).astype(np.float32))
    settle_biases(student)
    made = export_integers(student, image=image, pixels=_pixels(size=64))
    (tmp_path / "model.tflite").write_bytes(made.flatbuffer)
    operators = read_operators(tmp_path / "model.tflite")
    assert not any(operator.is_float for operator in operators)
    assert np.mean([layer.mean_steps for layer in made.layers]) < 1.0


@pytest.mark.parametrize("scaled_again", [False, True])
def test_scalings_channel_by_channel_behind_each_other_are_the_files_first_operator(scaled_again):
    """EfficientNetV2 begins with Rescaling and Normalization, EfficientNet with published weights with three."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.052, 0.05, 0.051])(x)
    x = keras.layers.Rescaling([2.09, 2.11, 2.1])(x) if scaled_again else x
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3, activation="relu")(x))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3)).astype(np.uint8)
    student = quantize_aware(model, pixels)
    settle_biases(student)
    made = export_integers(student, image=ImageSpec(8, 8, 3), pixels=pixels[:4])
    assert made.layers[0].operator == "DEPTHWISE_CONV_2D"
    assert max(row.mean_steps for row in made.layers) < 1
