"""The reference's texts go through without the padding that none of a batch needs, where the model does not mind."""

import keras
import numpy as np
import pytest

from tfkit.artifacts import TextSpec
from tfkit.data.text import TextExamples, learn_word_pieces
from tfkit.runtimes import KerasRuntime
from tfkit.verification import reference, reference_scores

_LENGTH = 16


@pytest.fixture(autouse=True)
def _few_texts_are_worth_it(monkeypatch):
    monkeypatch.setattr(reference, "_WORTH", 0)


@pytest.fixture
def texts(tmp_path):
    words = ["card", "loan", "account", "money", "bank"]
    rng = np.random.default_rng(0)
    lines = tuple(" ".join(rng.choice(words, count)) for count in rng.integers(1, 20, 30))
    tokenizer = learn_word_pieces(lines, size=60)
    tokenizer.save(tmp_path / "tokenizer")
    examples = TextExamples(lines, np.zeros(30, np.int32), lines, ("a", "b", "c"))
    return examples, TextSpec(_LENGTH, tmp_path / "tokenizer"), tokenizer(lines, sequence_length=_LENGTH)


def test_texts_of_all_lengths_have_the_scores_of_full_padding_in_order(small_text_classifier, texts, monkeypatch):
    examples, spec, padded = texts
    wanted = KerasRuntime(small_text_classifier).scores(padded)
    lengths, run = [], KerasRuntime.scores

    def watched(self, inputs):
        lengths.append(inputs["token_ids"].shape[1])
        return run(self, inputs)

    monkeypatch.setattr(KerasRuntime, "scores", watched)
    np.testing.assert_allclose(
        reference_scores(small_text_classifier, examples, spec, batch_size=8), wanted, rtol=1e-4, atol=1e-5
    )
    assert lengths == [16, 8, 16, 16, 16] or lengths == [16, 8, 8, 16, 16]  # the first batch both ways


def test_a_model_that_counts_its_padding_is_given_all_of_it(texts):
    examples, spec, padded = texts
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")}
    mean = keras.ops.mean(keras.ops.cast(inputs["token_ids"], "float32"), axis=1, keepdims=True)
    model = keras.Model(inputs, keras.layers.Dense(3)(mean))
    wanted = KerasRuntime(model).scores(padded)
    np.testing.assert_allclose(reference_scores(model, examples, spec, batch_size=8), wanted, rtol=1e-5)
