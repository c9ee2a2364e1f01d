"""Pruning: masks change nothing until a schedule sets them, and what they take away stays away."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tfkit.artifacts import compressed_bytes
from tfkit.compression import quantize_aware
from tfkit.compression.pruning import (
    ConstantSparsity,
    NOfM,
    PolynomialDecay,
    PruneWeights,
    check_pruning,
    prunable,
    pruning_coverage,
    sparsity,
    strip_pruning,
)
from tfkit.compression.pruning.callback import magnitude_masks, masked_layers, n_of_m_mask
from tfkit.errors import ConfigError, ModelError
from tfkit.models import load_model_file, save_model_file, with_dtype_policy

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(64, 12, 12, 3)).astype(np.float32)
LABELS = keras.utils.to_categorical(IMAGES.mean(axis=(1, 2, 3)) > 0, 2)


def network() -> keras.Model:
    """Every kind of layer with a kernel; a nested model; a Dense that is called twice."""
    keras.utils.set_random_seed(1)
    inner_input = keras.Input((12, 12, 16))
    inner = keras.layers.SeparableConv2D(16, 3, padding="same", activation="relu", name="separable")(inner_input)
    inner = keras.layers.BatchNormalization(name="norm")(keras.layers.DepthwiseConv2D(3, name="depthwise")(inner))
    nested = keras.Model(inner_input, inner, name="nested")
    pixels = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu", name="stem")(pixels)
    x = keras.layers.Conv2DTranspose(16, 3, padding="same", name="transposed")(nested(x))
    x = keras.layers.Reshape((100, 16))(x)
    x = keras.layers.Conv1D(16, 3, groups=2, name="grouped")(x)
    x = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling1D()(x))
    twice = keras.layers.Dense(16, activation="relu", name="twice")
    return keras.Model(pixels, keras.layers.Dense(2, name="logits")(twice(twice(x))), name="network")


def small() -> keras.Model:
    keras.utils.set_random_seed(2)
    layers = [
        keras.Input((12, 12, 3)),
        keras.layers.Conv2D(16, 3, strides=2, activation="relu", name="stem"),
        keras.layers.Conv2D(32, 3, use_bias=False, name="middle"),
        keras.layers.BatchNormalization(momentum=0.9),
        keras.layers.ReLU(),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(2, name="logits"),
    ]
    return keras.Sequential(layers)


def train(
    model: keras.Model,
    *callbacks: keras.callbacks.Callback,
    epochs: int = 3,
    optimizer: keras.optimizers.Optimizer | None = None,
    jit: bool = False,
    **options,
) -> dict[str, list[float]]:
    """Four batches an epoch; goes on with the optimizer that the model has."""
    if not model.compiled:
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        model.compile(optimizer or keras.optimizers.Adam(1e-2), loss, jit_compile=jit)
    options |= {"batch_size": 16, "verbose": 0, "epochs": epochs, "callbacks": list(callbacks)}
    return model.fit(IMAGES, LABELS, **options).history


def masks(model: keras.Model) -> dict[str, np.ndarray]:
    return {layer.name: np.array(layer.mask) for layer in masked_layers(model)}


def test_masks_of_ones_change_no_bit() -> None:
    model = network()
    everything = prunable(model, first=True, depthwise=True)
    np.testing.assert_array_equal(model(IMAGES), everything(IMAGES))
    named = {
        "stem",
        "separable_depthwise",
        "separable_pointwise",
        "depthwise",
        "transposed",
        "grouped",
        "twice",
        "logits",
    }
    assert set(masks(everything)) == named


def test_the_first_convolution_and_depthwise_kernels_stay_dense() -> None:
    assert set(masks(prunable(network()))) == {"separable_pointwise", "transposed", "grouped", "twice", "logits"}
    rows = {row.layer: row.reason for row in pruning_coverage(network(), last=False).layers if not row.pruned}
    assert rows == {
        "stem": "the first convolution",
        "separable_depthwise": "depthwise kernels are few",
        "depthwise": "depthwise kernels are few",
        "logits": "the last layer",
    }


def test_layers_without_a_masked_form_are_named() -> None:
    tokens = keras.Input((4, 8))
    attended = keras.layers.MultiHeadAttention(2, 4, name="attention")(tokens, tokens)
    model = keras.Model(tokens, keras.layers.Dense(2, name="dense")(attended))
    coverage = pruning_coverage(model)
    assert {row.layer: row.reason for row in coverage.layers} == {
        "attention": "MultiHeadAttention has no masked form",
        "dense": "",
    }
    assert coverage.share == pytest.approx(16 / model.count_params())


def test_a_dense_network_is_pruned_from_its_first_layer_on() -> None:
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, name="one"), keras.layers.Dense(2, name="two")])
    assert set(masks(prunable(model))) == {"one", "two"}


def test_skipping_takes_names_and_patterns() -> None:
    assert set(masks(prunable(network(), skip=["separable", "tw*"]))) == {"transposed", "grouped", "logits"}
    assert any(layer.name == "separable" for layer in prunable(network(), skip=["separable"]).layers)


def test_all_faults_of_skip_are_told_at_once() -> None:
    with pytest.raises(ModelError, match=r"'stm'; did you mean 'stem'\?.*'lgits'; did you mean 'logits'\?"):
        prunable(small(), skip=["stm", "lgits"])
    with pytest.raises(ModelError, match=r"nothing is left to prune .*'stem': the first convolution"):
        prunable(small(), skip=["middle", "logits"])
    with pytest.raises(ModelError, match="no layer has a kernel"):
        prunable(keras.Sequential([keras.Input((4,)), keras.layers.ReLU()]))


def test_the_polynomial_is_that_of_the_paper() -> None:
    schedule = PolynomialDecay(initial_sparsity=0.2, final_sparsity=0.8, begin_step=100, end_step=300, frequency=50)
    assert schedule.sparsity(100) == pytest.approx(0.2)
    assert schedule.sparsity(200) == pytest.approx(0.8 - 0.6 * 0.5**3)
    assert schedule.sparsity(300) == schedule.sparsity(1000) == 0.8
    assert [schedule.last_update(step) for step in (99, 100, 149, 150, 299, 300, 999)] == [
        None,
        100,
        100,
        150,
        250,
        300,
        300,
    ]


def test_the_polynomial_equals_tfmots() -> None:
    tfmot = pytest.importorskip("tensorflow_model_optimization")
    settings = {"initial_sparsity": 0.1, "final_sparsity": 0.9, "begin_step": 10, "end_step": 70, "frequency": 7}
    theirs, ours = tfmot.sparsity.keras.PolynomialDecay(**settings), PolynomialDecay(**settings)
    for step in range(10, 70):
        due, share = theirs(step)
        assert bool(due) == (ours.last_update(step) == step)
        assert ours.sparsity(step) == pytest.approx(float(share), abs=1e-6)


def test_schedules_refuse_nonsense_all_at_once() -> None:
    with pytest.raises(ConfigError, match=r"final_sparsity must be in \[0, 1\); got 1.0; end_step 5 comes before .* 9"):
        PolynomialDecay(final_sparsity=1.0, begin_step=9, end_step=5)
    with pytest.raises(ConfigError, match=r"target_sparsity must be in .*; frequency must be 1"):
        ConstantSparsity(target_sparsity=-0.1, frequency=0)
    with pytest.raises(ConfigError, match="n must be less than m"):
        NOfM(n=4, m=2)
    with pytest.raises(ConfigError, match="end_step must be given"):
        PolynomialDecay(final_sparsity=0.5)


def test_masks_count_exactly_even_with_equal_weights() -> None:
    equal = np.ones((10, 10), np.float32)
    assert magnitude_masks([equal], 0.37)[0].sum() == 63
    first, second = magnitude_masks([equal, np.full((5,), 0.5, np.float32)], 5 / 105)
    assert first.all()
    assert not second.any()


def test_two_of_four_keeps_the_largest_along_the_inputs() -> None:
    kernel = RNG.normal(size=(3, 3, 8, 5))
    mask = n_of_m_mask(kernel, n=2, m=4, axis=-2)
    groups = np.moveaxis(mask * np.abs(kernel), -2, -1).reshape(-1, 4)
    assert ((groups > 0).sum(axis=1) == 2).all()
    everything = np.moveaxis(np.abs(kernel), -2, -1).reshape(-1, 4)
    np.testing.assert_allclose(groups.sum(axis=1), np.sort(everything, axis=1)[:, 2:].sum(axis=1))


def test_training_prunes_by_the_schedule_and_masked_weights_stand_still() -> None:
    model = prunable(small())
    callback = PruneWeights(PolynomialDecay(final_sparsity=0.8, end_step=8, frequency=2))
    history = train(model, callback, epochs=2, optimizer=keras.optimizers.SGD(0.1))
    assert history["sparsity"] == pytest.approx([0.7, 0.8], abs=1e-3)
    kernel, mask = np.array(model.get_layer("middle").kernel), masks(model)["middle"]
    assert mask.sum() == round(0.2 * mask.size)
    train(model, epochs=1)
    after = np.array(model.get_layer("middle").kernel)
    np.testing.assert_array_equal(after[mask == 0], kernel[mask == 0])
    assert not np.array_equal(after[mask == 1], kernel[mask == 1])
    np.testing.assert_array_equal(masks(model)["middle"], mask)


def test_two_of_four_in_training() -> None:
    model = prunable(small(), skip=["logits"])
    train(model, PruneWeights(NOfM(begin_step=2, end_step=2)), epochs=1)
    groups = np.moveaxis(masks(model)["middle"], -2, -1).reshape(-1, 4)
    assert (groups.sum(axis=1) == 2).all()


def test_a_global_budget_takes_the_smallest_wherever_they_are() -> None:
    model = prunable(small())
    model.get_layer("logits").kernel.assign(model.get_layer("logits").kernel * 100)
    train(model, PruneWeights(ConstantSparsity(target_sparsity=0.5, end_step=0), scope="global"), epochs=1)
    assert masks(model)["logits"].all()
    assert sparsity(model).masked_share == pytest.approx(0.5, abs=1e-3)


def test_layers_may_have_budgets_of_their_own() -> None:
    model = prunable(small())
    schedule = PolynomialDecay(final_sparsity=0.5, end_step=4)
    train(model, PruneWeights(schedule, budgets={"mid*": 0.9}), epochs=1)
    assert {row.layer: row.share for row in sparsity(model).layers if row.masked is not None} == pytest.approx(
        {"middle": 0.9, "logits": 0.5}, abs=1e-3
    )


def test_faults_are_told_before_training() -> None:
    with pytest.raises(ModelError, match="no layer has a mask"):
        train(small(), PruneWeights(ConstantSparsity(target_sparsity=0.5)))
    with pytest.raises(ModelError, match=r"multiples of 4: 'stem' has 3, 'depthwise' has 1"):
        check_pruning(prunable(network(), first=True, skip=["separable*"], depthwise=True), NOfM())
    with pytest.raises(ModelError, match=r"must be in \[0, 1\); got 1.5; .*did you mean 'middle'.*scope='global'"):
        check_pruning(prunable(small()), ConstantSparsity(target_sparsity=0.5), scope="global", budgets={"midle": 1.5})
    with pytest.raises(ModelError, match="ends at step 100, after the training's last step 12"):
        train(prunable(small()), PruneWeights(PolynomialDecay(final_sparsity=0.5, end_step=100)))


def test_training_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    schedule = PolynomialDecay(final_sparsity=0.8, end_step=10, frequency=2)
    whole = prunable(small())
    train(whole, PruneWeights(schedule), epochs=3, shuffle=False)
    half = prunable(small())
    train(half, PruneWeights(schedule), _StopAfter(1), epochs=3, shuffle=False)
    half.save(tmp_path / "half.keras")
    again = keras.models.load_model(tmp_path / "half.keras")
    assert sparsity(again).masked_share == pytest.approx(schedule.sparsity(4), abs=1e-3)
    train(again, PruneWeights(schedule), epochs=3, initial_epoch=1, shuffle=False)
    for name, mask in masks(whole).items():
        np.testing.assert_array_equal(masks(again)[name], mask)


class _StopAfter(keras.callbacks.Callback):
    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.model.stop_training = epoch + 1 >= self._epochs


def test_steps_are_the_optimizers_with_gradient_accumulation() -> None:
    model = prunable(small())
    optimizer = keras.optimizers.Adam(1e-2, gradient_accumulation_steps=2)
    schedule = PolynomialDecay(final_sparsity=0.8, end_step=4, frequency=1)
    history = train(model, PruneWeights(schedule), epochs=2, optimizer=optimizer)
    assert history["sparsity"] == pytest.approx([schedule.sparsity(2), 0.8], abs=1e-3)


@pytest.mark.slow
def test_mixed_precision_xla_and_moving_averages_keep_the_zeros() -> None:
    model = with_dtype_policy(prunable(small()), "mixed_float16")
    optimizer = keras.optimizers.AdamW(1e-2, use_ema=True, ema_momentum=0.5)
    averaging = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    history = train(
        model, averaging, PruneWeights(ConstantSparsity(target_sparsity=0.75)), optimizer=optimizer, jit=True
    )
    assert history["sparsity"][-1] == pytest.approx(0.75, abs=1e-3)
    plain = strip_pruning(with_dtype_policy(model, "float32"))
    assert sparsity(plain).layers[1].share == pytest.approx(0.75, abs=1e-3)


def test_stripping_leaves_plain_layers_with_the_same_answers(tmp_path: Path) -> None:
    model = prunable(network())
    for layer in masked_layers(model):
        layer.mask.assign(magnitude_masks([np.array(layer.kernel)], 0.8)[0])
    save_model_file(model, tmp_path / "masked.keras")
    plain = strip_pruning(load_model_file(tmp_path / "masked.keras"))
    np.testing.assert_array_equal(model(IMAGES), plain(IMAGES))
    assert not any(type(layer).__module__.startswith("tfkit") for layer in plain.layers)
    assert sparsity(plain).share == sparsity(model).share
    again = prunable(model, skip=["logits"])
    assert {name: mask.mean() for name, mask in masks(again).items()} == {
        name: mask.mean() for name, mask in masks(model).items()
    }


def test_the_sparsity_report_counts_zeros_and_parameters(tmp_path: Path) -> None:
    dense = small()
    model = prunable(dense)
    assert sparsity(model).parameters == dense.count_params()
    assert sparsity(model).share == sparsity(model).masked_share == 0
    train(model, PruneWeights(ConstantSparsity(target_sparsity=0.9)), epochs=1)
    report = sparsity(model)
    assert report.masked_share == pytest.approx(0.9, abs=2e-3)
    stem, middle, logits = report.layers
    assert (stem.masked, middle.weights, logits.kind) == (None, 4608, "CompressedDense")
    assert report.share_of_parameters == pytest.approx(sum(row.zeros for row in report.layers) / dense.count_params())
    for name, saved in (("dense", dense), ("sparse", strip_pruning(model))):
        np.save(tmp_path / f"{name}.npy", np.concatenate([value.ravel() for value in saved.get_weights()]))
    assert compressed_bytes(tmp_path / "sparse.npy") < 0.4 * compressed_bytes(tmp_path / "dense.npy")


def test_tensorboard_shows_each_layers_sparsity(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    callback = PruneWeights(ConstantSparsity(target_sparsity=0.5), log_directory=tmp_path / "sparsity")
    board = keras.callbacks.TensorBoard(tmp_path, write_graph=False)
    train(prunable(small()), callback, board, epochs=2)
    events = EventAccumulator(str(tmp_path / "sparsity")).Reload()
    assert events.Tags()["tensors"] == ["sparsity/middle", "sparsity/logits"]
    assert "epoch_sparsity" in EventAccumulator(str(tmp_path / "train")).Reload().Tags()["tensors"]


def test_quantisation_aware_training_keeps_the_zeros() -> None:
    model = prunable(small())
    train(model, PruneWeights(PolynomialDecay(final_sparsity=0.8, end_step=6, frequency=2)), epochs=2)
    aware = quantize_aware(model, IMAGES, input_range=(-1.0, 1.0))
    train(aware, epochs=2)
    for name, mask in masks(model).items():
        np.testing.assert_array_equal(masks(aware)[name], mask)
        used = np.array(aware.get_layer(name).effective_kernel())
        assert not used[mask == 0].any()
        assert np.count_nonzero(used) == mask.sum()
    assert not np.array_equal(aware.get_layer("middle").kernel, model.get_layer("middle").kernel)
    stripped = strip_pruning(aware)
    np.testing.assert_array_equal(aware(IMAGES), stripped(IMAGES))
    assert not masked_layers(stripped)
    assert sparsity(stripped).share == sparsity(aware).share


def test_a_model_in_quantisation_aware_training_can_be_pruned() -> None:
    aware = quantize_aware(small(), IMAGES, input_range=(-1.0, 1.0))
    model = prunable(aware)
    np.testing.assert_array_equal(aware(IMAGES), model(IMAGES))
    assert model.get_layer("middle").weight_bits == 8
    train(model, PruneWeights(ConstantSparsity(target_sparsity=0.5)), epochs=1)
    assert sparsity(model).masked_share == pytest.approx(0.5, abs=1e-3)
