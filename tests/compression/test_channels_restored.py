"""After channels are removed, the others stand in for them, and BatchNorm spreads its outputs as it did before."""

import dataclasses

import keras
import numpy as np
import pytest

from tfkit.compression.channels import plan_channel_pruning, prune_channels, prune_channels_restored


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3)).astype(np.uint8)


def chain(*, folded: bool, norm: bool = True):
    """Four convolutions, each with a BatchNorm of random or folded statistics."""
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(1)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    for number in range(4):
        x = keras.layers.Conv2D(32, 3, padding="same", use_bias=not norm)(x)
        if norm:
            layer = keras.layers.BatchNormalization(name=f"norm_{number}")
            x = layer(x)
            shift, one = random.normal(0, 1, 32), np.ones(32)
            spread = one if folded else random.uniform(0.5, 2, 32)
            layer.set_weights([spread, shift, 0 * one if folded else shift / 2, one if folded else spread**2])
        x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


def spreads(model, pixels):
    """Mean and standard deviation of each channel behind each BatchNorm."""
    norms = [layer for layer in model.layers if layer.name.startswith("norm_")]
    probe = keras.Model(model.inputs, [norm.output for norm in norms])
    values = [keras.ops.convert_to_numpy(value) for value in probe(pixels.astype(np.float32), training=False)]
    return [np.stack([value.mean(axis=(0, 1, 2)), value.std(axis=(0, 1, 2))]) for value in values]


@pytest.mark.parametrize("folded", [False, True])
def test_every_channel_is_spread_as_in_the_whole_model(folded, pixels):
    whole = chain(folded=folded)
    before = [weight.copy() for weight in whole.get_weights()]
    plan = plan_channel_pruning(whole, criterion="weight_norm", keep=0.5)
    restored = spreads(prune_channels_restored(whole, plan, pixels), pixels)
    cut = spreads(prune_channels(whole, plan), pixels)
    kept = [group.kept for group in plan.groups if len(group.kept) == 16]
    wanted = [spread[:, list(places)] for spread, places in zip(spreads(whole, pixels), kept, strict=True)]
    for mine, target in zip(restored, wanted, strict=True):
        np.testing.assert_allclose(mine, target, atol=2e-2 * np.abs(target).max())
    assert any(np.abs(mine - target).max() > 0.2 for mine, target in zip(cut[1:], wanted[1:], strict=True))
    for old, new in zip(before, whole.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def difference(model, whole, pixels):
    """Root mean square of the difference of the outputs, as a share of the whole model's."""
    mine, theirs = (np.asarray(one(pixels.astype(np.float32), training=False)) for one in (model, whole))
    return float(np.sqrt(np.mean((mine - theirs) ** 2) / np.mean(theirs**2)))


def doubled(*, kind):
    """A network with every channel there twice: half of them can go without a loss, if the others stand in."""
    keras.utils.set_random_seed(2)
    layers, random = keras.layers, np.random.default_rng(2)
    inputs = keras.Input((16, 16, 3))
    first = layers.Conv2D(32, 3, strides=2, activation="relu", name="first")
    x = first(layers.Rescaling(1 / 127.5, offset=-1)(inputs))
    if kind == "convolution":
        x = layers.Conv2D(24, 3, padding="same", name="second")(x)
    else:
        x = layers.Conv2D(24, 1, use_bias=False, name="second")(layers.DepthwiseConv2D(3, name="depthwise")(x))
    model = keras.Model(inputs, layers.Dense(4, name="last")(layers.Flatten()(x)))
    # The copies are a little smaller, so that the criterion takes them; a depthwise layer copies copies.
    for name in ("first", "depthwise")[: 1 + (kind == "separable")]:
        layer = model.get_layer(name)
        axes = (0, 1, 3) if name == "depthwise" else (0, 1, 2)
        kernel = layer.kernel.numpy()
        kernel = np.moveaxis(kernel / np.abs(kernel).sum(axis=axes, keepdims=True), axes, (1, 2, 3))[:16]
        kernel = np.concatenate([kernel, (1.0 if name == "depthwise" else 0.9) * kernel])
        bias = random.normal(0, 0.1, 16)
        layer.set_weights([np.moveaxis(kernel, (1, 2, 3), axes), np.r_[bias, 0.9 * bias]])
    return model


@pytest.mark.parametrize("kind", ["convolution", "separable"])
def test_channels_that_are_there_twice_are_not_missed(kind, pixels):
    whole = doubled(kind=kind)
    plan = plan_channel_pruning(whole, criterion="weight_norm", keep=0.5)
    groups = [group if group.name == "first" else all_of(group) for group in plan.groups]
    assert groups[0].kept == tuple(range(16))
    plan = dataclasses.replace(plan, groups=tuple(groups))
    assert difference(prune_channels(whole, plan), whole, pixels) > 0.2
    assert difference(prune_channels_restored(whole, plan, pixels), whole, pixels) < 0.02


def all_of(group):
    return dataclasses.replace(group, kept=tuple(range(group.width)))


@pytest.mark.parametrize("norm", [False, True])
def test_a_cut_network_is_nearer_to_the_whole_one_than_what_was_left_of_it(norm, pixels):
    whole = chain(folded=False, norm=norm)
    plan = plan_channel_pruning(whole, criterion="weight_norm", keep=0.5)
    cut, restored = prune_channels(whole, plan), prune_channels_restored(whole, plan, pixels)
    assert difference(restored, whole, pixels) < 0.8 * difference(cut, whole, pixels)


def test_a_layer_used_twice_keeps_its_kernel(pixels):
    keras.utils.set_random_seed(3)
    inputs, twice = keras.Input((16, 16, 3)), keras.layers.Conv2D(32, 3, padding="same", name="twice")
    x = twice(keras.layers.ReLU()(twice(keras.layers.Conv2D(32, 3, name="first")(inputs))))
    whole = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    plan = plan_channel_pruning(whole, criterion="weight_norm", keep=0.5)
    cut, restored = prune_channels(whole, plan), prune_channels_restored(whole, plan, pixels)
    np.testing.assert_array_equal(restored.get_layer("twice").kernel, cut.get_layer("twice").kernel)


def test_layers_of_one_name_in_two_nested_models_are_fitted_each_for_itself(pixels):
    def branch(seed):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((16, 16, 3))
        x = keras.layers.Conv2D(32, 3, activation="relu", name="first")(inputs)
        return keras.Model(inputs, keras.layers.Conv2D(8 * seed, 1, name="second")(x), name=f"branch_{seed}")

    image = keras.Input((16, 16, 3))
    x = keras.layers.Concatenate()([branch(2)(image), branch(4)(image)])
    whole = keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    plan = plan_channel_pruning(whole, criterion="weight_norm", keep=0.5)
    cut, restored = prune_channels(whole, plan), prune_channels_restored(whole, plan, pixels)
    assert difference(restored, whole, pixels) < difference(cut, whole, pixels)
    seconds = [layer.name for layer in cut.layers if "second" in layer.name]
    assert len(seconds) == 2
    for name in seconds:
        assert not np.allclose(restored.get_layer(name).kernel, cut.get_layer(name).kernel)
