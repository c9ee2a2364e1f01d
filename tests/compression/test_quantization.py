"""Rewriting for quantisation-aware training: what is covered, what is refused, and that the result is plain Keras."""

from typing import Any

import keras
import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.compression import (
    FreezeRanges,
    QuantizationPolicy,
    fake_quantizers,
    is_quantize_aware,
    quantization_coverage,
    quantize_aware,
    set_quantizers,
)
from tfkit.errors import ModelError
from tfkit.layers import CompressedKernel, FakeQuantize, PixelGrid
from tfkit.models import build_backbone, with_dtype_policy

SIZE = 32
layers = keras.layers


def _pixels(count=8):
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3)).astype(np.float32)


def _classifier(body=lambda x: x, name="classifier"):
    """Augmentation, scaling, conv -> BatchNorm -> ReLU, something, pooling, softmax."""
    pixels = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaling")(layers.RandomFlip(name="flip")(pixels))
    x = layers.Conv2D(16, 3, strides=2, use_bias=False, name="stem")(x)
    x = body(layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_norm")(x)))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(pixels, layers.Dense(5, activation="softmax", name="head")(x), name=name)


def _nested(backbone):
    pixels = keras.Input((SIZE, SIZE, 3))
    features = layers.GlobalAveragePooling2D()(backbone(layers.RandomFlip()(pixels)))
    return keras.Model(pixels, layers.Dense(5, activation="softmax")(features))


def _backbone(name, width=1.0):
    return lambda: _nested(build_backbone(name, image=ImageSpec(SIZE, SIZE, 3), weights="random", width=width))


def _hub_mobilenet():
    import keras_hub

    return _nested(
        keras_hub.models.MobileNetBackbone(
            stackwise_expansion=[[24, 24]],
            stackwise_num_blocks=[2],
            stackwise_num_filters=[[16, 16]],
            stackwise_kernel_size=[[3, 5]],
            stackwise_num_strides=[[2, 1]],
            stackwise_se_ratio=[[None, 0.25]],
            stackwise_activation=[["relu", "hard_swish"]],
            stackwise_padding=[[1, 2]],
            output_num_filters=48,
            last_layer_filter=48,
            depthwise_filters=8,
            depthwise_stride=2,
            depthwise_residual=False,
            squeeze_and_excite=0.5,
            image_shape=(SIZE, SIZE, 3),
        )
    )


ARCHITECTURES = {
    "resnet8": _backbone("resnet8"),
    "mobilenet_v2": _backbone("mobilenet_v2", 0.35),
    "mobilenet_v3_small": _backbone("mobilenet_v3_small"),
    "keras_hub_mobilenet": _hub_mobilenet,
}
_QUICK = {"resnet8", "keras_hub_mobilenet"}
NAMES = [name if name in _QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ARCHITECTURES]


@pytest.mark.parametrize("name", NAMES)
def test_with_all_rounding_off_the_model_gives_the_same_to_the_bit(name):
    model = ARCHITECTURES[name]()
    rewritten = quantize_aware(model, _pixels())
    assert not np.array_equal(rewritten(_pixels(), training=False), model(_pixels(), training=False))
    set_quantizers(rewritten, enabled=False)
    assert np.array_equal(rewritten(_pixels(), training=False), model(_pixels(), training=False))
    assert is_quantize_aware(rewritten)
    assert not is_quantize_aware(model)


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_of_an_exported_model_is_covered(name):
    assert {row.precision for row in quantization_coverage(ARCHITECTURES[name]())} == {"int8", "-"}


def test_the_coverage_table_tells_what_becomes_of_each_layer_and_why():
    model = _classifier(lambda x: layers.Add(name="add")([x, layers.Conv2D(16, 3, padding="same", name="branch")(x)]))
    rows = {row.layer: row for row in quantization_coverage(model)}
    assert rows["flip"].precision == "-"
    assert "input's scale and zero point" in rows["scaling"].reason
    assert "'stem_norm' is folded" in rows["stem"].reason
    assert "'stem_relu'" in rows["stem_norm"].reason
    assert rows["stem_relu"].reason == "rounded to a range of its own"
    assert rows["branch"].reason == "kernel on a grid for each channel"
    assert rows["head_softmax"].reason == "its range is known"
    assert list(rows)[-1] == "head_softmax"


def test_there_is_one_rounding_where_the_file_holds_one_tensor():
    model = _classifier(lambda x: layers.ReLU()(layers.Add()([x, layers.Conv2D(16, 3, padding="same")(x)])))
    names = [quantizer.name for quantizer in fake_quantizers(quantize_aware(model, _pixels()))]
    assert len(names) == 6  # after stem's ReLU, the branch, the Add's ReLU, the pooling, the logits and the softmax


def test_all_layers_in_the_way_are_named_at_once_with_what_to_do():
    shared = layers.Conv2D(16, 3, padding="same", name="twice")

    def body(x):
        x = shared(shared(x))
        x = layers.Lambda(lambda tensor: tensor * 2, name="own_code")(x)
        x = layers.UnitNormalization(name="unit")(x)
        return layers.LayerNormalization(axis=1, name="rows")(layers.Activation("log_softmax", name="log")(x))

    with pytest.raises(ModelError) as caught:
        quantize_aware(_classifier(body), _pixels())
    for told in ("'twice': it is called 2 times", "'own_code'", "'unit'", "'log'", "'rows': it normalises over axis"):
        assert told in str(caught.value)
    assert "skip=['twice'" in caught.value.hint


def test_four_bit_kernels_without_a_runtime_kernel_are_refused_before_training_or_kept_at_eight():
    model = _classifier(lambda x: layers.SeparableConv2D(16, 3, padding="same", name="separable")(x))
    with pytest.raises(ModelError, match="no 4-bit kernel for a DepthwiseConv2D") as caught:
        quantization_coverage(model, policy=QuantizationPolicy(weight_bits=4))
    assert "eight_bit=['separable_depthwise']" in caught.value.hint
    policy = QuantizationPolicy(weight_bits=4, eight_bit=["*_depthwise"])
    rows = {row.layer: row.precision for row in quantization_coverage(model, policy=policy)}
    assert rows["separable_pointwise"] == "int4"
    assert {rows[name] for name in ("stem", "separable_depthwise", "head")} == {"int8"}
    student = quantize_aware(model, _pixels(), policy=policy)
    bits = {layer.name: layer.weight_bits for layer in student.layers if isinstance(layer, CompressedKernel)}
    assert bits == {"stem": 8, "separable_depthwise": 8, "separable_pointwise": 4, "head": 8}


def test_sixteen_bit_activations_are_refused_where_there_is_no_kernel_and_rounded_finer_elsewhere():
    with pytest.raises(ModelError, match="no 16-bit kernel for the activation 'hard_silu'"):
        quantize_aware(
            _classifier(lambda x: layers.Activation("hard_swish")(x)),
            _pixels(),
            policy=QuantizationPolicy(activation_bits=16),
        )
    model = _classifier()
    expected = model(_pixels(), training=False)
    worst = {
        bits: float(
            np.abs(
                quantize_aware(model, _pixels(), policy=QuantizationPolicy(activation_bits=bits))(_pixels()) - expected
            ).max()
        )
        for bits in (8, 16)
    }
    assert worst[16] < worst[8]


def test_a_skipped_layer_stays_in_float_with_what_runs_inside_it_and_nothing_else():
    model = _classifier(lambda x: layers.Conv2D(16, 3, padding="same", activation="relu", name="middle")(x))
    rows = {row.layer: row for row in quantization_coverage(model, policy=QuantizationPolicy(skip=["stem"]))}
    assert [name for name, row in rows.items() if row.precision == "float32"] == ["stem", "stem_norm", "stem_relu"]
    assert rows["stem_relu"].reason == "runs inside 'stem_norm', which is left in float"
    student = quantize_aware(model, _pixels(), policy=QuantizationPolicy(skip=["stem"]))
    assert not isinstance(student.get_layer("stem"), CompressedKernel)
    assert isinstance(student.get_layer("middle"), CompressedKernel)


def test_skips_that_cannot_be_are_refused_with_the_layer_to_name_instead():
    model = _classifier()
    with pytest.raises(ModelError, match="'stem_relu' runs inside 'stem_norm'"):
        quantization_coverage(model, policy=QuantizationPolicy(skip=["stem_relu"]))
    with pytest.raises(ModelError, match="skip names no layer") as caught:
        quantization_coverage(model, policy=QuantizationPolicy(skip=["stam"]))
    assert "'stem'" in caught.value.hint


def test_one_activation_layer_may_serve_many_convolutions():
    relu = layers.ReLU(name="shared_relu")

    def body(x):
        for number in range(3):
            x = relu(layers.Conv2D(16, 3, padding="same", name=f"conv{number}")(x))
        return x

    student = quantize_aware(_classifier(body), _pixels())
    ranges = {q.name: q.real_range() for q in fake_quantizers(student) if q.name.startswith("shared_relu")}
    assert len(ranges) == len(set(ranges.values())) == 3


def test_it_comes_back_from_a_keras_file_under_safe_mode_with_equal_outputs(tmp_path):
    model = _classifier(lambda x: layers.LayerNormalization()(layers.Conv2D(16, 1, name="middle")(x)))
    student = quantize_aware(model, _pixels(), policy=QuantizationPolicy(skip=["middle"]))
    student.save(tmp_path / "student.keras")
    loaded = keras.models.load_model(tmp_path / "student.keras", safe_mode=True)
    assert np.array_equal(student(_pixels(), training=False), loaded(_pixels(), training=False))
    grid = next(layer for layer in loaded.layers if isinstance(layer, PixelGrid))
    assert grid.float_layers == ("middle",)


def _fit(student, *, epochs=1, **options):
    optimizer = keras.optimizers.Adam(1e-3, **options.pop("optimizer", {}))
    student.compile(optimizer, "sparse_categorical_crossentropy", **options)
    before = student.get_layer("stem").kernel.numpy().copy()
    history = student.fit(
        _pixels(32),
        np.arange(32) % 5,
        batch_size=8,
        epochs=epochs,
        callbacks=[FreezeRanges(after_epochs=1)],
        verbose=0,
    )
    assert np.isfinite(history.history["loss"]).all()
    assert not np.array_equal(before, student.get_layer("stem").kernel.numpy())


@pytest.mark.parametrize(
    "options",
    [{"jit_compile": True}, {"jit_compile": False}, {"optimizer": {"gradient_accumulation_steps": 2}}],
    ids=["jit", "plain", "gradient_accumulation"],
)
def test_it_trains(options):
    _fit(quantize_aware(_classifier(), _pixels(), jit_compile=options.get("jit_compile", False)), **options)


def test_it_trains_in_mixed_precision():
    mixed = with_dtype_policy(_classifier(), "mixed_float16")
    _fit(quantize_aware(mixed, _pixels()))


def test_ranges_follow_for_the_epochs_they_may_and_batch_norm_stays_frozen():
    student = quantize_aware(_classifier(), _pixels())
    quantizer = next(q for q in fake_quantizers(student) if q.name.startswith("stem_relu"))
    norm, started = student.get_layer("stem_norm"), quantizer.real_range()
    moments = norm.moving_mean.numpy().copy()
    _fit(student, epochs=1)
    followed = quantizer.real_range()
    assert followed != started
    student.fit(_pixels(32), np.arange(32) % 5, epochs=2, callbacks=[FreezeRanges(after_epochs=0)], verbose=0)
    assert quantizer.real_range() == followed
    assert np.array_equal(norm.moving_mean.numpy(), moments)


def test_pooled_tensors_do_not_narrow_the_range_of_what_they_pool():
    model = _classifier(lambda x: layers.AveragePooling2D(5, name="average")(layers.Conv2D(16, 3, name="before")(x)))
    student = quantize_aware(model, _pixels())
    quantizer = next(q for q in fake_quantizers(student) if q.name.startswith("before"))
    assert sum(node is quantizer for node in student.layers) == 1
    before = quantizer.real_range()
    student.get_layer("stem").trainable = False
    for _ in range(40):
        student(_pixels(), training=True)
    seen = keras.Model(student.inputs[0], student.get_layer("before").output)(_pixels())
    low, high = quantizer.real_range()
    assert high - low > 0.8 * (float(np.max(seen)) - float(np.min(seen)))
    assert before != (low, high)


def test_fused_and_plain_roundings_give_the_same_numbers():
    model = _classifier(lambda x: layers.Conv2D(16, 3, activation="gelu", name="middle")(x))
    fused = quantize_aware(model, _pixels(), jit_compile=False)
    plain = quantize_aware(model, _pixels(), jit_compile=True)
    quantizers = [layer for layer in plain.layers if isinstance(layer, FakeQuantize)]
    assert quantizers and not any(quantizer.fused for quantizer in quantizers)
    difference = np.abs(fused(_pixels(), training=False) - plain(_pixels(), training=False))
    assert difference.max() <= 1 / 256 + 1e-6
    assert np.mean(difference > 1e-6) < 0.2


def test_no_images_and_values_that_are_not_finite_are_refused():
    with pytest.raises(ModelError, match="no calibration images"):
        quantize_aware(_classifier(), _pixels()[:0])
    with pytest.raises(ModelError, match="not finite"):
        quantize_aware(_classifier(), np.full((2, SIZE, SIZE, 3), np.nan, np.float32))


@pytest.mark.parametrize(
    "given",
    [{"weight_bits": 2}, {"activation_bits": 4}, {"weight_bits": 4, "activation_bits": 16}, {"skip": "stem"}],
    ids=str,
)
def test_policies_that_make_no_sense_are_refused(given):
    with pytest.raises(ModelError):
        QuantizationPolicy(**given)


def test_a_block_that_does_not_open_is_refused_by_name() -> None:
    class Block(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="block")
            self.inner = keras.layers.Conv2D(4, 1)

        def call(self, inputs: Any) -> Any:
            return self.inner(inputs) * float(keras.ops.shape(inputs)[0])  # symbols have no batch size

        def compute_output_shape(self, shape: Any) -> Any:
            return (*shape[:-1], 4)

    inputs = keras.Input((8, 8, 3))
    block = Block()
    block.build((None, 8, 8, 3))
    model = keras.Model(inputs, keras.layers.Flatten()(block(inputs)))
    with pytest.raises(ModelError, match="'block': there is no rule for a Block layer"):
        quantization_coverage(model)


def test_a_tensor_less_itself_is_refused_before_training() -> None:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3)(inputs)
    nothing = keras.layers.Subtract(name="nothing")([x, keras.layers.Dropout(0.1)(x)])
    with pytest.raises(ModelError, match="'nothing': it subtracts a tensor from itself"):
        quantization_coverage(keras.Model(inputs, keras.layers.Flatten()(nothing)))


def test_a_softmax_over_many_places_inside_a_network_is_refused() -> None:
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    scores = keras.layers.Softmax(axis=1, name="wide")(keras.layers.Reshape((256, 1))(keras.layers.Conv2D(1, 1)(x)))
    x = keras.layers.Multiply()([x, keras.layers.Reshape((16, 16, 1))(scores)])
    model = keras.Model(inputs, keras.layers.Dense(100, activation="softmax")(keras.layers.Flatten()(x)))
    with pytest.raises(ModelError, match="'wide': its scores over 256 places are 1/256 on average"):
        quantization_coverage(model)
    rows = quantization_coverage(model, policy=QuantizationPolicy(skip=["wide"]))
    assert next(row for row in rows if row.layer == "wide").precision == "float32"


def test_the_larger_of_a_tensor_and_numbers_that_make_it_wider_is_refused() -> None:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(1, 3)(inputs)
    with pytest.raises(ModelError, match="compares a tensor with numbers of another shape"):
        quantization_coverage(keras.Model(inputs, keras.layers.Flatten()(keras.ops.maximum(x, np.zeros(4, "float32")))))
    assert quantization_coverage(keras.Model(inputs, keras.layers.Flatten()(keras.ops.maximum(x, 0.5))))
    both = keras.ops.maximum(x, keras.layers.Conv2D(1, 3)(inputs))
    assert quantize_aware(keras.Model(inputs, keras.layers.Flatten()(both)), np.zeros((2, 8, 8, 3), np.float32))


@pytest.mark.parametrize("leading", [True, False])
def test_a_scaling_of_each_place_is_refused_by_name(leading: bool) -> None:
    x = inputs = keras.Input((8, 8, 3))
    if not leading:
        x = layers.Conv2D(3, 3, padding="same")(x)
    means = np.arange(192.0).reshape(8, 8, 3)
    x = layers.Normalization(axis=(1, 2, 3), mean=means, variance=np.ones((8, 8, 3)), name="places")(x)
    model = keras.Model(inputs, layers.Flatten()(layers.Conv2D(4, 3)(x)))
    with pytest.raises(ModelError, match="'places': it scales each place by numbers of its own"):
        quantization_coverage(model)


@pytest.mark.parametrize("input_range", [(0.5, 1.5), (1.0, 0.0), (-3.0, -1.0)])
def test_an_input_range_without_zero_is_refused(input_range: tuple[float, float]) -> None:
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Flatten()(layers.Conv2D(4, 3)(inputs)))
    with pytest.raises(ModelError, match="input_range must rise and hold 0; got"):
        quantize_aware(model, np.zeros((2, 8, 8, 3), np.float32), input_range=input_range)


def test_arithmetic_on_pixels_is_part_of_the_files_input_as_a_rescaling_is() -> None:
    inputs = keras.Input((8, 8, 3))
    x = keras.applications.imagenet_utils.preprocess_input(inputs, mode="tf")
    model = keras.Model(inputs, layers.Flatten()(layers.Conv2D(4, 3)(x)))
    assert [row.treatment for row in quantization_coverage(model)[:2]] == ["input", "input"]
    grid = next(
        layer
        for layer in quantize_aware(model, np.zeros((2, 8, 8, 3), np.float32)).layers
        if isinstance(layer, PixelGrid)
    )
    assert grid.scale == pytest.approx(1 / 127.5) and grid.zero_point == 128


@pytest.mark.parametrize("zero", ["difference", "sum", "scaled"])
def test_differences_that_are_zero_by_arithmetic_are_refused_before_training(zero: str) -> None:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3)(inputs)
    nothing = {
        "difference": lambda: layers.Subtract(name="nothing")([layers.Average()([x, x, x]), x]),
        "sum": lambda: layers.Add(name="nothing")([x, -x]),
        "scaled": lambda: layers.Subtract(name="nothing")([layers.Rescaling(2.0)(x), layers.Add()([x, x])]),
    }[zero]()
    model = keras.Model(inputs, layers.Flatten()(nothing))
    with pytest.raises(ModelError, match="what 'nothing' gives is zero whatever the image"):
        quantization_coverage(model)
    some = keras.Model(inputs, layers.Flatten()(layers.Subtract()([x, layers.Conv2D(4, 3)(inputs)])))
    assert quantization_coverage(some)


def test_two_inputs_given_as_a_list_of_arrays_are_told_how() -> None:
    """A list is taken for batches: the first array alone went on, and ended in a traceback."""
    inputs = [keras.Input((8, 8, 3), name=name) for name in ("left", "right")]
    x = keras.layers.Concatenate()([keras.layers.Conv2D(8, 3)(value) for value in inputs])
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x)))
    pixels = np.zeros((4, 8, 8, 3), np.float32)
    with pytest.raises(ModelError, match="takes 2 inputs, left, right; got 1"):
        quantize_aware(model, [pixels, pixels])
