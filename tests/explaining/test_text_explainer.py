import keras
import keras_hub
import numpy as np
import pytest

from tfkit.artifacts import RunDirectory, TextSpec
from tfkit.errors import ModelError
from tfkit.explaining import TextExplainer, open_explainer
from tfkit.models.text import build_text_classifier

TEXT = "I don't want a REFUND, please!"


@pytest.fixture(scope="module")
def encoder_classifier():
    """BERT of 2 layers, 16 wide, as uneven as a trained one."""
    keras.utils.set_random_seed(0)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=25,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=24,
        name="encoder",
    )
    for weight in backbone.weights:
        if weight.path.endswith(("kernel", "embeddings")):
            weight.assign(weight.numpy() * 8)
    model = build_text_classifier(backbone, classes=3, pooling="mean")
    model.get_layer("logits").kernel.assign(np.random.default_rng(0).normal(0, 1, (16, 3)))
    return model


def log_odds(score):
    return np.log(score / (1 - score))


def test_the_planted_word_is_named(tokenizer, planted):
    model = planted(__fund=6.0, late=-2.0)
    explanation = TextExplainer(model, tokenizer, sequence_length=16).explain("Lately I want a refund", class_index=1)

    shares = {word.word: word.share for word in explanation.words}
    assert shares["refund"] == pytest.approx(0.75, abs=1e-3)
    assert shares["Lately"] == pytest.approx(-0.25, abs=1e-3)
    assert shares["want"] == shares["I"] == shares["a"] == 0.0
    assert explanation.words[-1].pieces == ("re", "##fund")
    assert sum(map(abs, shares.values())) == pytest.approx(1.0)


def test_other_label_turns_the_signs(tokenizer, planted):
    explainer = TextExplainer(planted(__fund=6.0), tokenizer, sequence_length=16)

    for_it, against_it = (explainer.explain("a refund", class_index=label).words[-1] for label in (1, 0))

    assert for_it.contribution == pytest.approx(-against_it.contribution)
    assert explainer.explain("a refund").class_index == 1


def test_words_add_up_to_the_change_of_the_log_odds(encoder_classifier, tokenizer):
    explanation = TextExplainer(encoder_classifier, tokenizer, sequence_length=24).explain(TEXT)

    tokens = tokenizer([TEXT], sequence_length=24)
    score = float(np.asarray(encoder_classifier(tokens))[0, explanation.class_index])
    assert explanation.score == pytest.approx(score, abs=1e-4)
    blank = np.where((tokens["token_ids"] > 3), 4, tokens["token_ids"])  # [MASK] for every word
    blank_score = float(np.asarray(encoder_classifier(tokens | {"token_ids": blank}))[0, explanation.class_index])
    assert explanation.change == pytest.approx(log_odds(score) - log_odds(blank_score), abs=1e-3)
    total = sum(word.contribution for word in explanation.words)
    assert total == pytest.approx(
        explanation.change, abs=0.01 * sum(abs(word.contribution) for word in explanation.words)
    )
    assert explanation.gap <= 0.01
    assert [word.word for word in explanation.words] == ["I", "don't", "want", "a", "REFUND", ",", "please", "!"]


@pytest.mark.parametrize("bits", [pytest.param(32, marks=pytest.mark.slow), 8])
def test_model_trained_quantisation_aware_passes_gradients_on(encoder_classifier, tokenizer, bits):
    from tfkit.compression import QuantizationPolicy, prepare_quantization
    from tfkit.models.text import open_transformer

    seen = tokenizer(["i want a refund", "not late", "a parcel please"] * 4, sequence_length=16)
    prepared = prepare_quantization(
        open_transformer(encoder_classifier), seen, policy=QuantizationPolicy(activation_bits=bits), moving_epochs=1
    )
    prepared.finish()

    explanation = TextExplainer(prepared.model, tokenizer, sequence_length=16).explain(TEXT)

    # Integers make steps of the answer, which the gradients through them pass over.
    assert explanation.gap <= (0.01 if bits == 32 else 0.15)


def test_cut_text_tells_how_far_it_was_read(tokenizer, planted):
    explainer = TextExplainer(planted(want=3.0), tokenizer, sequence_length=5)

    assert explainer.explain("i want a refund").read_characters == len("i want a")
    assert explainer.explain("i want a").read_characters == len("i want a")


@pytest.mark.parametrize("text", ["", "  ", "\0"])
def test_text_without_words_has_nothing_to_explain(tokenizer, planted, text):
    explanation = TextExplainer(planted(want=3.0), tokenizer, sequence_length=8).explain(text)

    assert (explanation.words, explanation.change, explanation.gap) == ((), 0.0, 0.0)


def test_unknown_label_is_refused(tokenizer, planted):
    with pytest.raises(ModelError, match=r"class_index must be in \[0, 2\); got 2"):
        TextExplainer(planted(), tokenizer, sequence_length=8).explain("a", class_index=2)


def test_table_inside_a_nested_model_is_refused(small_text_classifier, tokenizer):
    with pytest.raises(ModelError, match="inside a nested model"):
        TextExplainer(small_text_classifier, tokenizer, sequence_length=8)


@pytest.fixture
def run(tmp_path, tokenizer):
    run = RunDirectory(tmp_path / "run")
    run.models.mkdir(parents=True)
    tokenizer.save(run.tokenizer)
    return run


def test_float_model_is_asked_where_the_quantised_one_has_no_gradients(run, planted):
    model = planted(want=3.0)
    model.save(run.float_model)
    rounded = keras.ops.round(model.get_layer("token_embedding").output)
    mean = keras.layers.GlobalAveragePooling1D()(rounded)
    scores = keras.layers.Softmax(name="scores")(keras.layers.Dense(2, name="logits")(mean))
    keras.Model(model.input, scores).save(run.kept_model("quantized"))

    opened = open_explainer(run.finished_models, TextSpec(8, run.tokenizer))

    assert opened.model == run.float_model
    (note,) = opened.notes
    assert note.startswith("quantized.keras was passed over") and "no gradient" in note
    assert opened.explainer.explain("i want").words[1].share == pytest.approx(1.0)


def test_run_without_a_model_is_told(run):
    with pytest.raises(ModelError, match="no Keras model was kept"):
        open_explainer(run.finished_models, TextSpec(8, run.tokenizer))
