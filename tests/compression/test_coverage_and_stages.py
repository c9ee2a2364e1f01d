"""What is told before training, and how stages of pruning and quantisation are made ready."""

import keras
import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.compression import (
    FreezeRanges,
    PruningSettings,
    QuantizationPolicy,
    compression_coverage,
    distiller,
    fake_quantizers,
    grouped_coverage,
    prepare_quantization,
    prepare_weight_pruning,
    quantization_coverage,
)
from tfkit.errors import ModelError
from tfkit.models import build_backbone, build_classifier, logits_model


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return build_classifier(build_backbone("resnet8", image=ImageSpec(16, 16)), classes=3)


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3)).astype(np.uint8)


def test_the_coverage_is_told_in_one_line(model):
    told = compression_coverage(model, pruning=PruningSettings(), quantization=QuantizationPolicy(skip=["logits"]))
    assert told.sentence == "31 layers int8, 1 float; 9 of 10 layers pruned (98% of the weights)"
    assert compression_coverage(model).sentence == ""


def test_4_bit_layers_are_counted_apart(model):
    sentence = compression_coverage(model, quantization=QuantizationPolicy(weight_bits=4)).sentence
    assert "int4" in sentence and "int8" in sentence and sentence.endswith("0 float")


def test_layers_treated_alike_make_one_row(model):
    rows = quantization_coverage(model, policy=QuantizationPolicy(skip=["logits"]))
    groups = grouped_coverage(rows)
    assert sum(group.layers for group in groups) == len(rows) and len(groups) < len(rows) / 2
    assert groups[0].precision == "float32" and groups[0].reason == "left in float: skip"


def test_faults_of_pruning_and_of_quantisation_come_together(model):
    with pytest.raises(ModelError) as caught:
        compression_coverage(
            model, pruning=PruningSettings(skip=["stm"]), quantization=QuantizationPolicy(skip=["logit"])
        )
    assert "'stm'" in str(caught.value) and "logit" in str(caught.value)


def test_a_schedule_leaves_a_third_of_the_steps_to_recover():
    settings = PruningSettings(sparsity=0.8)
    assert settings.schedule(steps=90).end_step == 60 and settings.schedule(steps=90).final == 0.8
    assert settings.schedule(steps=1).end_step == 1
    assert PruningSettings(method="n_of_m", pattern=(1, 4)).schedule(steps=9).final == 0.75


def test_pruning_that_cannot_be_is_refused_when_it_is_made_ready(model):
    with pytest.raises(ModelError, match="input channels in multiples of 5"):
        prepare_weight_pruning(model, PruningSettings(method="n_of_m", pattern=(2, 5)), steps=10)


def test_ranges_stand_still_under_a_distiller_too(model, pixels):
    """The callback sees the distiller, and must find the quantisers in its student."""
    prepared = prepare_quantization(model, pixels, policy=QuantizationPolicy(), moving_epochs=1)
    teaching = distiller(logits_model(prepared.model), logits_model(model))
    teaching.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=False)
    freezing = FreezeRanges(after_epochs=0)
    freezing.set_model(teaching)
    freezing.on_epoch_begin(0)
    rates = [float(q.moving_rate.numpy()) for q in fake_quantizers(prepared.model) if q.fixed_range is None]
    assert rates and not any(rates)
