"""Transformers opened into plain layers: the same outputs, and a refusal by name where that cannot be."""

import keras
import numpy as np
import pytest

from tfkit.errors import ModelError
from tfkit.graph import read_graph
from tfkit.models.text import open_transformer, with_sequence_length

TOLERANCE = 1e-5


@pytest.mark.parametrize("family", ["Bert", "DistilBert", "Roberta", "Electra"])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_an_opened_classifier_gives_what_the_closed_one_gives(another_classifier, tokens, family, pooling):
    model = another_classifier(family, pooling=pooling)
    opened = open_transformer(model)
    scores = model.predict(tokens, verbose=0)
    assert np.ptp(scores, axis=0).max() > 0.01  # it tells the texts apart
    np.testing.assert_allclose(opened.predict(tokens, verbose=0), scores, atol=TOLERANCE)


def test_an_opened_classifier_is_flat_and_takes_the_same_dictionary(classifier):
    opened = open_transformer(classifier)
    assert set(opened.input) == {"token_ids", "padding_mask"}
    kinds = {node.kind for node in read_graph(opened).nodes}
    assert {"Embedding", "Dense", "MatMul", "AttentionMask", "Softmax", "LayerNormalization"} <= kinds
    assert not any(type(layer).__module__.startswith("keras_hub") for layer in opened.layers)


def test_an_opened_classifier_is_saved_and_loaded(classifier, tokens, tmp_path):
    opened = open_transformer(classifier)
    opened.save(tmp_path / "opened.keras")
    loaded = keras.models.load_model(tmp_path / "opened.keras")
    np.testing.assert_array_equal(loaded.predict(tokens, verbose=0), opened.predict(tokens, verbose=0))


def test_the_same_classifier_is_rebuilt_for_one_length(classifier, tokens):
    fixed = with_sequence_length(open_transformer(classifier), sequence_length=12)
    assert {tuple(tensor.shape) for tensor in fixed.inputs} == {(None, 12)}
    np.testing.assert_allclose(fixed.predict(tokens, verbose=0), classifier.predict(tokens, verbose=0), atol=TOLERANCE)


def test_what_stands_in_the_padding_changes_nothing(classifier, tokens):
    opened = open_transformer(classifier)
    filled = np.where(tokens["padding_mask"] == 0, 77, tokens["token_ids"]).astype(np.int32)
    np.testing.assert_allclose(
        opened.predict(tokens | {"token_ids": filled}, verbose=0), opened.predict(tokens, verbose=0), atol=TOLERANCE
    )


@pytest.mark.slow
def test_an_opened_classifier_learns(classifier, tokens, targets):
    opened = open_transformer(classifier)
    opened.compile(keras.optimizers.Adam(1e-3), "categorical_crossentropy")
    losses = opened.fit(tokens, targets, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_the_division_of_the_scores_stays_out_of_the_weights(classifier):
    opened = open_transformer(classifier)
    query = next(
        weight
        for weight in classifier.weights
        if weight.path.endswith("transformer_layer_0/self_attention_layer/query/kernel")
    )
    np.testing.assert_array_equal(
        opened.get_layer("transformer_layer_0_query").kernel.numpy(), query.numpy().reshape(32, 32)
    )


@pytest.mark.parametrize(("family", "layer"), [("Albert", "group_0_inner_layer_0"), ("DebertaV3", "disentangled")])
def test_encoders_that_cannot_be_opened_are_refused_by_name(another_classifier, family, layer):
    with pytest.raises(ModelError, match=layer) as refused:
        open_transformer(another_classifier(family))
    assert "BERT" in refused.value.hint


def test_lora_that_is_not_merged_is_refused(classifier):
    for layer in classifier._flatten_layers():
        if isinstance(layer, keras.layers.EinsumDense):
            layer.enable_lora(2)
    with pytest.raises(ModelError, match="LoRA"):
        open_transformer(classifier)
