"""Fine-tuning texts: its further keys together, several runs averaged, and the memory it takes."""

import keras
import keras_hub
import numpy as np
import pytest

from tfkit.data.text import TextExamples, Tokenizer
from tfkit.errors import ModelError
from tfkit.models.text import build_text_classifier
from tfkit.stages import TextTeacher
from tfkit.training import Optimization, PeakMemory, TextObjectives
from tfkit.training.fine_tune_text import fine_tune_text
from tfkit.training.weight_averaging import average_runs

WORDS = ("parcel", "refund", "order", "my", "where", "is")
CLASSES = ("delivery", "money", "buying")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(keras_hub.tokenizers.BertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))


@pytest.fixture(scope="module")
def texts() -> TextExamples:
    """36 texts whose class is the first word."""
    labels = np.arange(36, dtype=np.int32) % 3
    rng = np.random.default_rng(0)
    said = tuple(f"{WORDS[label]} {' '.join(rng.choice(WORDS[3:], 3))}" for label in labels)
    return TextExamples(said, labels, tuple(map(str, range(36))), CLASSES)


def new_classifier(*, dropout: float = 0.1) -> keras.Model:
    keras.utils.set_random_seed(7)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=11,
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=8,
        dropout=dropout,
    )
    return build_text_classifier(backbone, classes=3, pooling="mean", dropout=dropout)


def trained(texts: TextExamples, tokenizer: Tokenizer, *, epochs: int = 1, model=None, optimization=None, **options):
    plan = Optimization(epochs=epochs, learning_rate=5e-3, **(optimization or {}))
    given = {"sequence_length": 8, "batch_size": 18, "buckets": False, "optimization": plan}
    return fine_tune_text(model or new_classifier(), texts, texts, tokenizer, **(given | options))


def test_a_head_is_fitted_on_features_of_texts_with_and_without_validation_texts(texts, tokenizer) -> None:
    for validation in (texts, texts.select(np.arange(0))):
        model = new_classifier()
        plan = Optimization(epochs=1, learning_rate=1.0)
        options = {"sequence_length": 8, "optimization": plan, "method": "head", "solver": "lbfgs"}
        before = [np.copy(weight) for weight in model.get_weights()]
        found = fine_tune_text(model, texts, validation, tokenizer, **options)
        moved = [not np.array_equal(*pair) for pair in zip(before, found.model.get_weights(), strict=True)]
        assert sum(moved) == 2, "the head's kernel and bias"
        answers = found.model.predict(tokenizer(texts.texts, sequence_length=8), verbose=0).argmax(axis=1)
        assert np.mean(answers == texts.labels) > 0.9
        assert found.result.counted_in == "fit" and "fitted by L-BFGS" in found.result.notes[-1]
        assert ("held out" in found.result.notes[-1]) == (not len(validation))


@pytest.mark.slow
def test_all_keys_go_together_and_several_runs_become_one_model(texts, tokenizer) -> None:
    model = new_classifier()
    before = [np.copy(weight) for weight in model.get_weights()]
    seen: list[tuple[int, int, str]] = []
    found = trained(
        texts,
        tokenizer,
        model=model,
        average_runs=2,
        objectives=TextObjectives(layer_decay=0.9, adversarial=0.5, r_drop=1.0),
        optimization={"ema": 0.5, "gradient_accumulation": 2, "label_smoothing": 0.1, "class_weights": "balanced"},
        progress=lambda *told: seen.append(told),
    )
    assert found.result.trainable_parameters == sum(weight.size for weight in before)
    told = "; ".join(found.result.notes)
    for words in ("0.9 a block", "(FGM), moved by 0.5", "R-Drop, weight 1", "of 2 runs: validation", "single runs"):
        assert words in told
    assert all(np.array_equal(*pair) for pair in zip(model.get_weights(), before, strict=True)), "the start stays"
    assert np.abs(found.model.get_layer("logits").get_weights()[0]).max() > 0, "from zeros"
    dones = [done for done, _, _ in seen]
    assert dones == sorted(dones) and seen[-1][:2] == (4, 4) and seen[-1][2].startswith("run 2/2, epoch 1/1")


def test_the_loss_is_scaled_where_it_is_computed_in_float16(texts, tokenizer) -> None:
    kinds = []

    class Look(keras.callbacks.Callback):
        def on_train_end(self, logs=None) -> None:
            kinds.append((type(self.model.optimizer).__name__, type(self.model.optimizer.inner_optimizer).__name__))

    objectives = TextObjectives(layer_decay=0.5)
    options = {"precision": "mixed_float16", "callbacks": (Look(),), "objectives": objectives, "epochs": 4}
    history = trained(texts, tokenizer, **options).result.history
    assert kinds == [("LossScaleOptimizer", "LayerwiseAdam")]
    assert history["loss"][-1] < history["loss"][0]


def test_the_mean_of_runs_is_told_with_what_it_was_chosen_by() -> None:
    one, other = new_classifier(), new_classifier()
    other.set_weights([weight + 1 for weight in other.get_weights()])
    mean = average_runs([one, other], None)
    assert "no validation text" in mean.note and mean.best == 0
    np.testing.assert_allclose(mean.model.get_weights()[0], one.get_weights()[0] + 0.5, rtol=1e-5)
    chosen = average_runs([one, other], lambda model: float(model.get_weights()[0].mean()))
    assert chosen.best == 1 and "mean of the weights of 1 of 2 runs" in chosen.note


@pytest.mark.parametrize("method", ["all", "lora"])
def test_a_teacher_is_followed_where_the_labels_say_something_else(method, texts, tokenizer) -> None:
    teacher = new_classifier()
    teacher.get_layer("logits").set_weights([np.zeros((16, 3)), np.array([0.0, 0.0, 9.0])])
    objective = TextTeacher(model=teacher, alpha=1.0).objective()
    student = trained(texts, tokenizer, epochs=8, method=method, objective=objective).model
    answers = student.predict(tokenizer(texts.texts, sequence_length=8), verbose=0)
    assert np.all(answers.argmax(axis=1) == 2)


def test_what_cannot_be_trained_so_is_told(texts, tokenizer) -> None:
    with pytest.raises(ModelError, match="average_runs must be 1 or more; got 0"):
        trained(texts, tokenizer, average_runs=0)
    with pytest.raises(ModelError, match="no dropout"):
        TextObjectives(r_drop=1.0).around(new_classifier(dropout=0.0))
    assert TextObjectives().objective is None
    taught = TextTeacher(model=new_classifier()).objective()
    with pytest.raises(ModelError, match="a teacher and R-Drop, weight 1 cannot go together"):
        trained(texts, tokenizer, objective=taught, objectives=TextObjectives(r_drop=1.0))


def test_peak_memory_is_that_since_it_was_asked_for() -> None:
    block = np.ones(60_000_000, np.uint8)
    held = PeakMemory().bytes
    if held is None:
        pytest.skip("this system does not forget a process's peak")
    memory = PeakMemory()
    more = np.ones(90_000_000, np.uint8)
    peak = memory.bytes
    assert peak is not None and peak >= held + 60_000_000
    del more, block
    after = PeakMemory().bytes
    assert after is not None and after < peak
