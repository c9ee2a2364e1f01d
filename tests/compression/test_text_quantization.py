"""Quantisation-aware training of an opened transformer: all in integers, or its weights alone."""

import keras
import numpy as np
import pytest

from tfkit.compression import (
    FreezeRanges,
    QuantizationPolicy,
    fake_quantizers,
    fold,
    is_compressed,
    is_quantize_aware,
    quantization_coverage,
    quantize_aware,
    set_quantizers,
    settle_biases,
    strip_compression,
    trained_kernels,
)
from tfkit.errors import ModelError
from tfkit.graph import read_graph
from tfkit.layers import AttentionMask, CompressedDense, CompressedEmbedding
from tfkit.models.text import open_transformer, with_sequence_length

WEIGHTS_ONLY = QuantizationPolicy(activation_bits=32)
LENGTH = 8


@pytest.fixture(scope="module")
def opened(small_text_classifier):
    return open_transformer(small_text_classifier)


@pytest.fixture(scope="module")
def targets():
    return np.eye(3, dtype=np.float32)[np.random.default_rng(0).integers(0, 3, 64)]


@pytest.fixture(scope="module")
def student(opened, short_texts, targets):
    """All integer, and trained for two epochs."""
    model = quantize_aware(opened, short_texts)
    model.compile(keras.optimizers.Adam(1e-3), "categorical_crossentropy")
    model.fit(short_texts, targets, epochs=2, verbose=0, callbacks=[FreezeRanges(after_epochs=1)])
    return model


@pytest.fixture(scope="module")
def light_student(opened, short_texts, targets):
    """Its weights on their grids, and trained for two epochs."""
    model = quantize_aware(opened, short_texts, policy=WEIGHTS_ONLY)
    model.compile(keras.optimizers.Adam(1e-3), "categorical_crossentropy")
    model.fit(short_texts, targets, epochs=2, verbose=0)
    return model


def test_every_layer_of_an_opened_transformer_becomes_an_integer_one(opened):
    rows = quantization_coverage(opened)
    assert {row.precision for row in rows} == {"int8", "-"}
    assert {row.kind for row in rows if row.precision == "-"} == {"Dropout"}
    masks = [row for row in rows if row.kind == "AttentionMask"]
    assert len(masks) == 2
    assert all("-12" in row.reason for row in masks)


def test_a_closed_transformer_is_refused(small_text_classifier):
    with pytest.raises(ModelError, match="there is no rule for"):
        quantization_coverage(small_text_classifier)


@pytest.mark.slow
def test_integers_stay_close_to_the_float_model(opened, short_texts):
    student = quantize_aware(opened, short_texts)
    difference = np.abs(student.predict(short_texts, verbose=0) - opened.predict(short_texts, verbose=0))
    assert 0 < difference.mean() < 0.03


def test_rounding_switched_off_gives_the_float_model_again(opened, short_texts):
    student = quantize_aware(opened, short_texts)
    set_quantizers(student, enabled=False)
    np.testing.assert_allclose(
        student.predict(short_texts, verbose=0), opened.predict(short_texts, verbose=0), atol=1e-5
    )


@pytest.mark.slow
def test_batches_of_texts_calibrate_as_one_dictionary_does(opened, short_texts):
    halves = [{name: ids[part] for name, ids in short_texts.items()} for part in (slice(0, 32), slice(32, 64))]
    ranges = [
        [quantizer.real_range() for quantizer in fake_quantizers(quantize_aware(opened, calibration))]
        for calibration in (short_texts, halves)
    ]
    np.testing.assert_allclose(ranges[0], ranges[1], rtol=1e-5)


def test_the_sum_before_a_normalisation_has_16_bits_and_what_it_adds_a_range_for_each_channel(student):
    quantizers = {quantizer.name: quantizer for quantizer in fake_quantizers(student)}
    sums = {f"transformer_layer_{block}_{part}_add" for block in (0, 1) for part in ("attention", "feedforward")}
    assert all(quantizers[f"{name}_quantizer"].bits == 16 for name in sums)
    added = {name: one for name, one in quantizers.items() if one.per_channel}
    assert set(added) == {
        f"transformer_layer_{block}_{part}_quantizer"
        for block in (0, 1)
        for part in ("attention_output", "feedforward_output_dense")
    }
    for one in added.values():
        assert one.channel_ranges().shape == (32,) and len(set(one.channel_ranges())) > 16


def test_what_a_normalisation_gives_has_16_bits_for_the_next_sum_and_eight_for_dense_layers(student):
    quantizers = {quantizer.name: quantizer for quantizer in fake_quantizers(student)}
    taken = ["embeddings_layer_norm", "transformer_layer_0_self_attention_layer_norm"]
    for name in taken:
        assert quantizers[f"{name}_quantizer"].bits == quantizers[f"{name}_normalized"].bits == 16
        assert quantizers[f"{name}_narrowed_quantizer"].bits == 8
    graph = read_graph(student)
    takes = {node.name: {value.node.name for value in node.inputs if value.node} for node in graph.nodes}
    for dense in ("query", "key", "value"):
        assert takes[f"transformer_layer_0_{dense}"] == {f"{taken[0]}_narrowed_quantizer"}
    assert not any("narrowed" in name for name in takes["transformer_layer_0_attention_add"])


def test_masked_scores_leave_the_others_their_steps(student):
    masks = [layer for layer in student.layers if isinstance(layer, AttentionMask)]
    assert [mask.score for mask in masks] == [-12.0, -12.0]
    quantizers = [quantizer for quantizer in fake_quantizers(student) if quantizer.name.endswith("mask_quantizer")]
    assert all(quantizer.real_range()[0] > -25 for quantizer in quantizers)


@pytest.mark.slow
def test_a_student_of_integers_is_saved_and_loaded(student, short_texts, tmp_path):
    student.save(tmp_path / "student.keras")
    loaded = keras.models.load_model(tmp_path / "student.keras")
    assert is_quantize_aware(loaded)
    np.testing.assert_array_equal(loaded.predict(short_texts, verbose=0), student.predict(short_texts, verbose=0))


@pytest.mark.slow
def test_a_student_of_integers_is_folded_without_changing_what_it_says(student, short_texts):
    settle_biases(student)
    folded = fold(with_sequence_length(student, sequence_length=LENGTH))
    assert folded.input is None
    tables = [kernel for kernel in folded.kernels if kernel.is_table]
    assert [kernel.steps.shape for kernel in tables] == [(100, 32)]
    assert np.unique(tables[0].steps).size > 50
    plain = folded.model.predict(short_texts, verbose=0)
    # The folded model does not round its activations: as near as the rounding is fine.
    assert np.abs(plain - student.predict(short_texts, verbose=0)).mean() < 0.03


def test_layers_left_in_float_are_known_after_loading(opened, short_texts, tmp_path):
    policy = QuantizationPolicy(skip=["logits", "scores"])
    student = quantize_aware(opened, short_texts, policy=policy)
    student.save(tmp_path / "student.keras")
    loaded = with_sequence_length(keras.models.load_model(tmp_path / "student.keras"), sequence_length=LENGTH)
    assert fold(loaded).float_layers == ("logits", "scores")


def test_weights_alone_are_rounded_when_activations_stay_in_float(opened):
    rows = quantization_coverage(opened, policy=WEIGHTS_ONLY)
    rounded = {row.kind for row in rows if row.precision == "int8"}
    assert rounded == {"Dense", "Embedding"}
    assert {row.precision for row in rows} == {"int8", "float32", "-"}


def test_weights_alone_lie_on_grids_of_their_own(light_student):
    assert is_compressed(light_student)
    assert not is_quantize_aware(light_student)
    kernels = trained_kernels(light_student)
    assert sum(kernel.is_table for kernel in kernels) == 1
    assert len(kernels) == 1 + 2 * 6 + 1
    for kernel in kernels:
        others = -1 if kernel.is_table else 0
        assert np.all(np.abs(kernel.steps.astype(int)).max(axis=others) == 127)


def test_a_table_is_looked_up_as_it_will_be_stored(light_student):
    table = next(layer for layer in light_student.layers if isinstance(layer, CompressedEmbedding))
    looked_up = keras.ops.convert_to_numpy(table(np.arange(100)[None]))[0]
    np.testing.assert_allclose(looked_up, keras.ops.convert_to_numpy(table.effective_kernel()), atol=1e-7)
    assert np.abs(looked_up - keras.ops.convert_to_numpy(table.embeddings)).max() > 0


def test_a_student_with_rounded_weights_is_saved_stripped_and_still_says_the_same(light_student, short_texts, tmp_path):
    light_student.save(tmp_path / "student.keras")
    loaded = keras.models.load_model(tmp_path / "student.keras")
    scores = light_student.predict(short_texts, verbose=0)
    np.testing.assert_array_equal(loaded.predict(short_texts, verbose=0), scores)
    plain = strip_compression(loaded)
    assert not is_compressed(plain)
    np.testing.assert_allclose(plain.predict(short_texts, verbose=0), scores, atol=1e-5)


def test_rounded_weights_follow_the_gradient(opened, short_texts, light_student):
    names = [layer.name for layer in light_student.layers if isinstance(layer, CompressedDense)]
    moved = [
        np.abs(light_student.get_layer(name).kernel.numpy() - opened.get_layer(name).kernel.numpy()).max()
        for name in names
    ]
    assert min(moved) > 1e-4


def test_skipped_layers_keep_their_float_weights(opened, short_texts):
    policy = QuantizationPolicy(activation_bits=32, skip=["token_embedding", "*_query"])
    kernels = trained_kernels(quantize_aware(opened, short_texts, policy=policy))
    assert len(kernels) == 11
    assert not any(kernel.is_table for kernel in kernels)


def test_a_convolutional_model_can_have_its_weights_alone_rounded(small_classifier, random_pixels):
    student = quantize_aware(small_classifier, random_pixels, policy=WEIGHTS_ONLY)
    assert not is_quantize_aware(student)
    assert [kernel.layer for kernel in trained_kernels(student)] == ["stem", "inner", "logits"]
    pixels = random_pixels.astype(np.float32)
    np.testing.assert_allclose(
        student.predict(pixels, verbose=0), small_classifier.predict(pixels, verbose=0), atol=0.02
    )


def test_four_bit_weights_need_integer_activations():
    with pytest.raises(ModelError, match="dynamic_int8"):
        QuantizationPolicy(weight_bits=4, activation_bits=32)
