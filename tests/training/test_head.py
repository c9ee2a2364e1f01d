"""The head phase: the backbone stays, features are computed once, the result is that of plain Keras."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tfkit.data import evaluation_batches
from tfkit.models import backbone_layers, build_backbone, build_classifier, freeze_backbone, load_model_file
from tfkit.training import Optimization, cache_features, class_weights, frozen_features, train_head

PLAN = Optimization(epochs=15, learning_rate=0.02)


def test_only_the_head_moves(model, digits, image) -> None:
    before = [np.copy(weight) for layer in backbone_layers(model) for weight in layer.weights]
    head = np.copy(model.get_layer("logits").kernel)
    result = train_head(model, digits.train, digits.validation, image, optimization=PLAN)
    after = [weight for layer in backbone_layers(model) for weight in layer.weights]
    assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))
    assert not np.array_equal(head, model.get_layer("logits").kernel)
    assert len(result.history["val_accuracy"]) == len(result.history["learning_rate"]) == 15


def test_training_on_cached_features_is_training_through_the_frozen_backbone(digits, image) -> None:
    # One batch of all images and no dropout: nothing is left to chance, so the weights must be the same.
    count = len(digits.train)
    backbone = build_backbone("resnet8", image=image)
    cached, plain = (build_classifier(backbone, classes=3) for _ in range(2))
    freeze_backbone(plain)
    plain.compile(keras.optimizers.SGD(0.5, momentum=0.9, nesterov=True), "categorical_crossentropy", jit_compile=False)
    plain.fit(evaluation_batches(digits.train, image, batch_size=count), epochs=5, verbose=0)
    plan = Optimization(epochs=5, learning_rate=0.5, optimizer="sgd")
    train_head(cached, digits.train, digits.validation, image, optimization=plan, batch_size=count)
    kernels = [model.get_layer("logits").kernel for model in (cached, plain)]
    assert np.abs(kernels[0]).max() > 0.05
    np.testing.assert_allclose(*kernels, rtol=1e-3, atol=1e-4)


def test_further_views_are_augmented_and_come_after_the_plain_one(model, digits, image) -> None:
    options = {"batch_size": 64, "seed": 3}
    extractor = frozen_features(model)
    plain = cache_features(extractor, digits.train, image, **options)
    views = cache_features(extractor, digits.train, image, views=3, augmentation="light", flip=False, **options)
    assert len(views) == 3 * len(plain)
    np.testing.assert_array_equal(views.values[: len(plain)], plain.values)
    assert not np.allclose(np.sort(views.values[len(plain) : 2 * len(plain)], axis=0), np.sort(plain.values, axis=0))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(another_model, digits, image) -> None:
    ends = []
    for seed in (1, 1, 2):
        model = another_model()
        options = {"cached_views": 2, "augmentation": "light", "seed": seed}
        train_head(model, digits.train, digits.validation, image, optimization=PLAN, **options)
        ends.append(np.copy(model.get_layer("logits").kernel))
    np.testing.assert_array_equal(ends[0], ends[1])
    assert not np.array_equal(ends[0], ends[2])


def test_progress_and_tensorboard_follow_the_stage(model, digits, image, tmp_path: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    train_head(
        model,
        digits.train,
        digits.validation,
        image,
        optimization=PLAN,
        log_directory=tmp_path,
        progress=lambda *call: calls.append(call),
    )
    done, total, text = calls[-1]
    assert done == total
    assert text.startswith("epoch 15/15")
    assert "validation" in text
    assert {folder.name for folder in tmp_path.iterdir()} == {"train", "validation"}


def test_ctrl_c_keeps_the_model(model, digits, image, tmp_path: Path) -> None:
    def interrupt(done: int, total: int, text: str) -> None:
        if text.startswith("epoch 3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_head(
            model,
            digits.train,
            digits.validation,
            image,
            optimization=PLAN,
            checkpoint=tmp_path / "head.keras",
            progress=interrupt,
        )
    kept = load_model_file(tmp_path / "head.keras")
    np.testing.assert_array_equal(kept.get_layer("logits").kernel, model.get_layer("logits").kernel)


def test_early_stopping_brings_the_best_weights_back(model, digits, image) -> None:
    plan = Optimization(epochs=60, learning_rate=0.5, early_stopping=2)
    result = train_head(model, digits.train, digits.validation, image, optimization=plan)
    losses = result.history["val_loss"]
    assert len(losses) < 60
    pixels = np.concatenate([x for x, _ in evaluation_batches(digits.validation, image, batch_size=64)])
    scores = model.predict(pixels, verbose=0)[np.arange(len(pixels)), digits.validation.labels]
    assert -np.log(np.maximum(scores, 1e-30)).mean() == pytest.approx(min(losses), rel=1e-3, abs=1e-3)


def test_class_weights_move_the_answers(model, digits, image) -> None:
    plan = Optimization(epochs=15, learning_rate=0.02, class_weights={"0": 100.0, "1": 0.01, "2": 0.01})
    train_head(model, digits.train, digits.validation, image, optimization=plan)
    answers = model.predict(evaluation_batches(digits.test, image, batch_size=64), verbose=0).argmax(1)
    assert np.mean(answers == 0) > 0.9


def test_balanced_weights_are_the_inverse_of_the_counts(digits) -> None:
    counts = {"0": 30, "1": 20, "2": 10}
    positions = [np.flatnonzero(digits.train.labels == index)[:count] for index, count in enumerate(counts.values())]
    weights = class_weights(
        Optimization(epochs=1, learning_rate=1.0, class_weights="balanced"),
        digits.train.select(np.concatenate(positions)),
    )
    assert weights == pytest.approx({0: 60 / 90, 1: 60 / 60, 2: 60 / 30})
