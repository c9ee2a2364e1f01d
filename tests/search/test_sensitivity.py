"""The layer whose rounding hurts is found, and layers are left in float until it is enough."""

import keras
import numpy as np
import pytest

from tfkit.data import DatasetSplits
from tfkit.search import Budget, search_within_budget, write_search_report
from tfkit.search.preparation import searchable_classifier
from tfkit.search.sensitivity import choose_float_layers, measure_sensitivity
from tfkit.search.training import some_images

HURT = "stage1_block1_1"


@pytest.fixture(scope="module")
def hurt(model: keras.Model) -> keras.Model:
    """The same function, but one layer's outputs have a channel so large that the others share a few steps.

    The layer after it does not look at that channel.
    """
    prepared = searchable_classifier(model)
    norm, after = prepared.get_layer(f"{HURT}_bn"), prepared.get_layer("stage1_block1_2_conv")
    norm.beta.assign(np.where(np.arange(16) == 0, 3000.0, norm.beta))
    kernel = np.copy(after.kernel)
    kernel[:, :, 0] = 0
    after.kernel.assign(kernel)
    return prepared


def test_the_layer_that_hurts_is_the_most_sensitive(hurt, digits: DatasetSplits, image) -> None:
    pixels, labels = some_images(digits.train, image, 60)
    before = np.asarray(hurt(pixels.astype("float32"), training=False))
    found = measure_sensitivity(hurt, pixels, labels, calibration=pixels)
    worst = max(found, key=lambda layer: layer.divergence)
    assert worst.name == f"{HURT}_conv"
    assert worst.layers == (f"{HURT}_conv", f"{HURT}_bn", f"{HURT}_relu")
    assert worst.divergence > 5 * sorted(layer.divergence for layer in found)[-2]
    assert worst.takers == ("stage1_block1_2_conv", "stage1_block1_2_bn")
    assert {layer.name for layer in hurt.layers if layer.weights} <= {name for layer in found for name in layer.layers}
    assert all(layer.divergence >= 0 for layer in found)
    np.testing.assert_array_equal(before, hurt(pixels.astype("float32"), training=False))


def test_neighbours_are_measured_together_where_time_is_short(hurt, digits: DatasetSplits, image) -> None:
    pixels, labels = some_images(digits.train, image, 60)
    (whole,) = measure_sensitivity(hurt, pixels, labels, calibration=pixels, max_seconds=1e-9)
    assert whole.name.startswith("stem_conv to ") and len(whole.layers) > 20


@pytest.mark.slow
def test_layers_are_left_in_float_until_the_accuracy_is_back(hurt, digits: DatasetSplits, image) -> None:
    pixels, labels = some_images(digits.train, image, 60)
    found = measure_sensitivity(hurt, pixels, labels, calibration=pixels)
    choice = choose_float_layers(hurt, found, pixels, labels, calibration=pixels, max_drop=0.02)
    (_, alone), (_, with_takers) = choice.tried
    assert alone > 0.1 and with_takers <= 0.02, "what the layer gives is rounded until its takers are in float too"
    reasons = {layer.name: layer.reason for layer in choice.layers}
    assert next(iter(reasons)) == f"{HURT}_conv" and "moves the answers by" in reasons[f"{HURT}_conv"]
    assert reasons[f"{HURT}_bn"] == f"runs with '{HURT}_conv'"
    assert reasons["stage1_block1_2_conv"].startswith(f"takes what '{HURT}_conv' gives")
    choice = choose_float_layers(hurt, found, pixels, labels, calibration=pixels, max_drop=-1.0)
    assert choice.layers == () and len(choice.tried) == 6


@pytest.mark.slow
def test_a_file_with_sensitive_layers_in_float_is_accepted_with_their_names(
    hurt, digits: DatasetSplits, image, tmp_path
) -> None:
    budget, options = Budget(max_accuracy_drop=0.03), {"sensitivity_images": 60, "max_files": 0}
    result = search_within_budget(hurt, digits, image, budget=budget, directory=tmp_path, **options)
    files = {file.name: file for file in result.candidates}
    selective = files["selective"]
    assert files["int8"].misses and selective.within
    assert selective.float_ops > 0 and selective.float_layers[0].name == f"{HURT}_conv"
    page = write_search_report(result, tmp_path, name="hurt").read_text()
    assert all(layer.name in page for layer in selective.float_layers)
