"""A Dense layer fitted to features: scikit-learn's answer, chosen on what it does not learn from, folded exactly."""

from pathlib import Path

import keras
import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from tfkit.data import evaluation_batches
from tfkit.data.targets import dense_targets
from tfkit.errors import TrainingError
from tfkit.models import HeadSpec, build_backbone, build_classifier, head_on_features
from tfkit.tasks import CLASSIFICATION, MULTILABEL, REGRESSION
from tfkit.training import Features, LinearHead, LinearTask, Optimization, fit_linear_head, train_head
from tfkit.training.head import learn_on_features, share_to_choose_on
from tfkit.training.linear_head import held_out_share

PLAN = Optimization(epochs=1, learning_rate=1e-3)
DRAW = np.random.default_rng(5)
VALUES = (DRAW.normal(size=(400, 12)) * np.geomspace(0.3, 3, 12) + 5).astype(np.float32)
LOGITS = (VALUES - 5) / np.geomspace(0.3, 3, 12) @ DRAW.normal(size=(12, 3)) + DRAW.normal(size=(400, 3))
CLASSES = LOGITS.argmax(axis=1).astype(np.int32)


def features(labels: np.ndarray, width: int) -> Features:
    return Features(VALUES, dense_targets(labels, width))


def fitted(seen: Features, asked: LinearTask) -> LinearHead:
    return fit_linear_head(seen.rows(0, 300), seen.rows(300, 400), asked)


def scaled(head: LinearHead) -> np.ndarray:
    """The features as scikit-learn gets them, by training statistics."""
    scaler = StandardScaler().fit(VALUES[:300])
    if head.chosen.scaling == "standard":
        return scaler.transform(VALUES)
    return (VALUES - scaler.mean_) / np.sqrt(scaler.var_.mean())


def test_classes_are_scikit_learns_at_the_same_penalty() -> None:
    head = fitted(features(CLASSES, 3), LinearTask(task=CLASSIFICATION))
    theirs = LogisticRegression(C=1 / (head.chosen.penalty * 300), tol=1e-6, max_iter=2000)
    expected = theirs.fit(scaled(head)[:300], CLASSES[:300]).predict_proba(scaled(head))
    np.testing.assert_allclose(softmax(VALUES @ head.kernel + head.bias, axis=1), expected, atol=5e-3)
    assert {fit.scaling for fit in head.fits} == {"common", "standard"}


def test_weights_of_classes_are_scikit_learns() -> None:
    weight = {0: 4.0, 1: 1.0, 2: 0.5}
    head = fitted(features(CLASSES, 3), LinearTask(task=CLASSIFICATION, class_weight=weight))
    theirs = LogisticRegression(C=1 / (head.chosen.penalty * 300), class_weight=weight, tol=1e-6, max_iter=2000)
    expected = theirs.fit(scaled(head)[:300], CLASSES[:300]).predict_proba(scaled(head))
    np.testing.assert_allclose(softmax(VALUES @ head.kernel + head.bias, axis=1), expected, atol=5e-3)


@pytest.mark.parametrize("units", [1, 3])
def test_labels_are_one_logistic_regression_each(units: int) -> None:
    labels = (LOGITS[:, :units] > 0).astype(np.uint8)
    head = fitted(features(labels, units), LinearTask(task=MULTILABEL))
    given = expit(VALUES @ head.kernel + head.bias)
    for unit in range(units):
        theirs = LogisticRegression(C=1 / (head.chosen.penalty * 300), tol=1e-6, max_iter=2000)
        expected = theirs.fit(scaled(head)[:300], labels[:300, unit]).predict_proba(scaled(head))[:, 1]
        np.testing.assert_allclose(given[:, unit], expected, atol=5e-3)


def test_numbers_are_ridge_regression_in_their_own_units() -> None:
    numbers = (LOGITS[:, :2] * [100.0, 0.01] + [5000.0, 1.0]).astype(np.float32)
    units = {"means": numbers[:300].mean(0), "deviations": numbers[:300].std(0)}
    head = fitted(features(numbers, 2), LinearTask(task=REGRESSION, **units))
    given = (VALUES @ head.kernel + head.bias) * units["deviations"] + units["means"]
    standardised = (numbers - units["means"]) / units["deviations"]
    theirs = Ridge(alpha=head.chosen.penalty * 300).fit(scaled(head)[:300], standardised[:300])
    expected = theirs.predict(scaled(head)) * units["deviations"] + units["means"]
    np.testing.assert_allclose(given / numbers.std(0), expected / numbers.std(0), atol=5e-3)
    assert head.chosen.figures["val_r2"] > 0.7


def test_smoothed_labels_are_smoothed() -> None:
    head = fitted(features(CLASSES, 3), LinearTask(task=CLASSIFICATION, label_smoothing=0.3))
    scores = softmax(VALUES[:300] @ head.kernel + head.bias, axis=1)
    # The bias carries no penalty, so that the mean answer is the mean of the smoothed targets.
    expected = 0.7 * np.eye(3)[CLASSES[:300]].mean(axis=0) + 0.1
    np.testing.assert_allclose(scores.mean(axis=0), expected, atol=1e-3)


def test_noise_asks_for_a_strong_penalty_and_signal_for_a_weak_one() -> None:
    chance = DRAW.integers(0, 3, 400).astype(np.int32)
    noise = fitted(features(chance, 3), LinearTask(task=CLASSIFICATION))
    exact = (VALUES[:, 0] > 5).astype(np.int32)
    signal = fitted(features(exact, 2), LinearTask(task=CLASSIFICATION))
    assert noise.chosen.penalty > 100 * signal.chosen.penalty


def test_the_scale_is_each_features_own_where_that_helps() -> None:
    draw = np.random.default_rng(1)
    telling, noise = draw.normal(size=(600, 20)), draw.normal(size=(600, 60))
    classes = (telling.sum(axis=1) > 0).astype(np.int32)
    values = np.hstack([telling, 10 * noise]).astype(np.float32)  # what tells the classes hardly varies beside the rest
    seen = Features(values, dense_targets(classes, 2))
    head = fit_linear_head(seen.rows(0, 100), seen.rows(100, 600), LinearTask(task=CLASSIFICATION))
    assert head.chosen.scaling == "standard"
    assert head.chosen.figures["val_accuracy"] > max(
        fit.figures["val_accuracy"] for fit in head.fits if fit.scaling == "common"
    )


def test_another_choice_of_held_out_examples_changes_the_choice_and_nothing_else_does(model, digits, image) -> None:
    def choose(validation, test_labels):
        spoilt = digits.test.select(test_labels)
        assert len(spoilt)  # the stage is never given them
        keras.utils.set_random_seed(7)
        fresh = build_classifier(build_backbone("resnet8", image=image), classes=3)
        return train_head(fresh, digits.train, validation, image, optimization=PLAN, solver="lbfgs")

    good = choose(digits.validation, np.arange(10))
    turned = digits.validation
    turned = type(turned)(
        turned.source, turned.indices, (turned.labels + 1) % 3, turned.names, turned.class_names
    )  # wrong on purpose
    bad = choose(turned, np.arange(10, 20))
    assert good.history["val_accuracy"][-1] > 0.6 > bad.history["val_accuracy"][-1]
    assert len(bad.history["loss"]) < len(good.history["loss"])  # nothing helps: the strongest penalty stays


def test_the_graph_stays_and_its_scores_are_those_of_the_fit(model, digits, image) -> None:
    before = [layer.name for layer in model.layers]
    result = train_head(model, digits.train, digits.validation, image, optimization=PLAN, solver="lbfgs")
    assert [layer.name for layer in model.layers] == before
    scores = model.predict(evaluation_batches(digits.validation, image, batch_size=64), verbose=0)
    right = np.mean(scores.argmax(axis=1) == digits.validation.labels)
    assert right == pytest.approx(result.history["val_accuracy"][-1], abs=1.5 / len(scores))
    assert result.counted_in == "fit" and "validation examples" in result.notes[1]
    assert "L-BFGS" in result.notes[1] and "C " in result.notes[1]


def test_without_validation_a_share_of_training_chooses_and_all_of_it_is_learned_from(model, digits, image) -> None:
    nothing = digits.validation.select(np.arange(0))
    options = {"optimization": PLAN, "solver": "lbfgs", "cached_views": 2, "augmentation": "light", "flip": False}
    ends = []
    for _ in range(2):
        result = train_head(model, digits.train, nothing, image, **options)
        ends.append(np.copy(model.get_layer("logits").kernel))
    np.testing.assert_array_equal(*ends)
    assert "training examples held out" in result.notes[1]
    kept, held_out = held_out_share(digits.train.labels, seed=0)
    assert len(kept) + len(held_out) == len(digits.train) and not set(kept) & set(held_out)
    assert f"{len(held_out)} training examples" in result.notes[1]


def test_views_and_mixed_images_are_fitted_too(model, digits, image, tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    result = train_head(
        model,
        digits.train,
        digits.validation,
        image,
        optimization=Optimization(epochs=1, learning_rate=1e-3, label_smoothing=0.1, class_weights="balanced"),
        solver="lbfgs",
        cached_views=2,
        augmentation="light",
        mixing="mixup",
        flip=False,
        log_directory=tmp_path,
        progress=lambda *call: told.append(call),
    )
    assert result.history["accuracy"][-1] > 0.6
    assert list(tmp_path.glob("events.out*"))
    assert told[-1][0] == told[-1][1] and "validation accuracy" in told[-2][2]


def test_a_model_of_one_sigmoid_and_one_of_numbers_get_their_layers(digits, image) -> None:
    for head, labels in (
        (HeadSpec("sigmoid"), (CLASSES == 0).astype(np.uint8)[:, None]),
        (HeadSpec("linear", means=(50.0,), deviations=(10.0,)), (50 + 10 * LOGITS[:, :1]).astype(np.float32)),
    ):
        pixels = keras.Input((12,))
        model = keras.Model(pixels, keras.layers.Reshape((1, 1, 12))(pixels), name="numbers")
        model = build_classifier(model, classes=1, head=head, dropout=0.2)
        train, none = _Labelled(labels), _Labelled(labels[:0])
        share = share_to_choose_on(train, none, "lbfgs", seed=0)
        order = np.concatenate([share.kept, share.held_out])
        seen = Features(VALUES[order], dense_targets(labels[order], 1))
        course = learn_on_features(
            model, train, seen, None, share, optimization=PLAN, solver="lbfgs", batch_size=32, seed=0
        )
        scores = model.predict(VALUES, verbose=0)
        assert head_on_features(model).get_layer("head_dropout").rate == 0.2
        if head.activation == "sigmoid":
            assert np.mean((scores > 0.5) == labels) > 0.85
        else:
            assert np.corrcoef(scores[:, 0], labels[:, 0])[0, 1] > 0.8 and "ridge regression" in course.notes[0]
            assert scores.mean() == pytest.approx(labels.mean(), rel=0.01)


class _Labelled:
    """Examples that have labels and nothing else."""

    class_names = ("yes",)
    names = ()

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)


def test_features_that_are_no_numbers_are_named() -> None:
    values = VALUES.copy()
    values[7, 2] = np.nan
    spoilt = Features(values, dense_targets(CLASSES, 3))
    with pytest.raises(TrainingError, match="1 of the backbone's 12 features"):
        fitted(spoilt, LinearTask(task=CLASSIFICATION))


def test_a_feature_that_never_changes_gets_no_weight() -> None:
    values = VALUES.copy()
    values[:, 3] = 7.25
    head = fitted(Features(values, dense_targets(CLASSES, 3)), LinearTask(task=CLASSIFICATION))
    assert np.isfinite(head.kernel).all() and np.abs(head.kernel[3]).max() < 1e-4


def test_the_only_example_of_a_class_is_learned_from() -> None:
    kept, held_out = held_out_share(np.array([0] * 10 + [1]), seed=3)
    assert 10 in kept and len(held_out) == 2
