"""Layers, heads and neurons cut out of an opened transformer."""

import keras
import numpy as np
import pytest

from tfkit.compression import QuantizationPolicy, distiller, quantize_aware
from tfkit.compression.transformers import (
    BlockCut,
    StudentPlan,
    StudentSize,
    cut_transformer,
    encoder_layers,
    layers_to_keep,
    plan_student,
    unit_scores,
)
from tfkit.errors import ModelError
from tfkit.models import logits_model
from tfkit.models.text import build_text_classifier, open_transformer

TARGETS = np.eye(3, dtype=np.float32)[np.random.default_rng(0).integers(0, 3, 64)]


@pytest.fixture(scope="module")
def opened(small_text_classifier):
    return open_transformer(small_text_classifier)


@pytest.fixture(scope="module")
def blocks(opened):
    return encoder_layers(opened)


@pytest.fixture(scope="module")
def deep():
    """Three layers, 16 wide, whose weights are large enough for each layer to matter."""
    import keras_hub

    keras.utils.set_random_seed(0)
    size = {"vocabulary_size": 100, "num_layers": 3, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
    model = build_text_classifier(keras_hub.models.BertBackbone(**size, max_sequence_length=16), classes=3)
    for weight in model.weights:
        weight.assign(weight.numpy() * 6 if weight.path.endswith(("kernel", "embeddings")) else weight)
    model.get_layer("logits").kernel.assign(np.random.default_rng(0).normal(size=(16, 3)))
    return open_transformer(model)


def answers(model, texts):
    return keras.ops.convert_to_numpy(model(texts, training=False))


def whole(block, **changes):
    kept = {"heads": tuple(range(block.heads)), "neurons": tuple(range(block.neurons))}
    return BlockCut(block, **(kept | changes))


def test_an_opened_transformer_tells_its_layers(blocks):
    assert [block.name for block in blocks] == ["transformer_layer_0", "transformer_layer_1"]
    assert {(block.hidden, block.heads, block.head_width, block.neurons) for block in blocks} == {(32, 2, 16, 64)}
    assert blocks[0].output == "transformer_layer_0_feedforward_layer_norm"
    assert blocks[0].multiply_adds(length=1) == 4 * 32 * 32 + 2 * 32 * 64 + 2 * 32


@pytest.mark.parametrize(
    ("part", "kept", "rows"),
    [
        ("attention_output", {"heads": (1,)}, slice(0, 16)),
        ("feedforward_output_dense", {"neurons": tuple(range(40))}, slice(40, 64)),
    ],
)
def test_what_goes_is_what_it_would_be_with_zeros_in_its_place(opened, blocks, short_texts, part, kept, rows):
    zeroed = cut_transformer(opened, ())
    kernel = zeroed.get_layer(f"transformer_layer_0_{part}").kernel
    values = kernel.numpy()
    values[rows] = 0
    kernel.assign(values)

    student = cut_transformer(opened, (whole(blocks[0], **kept),))

    assert student.count_params() < opened.count_params()
    np.testing.assert_allclose(answers(student, short_texts), answers(zeroed, short_texts), atol=1e-6)


def test_a_layer_that_goes_hands_its_input_on(opened, blocks, short_texts):
    first = keras.Model(opened.input, opened.get_layer(blocks[0].output).output)
    rows, mask = answers(first, short_texts), short_texts["padding_mask"][..., None]
    pooled = (rows * mask).sum(axis=1) / mask.sum(axis=1)
    kernel, bias = opened.get_layer("logits").get_weights()

    student = cut_transformer(opened, (BlockCut(blocks[1], (), ()),))

    np.testing.assert_allclose(answers(logits_model(student), short_texts), pooled @ kernel + bias, atol=1e-4)


def test_layers_that_normalise_first_can_go_too(short_texts):
    import keras_hub

    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")}
    x = table = keras.layers.Embedding(100, 16, name="token_embedding")(inputs["token_ids"])
    for number in range(2):
        encoder = keras_hub.layers.TransformerEncoder(32, 2, normalize_first=True, name=f"layer_{number}")
        x = encoder(x, padding_mask=inputs["padding_mask"])
    opened = open_transformer(keras.Model(inputs, x))
    cuts = tuple(BlockCut(block, (), ()) for block in encoder_layers(opened))

    student = cut_transformer(opened, cuts)

    assert encoder_layers(opened)[1].output == "layer_1_feedforward_add"
    rows = keras.Model(opened.input, opened.get_layer("token_embedding").output)
    assert table.shape == student.output.shape
    np.testing.assert_array_equal(answers(student, short_texts), answers(rows, short_texts))


def test_a_units_score_is_the_loss_slope_by_its_gate(opened, short_texts):
    few = {name: ids[:4] for name, ids in short_texts.items()}
    scores = unit_scores(opened, criterion="loss", batches=[(few, TARGETS[:4])])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)

    gated = cut_transformer(opened, ())
    logits = logits_model(gated)

    def loss_with_gate(part, rows, gate):
        kernel = gated.get_layer(f"transformer_layer_1_{part}").kernel
        values = opened.get_layer(f"transformer_layer_1_{part}").kernel.numpy()
        values[rows] *= gate
        kernel.assign(values)
        return float(loss(TARGETS[:4], answers(logits, few)))

    heads, neurons = scores["transformer_layer_1"]
    for part, rows, score in (
        ("attention_output", slice(16, 32), heads[1]),
        ("feedforward_output_dense", 5, neurons[5]),
    ):
        slope = (loss_with_gate(part, rows, 1.05) - loss_with_gate(part, rows, 0.95)) / 0.1
        assert score == pytest.approx(slope**2, rel=0.1)


@pytest.mark.parametrize("criterion", ["loss", "weight_norm"])
def test_a_neuron_that_does_nothing_goes_first(opened, short_texts, criterion):
    model = cut_transformer(opened, ())
    kernel = model.get_layer("transformer_layer_0_feedforward_output_dense").kernel
    kernel.assign(np.where(np.arange(64)[:, None] == 7, 0.0, kernel.numpy()))

    few = {name: ids[:8] for name, ids in short_texts.items()}
    plan = plan_student(model, StudentSize(feedforward=63, criterion=criterion), batches=[(few, TARGETS[:8])])

    assert set(range(64)) - set(plan.cuts[0].neurons) == {7}
    assert all(cut.heads == (0, 1) for cut in plan.cuts)


def test_layers_are_chosen_evenly_or_from_the_start(deep):
    names = [block.name for block in encoder_layers(deep)]
    assert layers_to_keep(deep, 2, rule="even") == (names[0], names[2])
    assert layers_to_keep(deep, 2, rule="last") == (names[0], names[1])


def test_the_loss_names_the_layer_it_does_not_miss(deep, short_texts):
    model = cut_transformer(deep, ())
    for part in ("attention_output", "feedforward_output_dense"):  # then it only normalises what was normalised
        layer = model.get_layer(f"transformer_layer_1_{part}")
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    # On its own answers a model's loss is lowest as it is.
    scores = answers(model, short_texts)

    kept = layers_to_keep(model, 2, rule="loss", batches=[(short_texts, scores)])

    assert "transformer_layer_1" not in kept


def test_each_layer_learns_what_the_teacher_has_before_the_next_that_stayed(deep):
    blocks = encoder_layers(deep)
    plan = StudentPlan(StudentSize(layers=2), tuple(
        whole(block) if place in (0, 2) else BlockCut(block, (), ()) for place, block in enumerate(blocks)
    ))  # fmt: skip

    pairs = plan.feature_pairs(weight=1.0)

    outputs = [block.output for block in blocks]
    assert [(pair.student, pair.teacher, pair.weight) for pair in pairs] == [
        (outputs[0], outputs[1], 0.5),
        (outputs[2], outputs[2], 0.5),
    ]


def test_the_whole_model_teaches_more_to_a_smaller_student(deep, short_texts):
    def loss_of(size):
        plan = plan_student(deep, size)
        pairs = plan.feature_pairs(weight=1.0)
        student = cut_transformer(deep, plan.cuts)
        teaching = distiller(logits_model(student), logits_model(deep), alpha=1.0, features=pairs)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        teaching.compile(keras.optimizers.SGD(0.0), loss, run_eagerly=True)
        return teaching.train_on_batch(short_texts, TARGETS)

    least = loss_of(StudentSize(feedforward=31, criterion="weight_norm"))
    assert least < loss_of(StudentSize(layers=2, heads=1, feedforward=16, criterion="weight_norm"))


def test_a_student_is_saved_cut_again_and_quantised_like_any_other(deep, short_texts, tmp_path):
    size = StudentSize(layers=2, heads=1, criterion="weight_norm")
    student = cut_transformer(deep, plan_student(deep, size).cuts)
    student.save(tmp_path / "student.keras")
    loaded = keras.models.load_model(tmp_path / "student.keras")
    np.testing.assert_array_equal(answers(loaded, short_texts), answers(student, short_texts))

    smaller = cut_transformer(loaded, plan_student(loaded, StudentSize(layers=1)).cuts)
    rounded = quantize_aware(open_transformer(smaller), short_texts, policy=QuantizationPolicy(activation_bits=32))

    np.testing.assert_allclose(answers(rounded, short_texts), answers(smaller, short_texts), atol=0.05)
    with pytest.raises(ModelError, match="rounded weights"):
        encoder_layers(rounded)


def test_all_that_a_model_has_not_is_told_at_once(opened, small_text_classifier):
    with pytest.raises(ModelError) as told:
        plan_student(opened, StudentSize(layers=3, heads=0, feedforward=65))
    assert "layers must be 1 to 2" in str(told.value) and "heads must be 1 to 2" in str(told.value)
    assert "feedforward must be 1 to 64" in str(told.value)
    with pytest.raises(ModelError, match="nothing would go"):
        plan_student(opened, StudentSize(layers=2, heads=2))
    with pytest.raises(ModelError, match="no opened encoder layers"):
        encoder_layers(small_text_classifier)
    with pytest.raises(ModelError, match="needs batches"):
        plan_student(opened, StudentSize(heads=1))
