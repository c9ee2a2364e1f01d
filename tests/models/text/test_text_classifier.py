"""Text classifiers: what goes in and comes out, whatever encoder is inside."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tfkit.errors import ModelError
from tfkit.models import (
    feature_extractor,
    head_on_features,
    load_model_file,
    logits_model,
    save_model_file,
    with_dtype_policy,
)
from tfkit.models.text import (
    build_text_backbone,
    build_text_classifier,
    encoder_blocks,
    pooled_features,
    token_embedding,
)


def answers(model: keras.Model, tokens) -> np.ndarray:
    return np.array(model(tokens, training=False))


FAMILIES = ["Bert", "DistilBert", "Roberta", "XLMRoberta", "Albert", "Electra", "DebertaV3"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gives_probabilities_ignores_padding_and_survives_a_file(
    family: str, another_classifier, tokens, tmp_path: Path
) -> None:
    model = another_classifier(family, pooling="cls" if family == "Roberta" else "mean")
    scores = answers(model, tokens)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert scores.std(axis=0).max() > 1e-3  # the texts are told apart
    alone = answers(model, {name: array[:1, :3] for name, array in tokens.items()})
    np.testing.assert_allclose(alone, scores[:1], atol=1e-6)
    save_model_file(model, tmp_path / "m.keras")
    again = load_model_file(tmp_path / "m.keras")
    np.testing.assert_array_equal(answers(again, tokens), scores)
    assert len(encoder_blocks(again)) == (1 if family == "Albert" else 2)
    assert token_embedding(again).input_dim == 100


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_what_stands_in_the_padding_changes_nothing(pooling: str, another_classifier, tokens) -> None:
    model = another_classifier(pooling=pooling)
    noise = np.where(tokens["padding_mask"] == 0, 42, tokens["token_ids"]).astype(np.int32)
    expected = answers(model, tokens)
    np.testing.assert_allclose(answers(model, {**tokens, "token_ids": noise}), expected, atol=1e-6)


def test_the_first_token_and_the_masked_mean_are_what_they_say(another_classifier, tokens) -> None:
    for pooling in ("cls", "mean"):
        model = another_classifier(pooling=pooling)
        sequence = keras.Model(model.input, encoder_blocks(model)[-1].output).predict_on_batch(tokens)
        mask = tokens["padding_mask"][..., None]
        expected = sequence[:, 0] if pooling == "cls" else (sequence * mask).sum(1) / mask.sum(1)
        np.testing.assert_allclose(pooled_features(model, tokens), expected, rtol=1e-4, atol=1e-5)


def test_the_backbone_keeps_its_weights_and_is_not_shared(classifier, tokens) -> None:
    import keras_hub

    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=100, num_layers=2, num_heads=2, hidden_dim=32, intermediate_dim=64, max_sequence_length=24
    )
    model = build_text_classifier(backbone, classes=2, pooling="cls")
    given = {**tokens, "segment_ids": np.zeros_like(tokens["token_ids"])}
    expected = backbone.predict_on_batch(given)["sequence_output"][:, 0]
    np.testing.assert_allclose(pooled_features(model, tokens), expected, rtol=1e-4, atol=1e-5)
    assert token_embedding(model) is not backbone.token_embedding


def test_logits_and_head_are_parts_of_the_classifier(classifier, tokens) -> None:
    logits = logits_model(classifier)
    assert sorted(logits.input) == ["padding_mask", "token_ids"]
    values = answers(logits, tokens)
    np.testing.assert_allclose(keras.ops.softmax(values), answers(classifier, tokens), rtol=1e-5, atol=1e-6)
    features = pooled_features(classifier, tokens, batch_size=3)
    np.testing.assert_allclose(head_on_features(classifier).predict_on_batch(features), values, rtol=1e-4, atol=1e-5)


def test_the_encoder_learns_from_the_first_step_on(tokens) -> None:
    model = build_text_classifier(build_text_backbone("bert_tiny", vocabulary_size=100), classes=4)
    before = np.array(token_embedding(model).embeddings)
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    model.train_on_batch(tokens, np.arange(len(tokens["token_ids"])) % 4)
    assert np.abs(token_embedding(model).embeddings - before).max() > 1e-5


def test_features_of_short_batches_are_those_of_full_length_in_the_order_of_the_texts(classifier) -> None:
    draw = np.random.default_rng(4)
    lengths = np.array([24, 3, 17, 5, 24, 2, 9, 4, 11])
    mask = (np.arange(24) < lengths[:, None]).astype(np.int32)
    ids = (draw.integers(1, 100, mask.shape) * mask).astype(np.int32)
    given = {"token_ids": ids, "padding_mask": mask}
    whole = feature_extractor(classifier).predict_on_batch(given)
    np.testing.assert_allclose(pooled_features(classifier, given, batch_size=4), whole, rtol=1e-4, atol=1e-5)


def test_features_tell_how_far_they_are(classifier, tokens) -> None:
    told: list[tuple[int, int]] = []
    pooled_features(classifier, tokens, batch_size=3, progress=lambda done, total, text: told.append((done, total)))
    assert told == [(3, 8), (6, 8), (8, 8)]
    with pytest.raises(ModelError, match="one shape"):
        pooled_features(classifier, {"token_ids": tokens["token_ids"]})


def test_mixed_precision_keeps_scores_in_float32(classifier, tokens) -> None:
    mixed = with_dtype_policy(classifier, "mixed_float16")
    scores = answers(mixed, tokens)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, answers(classifier, tokens), atol=2e-2)


def test_all_faults_are_told_at_once() -> None:
    pixels = keras.Input((8, 8, 3))
    image_model = keras.Model(pixels, keras.layers.Conv2D(4, 3)(pixels), name="images")
    with pytest.raises(
        ModelError, match=r"images takes no named inputs.*classes must be 2.*dropout must be in"
    ) as told:
        build_text_classifier(image_model, classes=1, dropout=1.0)
    assert told.value.hint
    with pytest.raises(ModelError, match="no encoder blocks"):
        encoder_blocks(image_model)
