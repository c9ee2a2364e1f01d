"""Texts that belong together come near each other; the trained embedder ships as a file that finds the same."""

import keras
import numpy as np
import pytest

from tfkit.artifacts import TextSpec
from tfkit.artifacts.search_index import SearchIndex
from tfkit.data.text import TextExamples, learn_word_pieces, token_arrays
from tfkit.errors import ExportError, ModelError
from tfkit.models import load_model_file, save_model_file
from tfkit.models.text import build_text_embedder
from tfkit.tasks import Decision
from tfkit.training import Optimization
from tfkit.training.contrastive import InBatchNegatives, train_embedder

SUBJECTS = {"card": "bank card lost stolen", "loan": "money loan rate years", "trip": "plane hotel beach sun"}
LENGTH = 8


def sentences(seed: int, count: int) -> TextExamples:
    """Texts of three words of one subject."""
    random = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int32) % len(SUBJECTS)
    words = [list(SUBJECTS.values())[label].split() for label in labels]
    texts = tuple(" ".join(random.permutation(of_subject)[:3]) for of_subject in words)
    return TextExamples(texts, labels, tuple(f"{seed}:{row}" for row in range(count)), tuple(SUBJECTS))


@pytest.fixture(scope="module")
def tokenizer():
    return learn_word_pieces([*SUBJECTS.values()] * 4, size=80)


def new_embedder(tokenizer) -> keras.Model:
    import keras_hub

    keras.utils.set_random_seed(3)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=tokenizer.vocabulary_size,
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=LENGTH,
    )
    return build_text_embedder(backbone)


def nearest_label(model, tokenizer, indexed: TextExamples, asked: TextExamples) -> np.ndarray:
    vectors = [np.asarray(model(token_arrays(texts, tokenizer, sequence_length=LENGTH))) for texts in (indexed, asked)]
    index = SearchIndex(indexed.texts, indexed.labels, indexed.class_names, vectors[0])
    return index.labels[index.nearest(vectors[1])[0][:, 0]]


@pytest.fixture(scope="module")
def trained(tokenizer):
    plan = Optimization(epochs=4, learning_rate=1e-2, optimizer="adamw")
    options = {"sequence_length": LENGTH, "optimization": plan, "batch_size": 12}
    return train_embedder(new_embedder(tokenizer), sentences(0, 48), sentences(1, 12), tokenizer, **options)


def test_partners_of_the_same_label_are_no_negatives(tokenizer):
    model = new_embedder(tokenizer)
    tokens = tokenizer(["bank card", "loan", "card stolen", "bank", "money", "card"], sequence_length=LENGTH)
    logits = np.asarray(InBatchNegatives(model, temperature=0.5)(tokens | {"groups": np.array([0, 1, 0])}))
    assert (logits < -1e8).tolist() == [[False, False, True], [False, False, False], [True, False, False]]
    vectors = np.asarray(model(tokens))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(logits[1], vectors[1] @ vectors[3:].T / 0.5, atol=1e-4)


def test_training_brings_texts_of_one_label_together(trained, tokenizer):
    losses = trained.result.history["loss"]
    assert losses[-1] < 0.7 * losses[0] and len(trained.result.history["val_loss"]) == 4
    asked = sentences(2, 30)
    assert np.mean(nearest_label(trained.model, tokenizer, sentences(0, 48), asked) == asked.labels) >= 0.9


def test_an_embedder_is_saved_and_loaded(trained, tokenizer, tmp_path):
    save_model_file(trained.model, tmp_path / "float.keras")
    tokens = tokenizer(sentences(2, 4).texts, sequence_length=LENGTH)
    loaded = load_model_file(tmp_path / "float.keras")
    np.testing.assert_allclose(np.asarray(loaded(tokens)), np.asarray(trained.model(tokens)), atol=1e-6)


def test_an_exported_embedder_is_proved_by_cosine_and_nearest_text(trained, tokenizer, tmp_path):
    from tfkit.exporters import export_formats
    from tfkit.verification import AcceptancePolicy, reference_scores, refusals, verify_artifact

    tokenizer.save(tmp_path / "tokenizer")
    text = TextSpec(LENGTH, tmp_path / "tokenizer")
    (file,) = export_formats(trained.model, ["tflite_dynamic_int8"], tmp_path / "files", spec=text, class_names=())
    assert file.signature.outputs[0].name == "embeddings" and not (tmp_path / "files" / "labels.txt").exists()
    indexed, asked = sentences(0, 48), sentences(2, 12)
    index = SearchIndex(
        indexed.texts, indexed.labels, indexed.class_names, reference_scores(trained.model, indexed, text)
    )
    reference = reference_scores(trained.model, asked, text)
    found = verify_artifact(file, asked, reference=reference, decision=Decision(index=index))
    assert found.quality.value >= 0.9 and found.agreement >= 0.5
    assert 0.98 < found.compared["min_cosine"] <= found.compared["mean_cosine"] <= 1.0001
    policy = AcceptancePolicy(min_agreement=0.5, max_accuracy_drop=0.2)
    assert refusals(found, None, keras_accuracy=1.0, policy=policy) == ()
    turned = verify_artifact(file, asked, reference=np.roll(reference, 1, axis=1), decision=Decision(index=index))
    (reason,) = refusals(turned, None, keras_accuracy=None, policy=AcceptancePolicy(min_agreement=0.0, min_cosine=0.9))
    assert "acceptance.min_cosine asks for 0.9000" in reason


def test_what_an_embedder_cannot_do_is_told_before_training(tokenizer, tmp_path):
    plan = Optimization(epochs=1, learning_rate=1e-3)
    texts = sentences(0, 12)
    options = {"sequence_length": LENGTH, "optimization": plan}
    with pytest.raises(ModelError, match="no head to train alone"):
        train_embedder(new_embedder(tokenizer), texts, texts, tokenizer, **options, method="head")


def test_a_classifier_is_no_embedder(small_text_classifier, tmp_path):
    from tfkit.exporters.float_model import check_model

    with pytest.raises(ExportError, match="expected scores of 0 classes"):
        check_model(small_text_classifier, spec=TextSpec(16, tmp_path), class_names=())
