"""Layer-wise rates, adversarial training, R-Drop, and the mean of several models."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from tfkit.compression.distillation import distiller
from tfkit.errors import ModelError
from tfkit.models import logits_model
from tfkit.models.text import adapt, build_text_classifier, token_embedding
from tfkit.training.layer_rates import layer_factors, layer_rates, with_layer_rates
from tfkit.training.objectives import adversarial, r_drop
from tfkit.training.weight_averaging import average_weights, greedy_soup

CLASSES = 3


def new_classifier(*, layers: int = 1, dropout: float = 0.1, seed: int = 7) -> keras.Model:
    import keras_hub

    keras.utils.set_random_seed(seed)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=100,
        num_layers=layers,
        num_heads=2,
        hidden_dim=32,
        intermediate_dim=64,
        max_sequence_length=12,
        dropout=dropout,
    )
    model = build_text_classifier(backbone, classes=CLASSES, pooling="mean", dropout=dropout)
    kernel = model.get_layer("logits").kernel
    kernel.assign(np.random.default_rng(1).normal(size=kernel.shape) * 0.1)
    return model


@pytest.fixture(scope="module")
def texts() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """64 texts whose class is which of three tokens they hold most of."""
    random = np.random.default_rng(0)
    lengths = random.integers(4, 13, 64)
    mask = (np.arange(12) < lengths[:, None]).astype(np.int32)
    labels = np.arange(64) % CLASSES
    ids = np.where(random.uniform(size=mask.shape) < 0.5, labels[:, None] + 5, random.integers(10, 100, mask.shape))
    return {"token_ids": (ids * mask).astype(np.int32), "padding_mask": mask}, np.eye(CLASSES, dtype="float32")[labels]


def fit(
    objective: keras.Model, texts, *, optimizer=None, epochs: int = 6, eager: bool = False, jit: bool = False, **options
) -> dict[str, list[float]]:
    objective.compile(
        optimizer=optimizer or keras.optimizers.Adam(3e-3),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        run_eagerly=eager,
        jit_compile=jit,
    )
    return objective.fit(*texts, epochs=epochs, batch_size=32, verbose=0, shuffle=False, **options).history


def moves(model: keras.Model, train: Callable[[], object]) -> dict[str, float]:
    """How far each weight goes, as the mean of its absolute change."""
    before = {weight.path: np.array(weight) for weight in model.weights}
    train()
    return {weight.path: float(np.abs(np.array(weight) - before[weight.path]).mean()) for weight in model.weights}


def test_factors_fall_from_the_head_to_the_embeddings() -> None:
    factors = layer_factors(new_classifier(layers=2), 0.5)
    assert factors["logits/kernel"] == 1.0
    assert factors["transformer_layer_1/feedforward_output_dense/kernel"] == 0.5
    assert factors["transformer_layer_0/self_attention_layer/query/kernel"] == 0.25
    assert factors["token_embedding/embeddings"] == factors["embeddings_layer_norm/gamma"] == 0.125
    with pytest.raises(ModelError, match=r"must be in \(0, 1\]"):
        layer_factors(new_classifier(), 1.2)


@pytest.mark.parametrize("kind", ["Adam", "SGD"])
def test_early_layers_move_less(kind: str, texts) -> None:
    def trained(decay: float) -> dict[str, float]:
        model = new_classifier(layers=2, dropout=0.0)
        optimizer = getattr(keras.optimizers, kind)(1e-3)
        wrapped = layer_rates(logits_model(model), decay=decay)
        return moves(model, lambda: fit(wrapped, texts, optimizer=optimizer, epochs=1, eager=True))

    even, decayed = trained(1.0), trained(0.1)
    ratio = {path: decayed[path] / even[path] for path in even if even[path] > 1e-12}
    assert ratio["logits/kernel"] == pytest.approx(1.0, rel=0.2)
    assert ratio["transformer_layer_1/feedforward_output_dense/kernel"] == pytest.approx(0.1, rel=0.3)
    assert ratio["token_embedding/embeddings"] == pytest.approx(1e-3, rel=0.3)


def test_a_factor_of_one_is_the_plain_optimizer_and_weight_decay_shrinks_with_the_factor() -> None:
    def stepped(optimizer: keras.optimizers.Optimizer, gradient: float) -> float:
        variable = keras.Variable(np.ones((2, 2)), name="w")
        optimizer.build([variable])
        for _ in range(3):
            optimizer.apply([np.full((2, 2), gradient, "float32")], [variable])
        return float(np.array(variable)[0, 0])

    def plain() -> keras.optimizers.Optimizer:
        return keras.optimizers.AdamW(0.1, weight_decay=0.5)

    assert stepped(with_layer_rates(plain(), {}), 1.0) == pytest.approx(stepped(plain(), 1.0), abs=1e-6)
    assert stepped(with_layer_rates(plain(), {"w": 0.1}), 0.0) == pytest.approx((1 - 0.1 * 0.5 * 0.1) ** 3, abs=1e-6)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(with_layer_rates(plain(), {"w": 0.1})))
    assert again.get_config()["weight_decay"] == 0.5 and again.factors == {"w": 0.1}
    with pytest.raises(ModelError, match="got RMSprop"):
        with_layer_rates(keras.optimizers.RMSprop(), {})


@pytest.mark.slow
def test_adversarial_training_learns(texts) -> None:
    history = fit(adversarial(logits_model(new_classifier()), epsilon=0.5), texts, epochs=10, validation_data=texts)
    assert history["loss"][-1] < 0.6 * history["loss"][0]
    assert history["val_accuracy"][-1] > 0.9


@pytest.mark.slow
def test_all_of_them_run_compiled_by_xla(texts) -> None:
    model = new_classifier()
    table = token_embedding(model).embeddings
    went = moves(
        model,
        lambda: fit(
            adversarial(r_drop(layer_rates(logits_model(model), decay=0.1))),
            texts,
            epochs=1,
            jit=True,
            optimizer=keras.optimizers.AdamW(1e-3),
        ),
    )
    assert 0 < went[table.path] < 0.1 * went["logits/kernel"]
    assert np.isfinite(np.array(table)).all()


def test_the_token_table_is_put_back_to_the_bit(texts) -> None:
    model = new_classifier()
    head = adapt(model, "head")
    table = np.array(token_embedding(model).embeddings)
    went = moves(model, lambda: fit(adversarial(logits_model(head.model), epsilon=2.0), texts, epochs=2, eager=True))
    np.testing.assert_array_equal(np.array(token_embedding(model).embeddings), table)
    assert {path for path, distance in went.items() if distance} == {"logits/kernel", "logits/bias"}


def test_the_moved_table_raises_the_loss_and_changes_the_step(texts) -> None:
    def stepped(wrap: Callable[[keras.Model], keras.Model]) -> np.ndarray:
        model = new_classifier(dropout=0.0)
        fit(wrap(logits_model(model)), texts, optimizer=keras.optimizers.SGD(0.1), epochs=1, eager=True)
        return np.array(model.get_layer("logits").kernel)

    plain = stepped(lambda logits: logits)
    nearly = stepped(lambda logits: adversarial(logits, epsilon=1e-6, weight=1e-6))
    moved = stepped(lambda logits: adversarial(logits, epsilon=2.0))
    np.testing.assert_allclose(nearly, plain, atol=1e-6)
    assert np.abs(moved - plain).max() > 1e-4


@pytest.mark.slow
def test_r_drop_learns(texts) -> None:
    history = fit(r_drop(logits_model(new_classifier())), texts, epochs=10, validation_data=texts)
    assert history["loss"][-1] < 0.6 * history["loss"][0]
    assert history["val_accuracy"][-1] > 0.9


@pytest.mark.slow
def test_r_drop_adds_the_divergence_times_alpha_and_brings_answers_together(texts) -> None:
    def first_loss(alpha: float) -> float:
        wrapped = r_drop(logits_model(new_classifier(dropout=0.3)), alpha=alpha)
        return fit(wrapped, texts, epochs=1, eager=True, optimizer=keras.optimizers.SGD(0.0))["loss"][0]

    bare, once, thrice = (first_loss(alpha) for alpha in (1e-9, 1.0, 3.0))
    assert once - bare > 1e-4
    assert thrice - bare == pytest.approx(3 * (once - bare), rel=1e-2)

    def disagreement(alpha: float) -> float:
        logits = logits_model(new_classifier(dropout=0.3))
        fit(r_drop(logits, alpha=alpha), texts, epochs=4, eager=True)
        answers = [np.array(keras.ops.softmax(logits(texts[0], training=True))) for _ in range(8)]
        return float(np.std(answers, axis=0).mean())

    assert disagreement(100.0) < 0.7 * disagreement(1e-9)


@pytest.mark.slow
def test_objectives_go_around_each_other_and_around_a_distiller(texts) -> None:
    model, teacher = new_classifier(), new_classifier(seed=3)
    taught = distiller(logits_model(model), logits_model(teacher), alpha=0.3)
    whole = adversarial(r_drop(taught, alpha=0.5), epsilon=0.5)
    history = fit(whole, texts, epochs=4, eager=True, class_weight={0: 1.0, 1: 2.0, 2: 1.0})
    assert history["loss"][-1] < history["loss"][0]
    rated = adversarial(layer_rates(logits_model(new_classifier()), decay=0.5))
    fit(rated, texts, epochs=1, eager=True)
    assert rated.optimizer.factors["token_embedding/embeddings"] == 0.25


def test_low_rank_training_under_every_objective_moves_nothing_else(texts) -> None:
    model = new_classifier()
    adapt(model, "lora", rank=2)
    whole = adversarial(r_drop(layer_rates(logits_model(model), decay=0.9)), epsilon=0.5)
    went = moves(model, lambda: fit(whole, texts, epochs=1, eager=True))
    touched = {path.split("/")[-1] for path, distance in went.items() if distance and "logits" not in path}
    assert touched == {"lora_kernel_a", "lora_kernel_b"}


@pytest.mark.parametrize(
    ("wrap", "words"),
    [
        (lambda model: adversarial(model, epsilon=0.0, weight=-1.0), "epsilon must be more than 0.*weight must be"),
        (lambda model: r_drop(model, alpha=0.0), "alpha must be more than 0.*no dropout"),
    ],
)
def test_what_would_teach_nothing_is_refused(wrap: Callable[[keras.Model], keras.Model], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        wrap(logits_model(new_classifier(dropout=0.0)))


def test_the_mean_of_weights_is_the_mean() -> None:
    one, other = new_classifier(), new_classifier(seed=3)
    halfway = average_weights([one, other])
    for mean, first, second in zip(halfway.get_weights(), one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mean, (first + second) / 2, rtol=1e-5, atol=1e-7)
    tilted = average_weights([one, other], shares=[3, 0])
    np.testing.assert_array_equal(tilted.get_weights()[0], one.get_weights()[0])


def test_a_greedy_soup_leaves_out_what_spoils_it() -> None:
    good = new_classifier()
    spoilt = new_classifier()
    spoilt.set_weights([weight + 5 for weight in spoilt.get_weights()])
    wanted = good.get_weights()[0]
    soup = greedy_soup([spoilt, good, good], lambda model: -float(np.abs(model.get_weights()[0] - wanted).mean()))
    assert soup.members == (1, 2)
    assert soup.score == max(soup.single_scores)


def test_models_that_do_not_fit_are_told() -> None:
    low_rank = new_classifier()
    adapt(low_rank, "lora", rank=2)
    with pytest.raises(ModelError, match=r"model 2 holds LoRA.*model 2 has \d+ weights, the first \d+"):
        average_weights([new_classifier(), low_rank])
    with pytest.raises(ModelError, match="2 shares for 1 models"):
        average_weights([new_classifier()], shares=[1, 1])
    with pytest.raises(ModelError, match="there is none"):
        average_weights([])
