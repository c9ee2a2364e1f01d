"""The registered layers: what they round to, that masks hold, and that a saved model brings them back."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkit import layers

TWINS = {
    layers.CompressedConv1D: ((9, 4), {"filters": 5, "kernel_size": 3}),
    layers.CompressedConv2D: ((9, 9, 4), {"filters": 5, "kernel_size": 3}),
    layers.CompressedConv1DTranspose: ((9, 4), {"filters": 5, "kernel_size": 3, "strides": 2}),
    layers.CompressedConv2DTranspose: ((9, 9, 4), {"filters": 5, "kernel_size": 3, "strides": 2}),
    layers.CompressedDepthwiseConv1D: ((9, 4), {"kernel_size": 3}),
    layers.CompressedDepthwiseConv2D: ((9, 9, 4), {"kernel_size": 3, "depth_multiplier": 2}),
    layers.CompressedDense: ((4,), {"units": 5}),
}


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.__name__)
@pytest.mark.parametrize("bits", [8, 4])
def test_a_kernel_lies_on_whole_steps_and_reaches_the_last_one_in_every_channel(twin: type, bits: int) -> None:
    shape, options = TWINS[twin]
    layer = twin(**options, weight_bits=bits)
    layer(np.zeros((1, *shape), np.float32))
    steps = keras.ops.convert_to_numpy(layer.effective_kernel() / layer.kernel_scale())
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
    assert np.abs(steps).max() == pytest.approx(2 ** (bits - 1) - 1, abs=1e-3)
    reached = np.abs(np.round(steps)).max(axis=layer.reduced_axes)
    assert (reached == 2 ** (bits - 1) - 1).all()


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.__name__)
def test_off_and_unmasked_it_is_the_keras_layer_to_the_bit(twin: type) -> None:
    shape, options = TWINS[twin]
    inputs = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    layer = twin(**options, weight_bits=8, masked=True)
    layer.enabled = False
    outputs = layer(inputs)
    plain = layers.plain_class(layer)(**options)
    plain.build((None, *shape))
    plain.set_weights(layer.get_weights()[:2])
    assert np.array_equal(outputs, plain(inputs))
    layer.enabled = True
    assert not np.array_equal(layer(inputs), outputs)


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.__name__)
def test_masked_weights_are_zero_and_get_no_gradient(twin: type) -> None:
    shape, options = TWINS[twin]
    layer = twin(**options, weight_bits=8, masked=True)
    layer.build((None, *shape))
    mask = np.random.default_rng(1).integers(0, 2, layer.kernel.shape).astype(np.float32)
    layer.mask.assign(mask)
    inputs = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(inputs) ** 2)
    kernel = next(variable for variable in layer.trainable_variables if variable.name == "kernel")
    gradient = tape.gradient(loss, kernel.value)
    assert np.all(np.asarray(gradient)[mask == 0] == 0)
    assert np.any(np.asarray(gradient)[mask == 1] != 0)
    assert np.all(np.asarray(layer.effective_kernel())[mask == 0] == 0)


def test_a_channel_of_zeros_stays_zeros() -> None:
    layer = layers.CompressedDense(3, weight_bits=8)
    layer.build((None, 4))
    layer.kernel.assign(np.zeros((4, 3), np.float32))
    assert np.array_equal(layer(np.ones((1, 4), np.float32)), np.zeros((1, 3)))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("ends", [(0.0, 6.0), (-1.3, 2.2), (-3.0, 0.0), (0.4, 2.0)])
def test_the_fused_and_the_plain_rounding_give_the_same_numbers(ends: tuple[float, float], bits: int) -> None:
    values = np.random.default_rng(0).normal(0, 3, 5000).astype(np.float32)
    fused, plain = (
        np.asarray(layers.round_to_steps(tf.constant(values), *ends, bits=bits, fused=fused)) for fused in (True, False)
    )
    low, high = min(ends[0], 0), max(ends[1], 0)
    step = (high - low) / 255 if bits == 8 else max(-low, high) / 32767
    apart = np.abs(fused - plain)
    assert apart.max() <= 1.01 * step  # a value half way between two steps may go either way
    assert np.mean(apart > 0.01 * step) < (0.001 if bits == 8 else 0.1)


def test_zero_is_a_step_and_the_gradient_passes_within_the_range_only() -> None:
    values = tf.constant([-9.0, 0.0, 1.0, 9.0])
    for fused in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(values)
            rounded = layers.round_to_steps(values, -1.3, 2.2, bits=8, fused=fused)
        assert rounded[1] == 0
        assert np.array_equal(tape.gradient(rounded, values), [0, 1, 1, 0])


def test_each_channel_has_the_steps_of_its_own_range() -> None:
    layer = layers.FakeQuantize(per_channel=True, moving_rate=0.5, fused=False)
    values = np.random.default_rng(0).normal(size=(4, 50, 3)).astype(np.float32) * np.float32([1, 0.01, 100])
    layer.build(values.shape)
    layer.minimum.assign([-4.0, -0.01, -300.0])
    layer.maximum.assign([3.0, 0.05, 400.0])
    np.testing.assert_allclose(layer.channel_ranges(), [4.0, 0.05, 400.0])
    assert layer.real_range() == (-400.0, 400.0) and layer.result_bits == 16
    rounded = np.asarray(layer(values))
    wide = 400 / 32767  # all lie on the 16-bit grid of the largest range at last
    np.testing.assert_allclose(rounded / wide, np.round(rounded / wide), atol=2e-2)
    for channel, end in enumerate(layer.channel_ranges()):
        shares = rounded[..., channel] / (end / 127)
        assert np.abs(shares - np.round(shares)).max() * end / 127 <= 0.51 * wide
        near = np.abs(values[..., channel]) < end
        assert np.abs(rounded - values)[..., channel][near].max() <= 0.51 * (end / 127 + wide)
    layer(values, training=True)
    np.testing.assert_allclose(layer.maximum[2], (400 + layers.OFF_THE_GRID * values[..., 2].max()) / 2, rtol=1e-5)
    copy = layers.FakeQuantize.from_config(layer.get_config())
    assert copy.per_channel


def test_the_pixel_grid_gives_whole_grey_levels_about_a_whole_zero_point() -> None:
    grid = layers.PixelGrid(scale=1 / 127.5, offset=-1.0)
    pixels = np.arange(256, dtype=np.float32)
    scaled = np.asarray(grid(pixels / np.float32(127.5) - 1))
    np.testing.assert_allclose(scaled, (np.arange(256) - grid.zero_point) / 127.5, atol=1e-6)
    assert grid.real_range == pytest.approx((scaled[0], scaled[-1]))


def test_ranges_follow_while_they_may_and_stay_once_frozen() -> None:
    layer = layers.FakeQuantize(moving_rate=0.5)
    layer.build((None, 3))
    layer(np.array([[-2.0, 1.0, 4.0]], np.float32), training=True)
    followed = -layers.OFF_THE_GRID, 2 * layers.OFF_THE_GRID
    assert (float(layer.minimum), float(layer.maximum)) == followed
    layer.moving_rate.assign(0.0)
    layer(np.array([[-9.0, 1.0, 9.0]], np.float32), training=True)
    assert (float(layer.minimum), float(layer.maximum)) == followed


def test_every_layer_comes_back_from_a_keras_file_under_safe_mode(tmp_path: Path) -> None:
    x = inputs = keras.Input((8, 8, 3))
    x = layers.PixelGrid(scale=1.0, offset=0.0)(x)
    x = layers.CompressedConv2D(4, 3, weight_bits=4, masked=True, activation="relu")(x)
    x = layers.FakeQuantize()(x)
    x = layers.CompressedDepthwiseConv2D(3, weight_bits=8, masked=True)(x)
    x = layers.QuantizedLayerNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = layers.FakeQuantize(fixed_range=(0, 255 / 256))(layers.CompressedDense(2, activation="sigmoid")(x))
    model = keras.Model(inputs, outputs)
    for layer in model.layers:
        if isinstance(layer, layers.FakeQuantize) and layer.fixed_range is None:
            layer.maximum.assign(0.7)
    normalization = next(layer for layer in model.layers if isinstance(layer, layers.QuantizedLayerNormalization))
    for quantizer in normalization.quantizers.values():
        quantizer.minimum.assign(-1.5)
        quantizer.maximum.assign(2.5)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.float32)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert np.array_equal(loaded.predict(pixels, verbose=0), model.predict(pixels, verbose=0))


@pytest.mark.parametrize(("ends", "nearest"), [((0.0, 255.0), [0, 1, 127, 129, 255]), ((-128.0, 127.0), [0, 2, -128])])
def test_means_half_way_between_two_steps_go_away_from_the_signed_zero(
    ends: tuple[float, float], nearest: list[int]
) -> None:
    # Of a range from 0, the signed zero is step 128: below it a tie goes down.
    means = [0.5, 1.5, 127.5, 128.5, 255.0] if ends[0] == 0 else [0.3, 1.5, -127.5]
    rounded = layers.round_means(np.float32(means), *ends, bits=8, averaged=2)
    np.testing.assert_array_equal(rounded, np.float32(nearest))


def test_means_of_bilinear_upsampling_go_up_at_a_tie_and_a_sliver_below_it() -> None:
    means = np.float32([0.5, 1.4999999, 2.4375, -0.5])
    rounded = layers.round_means(means, -128.0, 127.0, bits=8, averaged=16, upwards=True)
    np.testing.assert_array_equal(rounded, np.float32([1, 2, 2, 0]))


def test_rounded_means_pass_their_gradient_within_the_range_only() -> None:
    values = tf.constant([-9.0, 1.0, 9.0])
    with tf.GradientTape() as tape:
        tape.watch(values)
        rounded = layers.round_means(values, -1.3, 2.2, bits=8, averaged=4)
    assert np.array_equal(tape.gradient(rounded, values), [0, 1, 0])


@pytest.mark.parametrize(("name", "exact"), [("sigmoid", lambda x: 1 / (1 + np.exp(-x))), ("tanh", np.tanh)])
def test_predicted_sigmoids_are_right_to_the_last_bit(name: str, exact: Any) -> None:
    """TensorFlow's own are off in the last bits, and a value half way between two steps then goes to the other."""
    layer = layers.PreciseActivation(name)
    values = np.random.default_rng(0).uniform(-6, 6, 5000).astype(np.float32)
    wanted = exact(values.astype(np.float64)).astype(np.float32)
    assert np.array_equal(layer(values), wanted)
    assert np.array_equal(layer(values, training=True), keras.activations.get(name)(values))
    layer.enabled = False
    assert np.array_equal(layer(values), keras.activations.get(name)(values))
