"""After channels are removed, BatchNorm spreads its outputs as it did before, even where it was folded."""

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


def test_a_model_without_batch_norm_is_only_cut(pixels):
    whole = chain(folded=False, norm=False)
    plan = plan_channel_pruning(whole, criterion="weight_norm", keep=0.5)
    for mine, theirs in zip(
        prune_channels_restored(whole, plan, pixels).get_weights(),
        prune_channels(whole, plan).get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)
