"""Fine-tuning: BatchNorm's statistics stay, precision comes back, what is kept is what was asked for."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.data import load_image_splits
from tfkit.errors import DataError
from tfkit.models import build_backbone, build_classifier, load_model_file
from tfkit.training import Optimization, fine_tune
from tfkit.training.quick_steps import narrow_convolutions_crash

PLAN = Optimization(epochs=2, learning_rate=1e-3)


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def statistics(model: keras.Model) -> list[np.ndarray]:
    return [np.copy(value) for norm in batch_norms(model) for value in (norm.moving_mean, norm.moving_variance)]


def test_running_statistics_do_not_move_while_the_kernels_do(model, digits, image) -> None:
    before, kernel = statistics(model), np.copy(model.get_layer("stage3_block1_2_conv").kernel)
    fine_tune(model, digits.train, digits.validation, image, optimization=PLAN)
    assert all(np.array_equal(old, new) for old, new in zip(before, statistics(model), strict=True))
    assert not np.array_equal(kernel, model.get_layer("stage3_block1_2_conv").kernel)


def test_running_statistics_move_when_asked(model, digits, image) -> None:
    before = statistics(model)
    fine_tune(model, digits.train, digits.validation, image, optimization=PLAN, batch_norm="train")
    assert not any(np.array_equal(old, new) for old, new in zip(before, statistics(model), strict=True))


@pytest.mark.slow
def test_training_from_scratch_learns_the_digits(model, digits, image) -> None:
    plan = Optimization(epochs=12, learning_rate=3e-3, optimizer="adamw", schedule="cosine", warmup=0.1)
    result = fine_tune(model, digits.train, digits.validation, image, optimization=plan, batch_norm="train")
    assert result.history["val_accuracy"][-1] > 0.9
    rates = result.history["learning_rate"]
    assert max(rates) <= 3e-3
    assert rates[-1] < rates[2]


def test_the_same_seed_gives_the_same_weights(another_model, digits, image) -> None:
    ends = []
    for _ in range(2):
        model = another_model()
        options = {"augmentation": "light", "mixing": "mixup", "seed": 5}
        fine_tune(model, digits.train, digits.validation, image, optimization=PLAN, **options)
        ends.append(model.get_weights())
    assert all(np.array_equal(first, second) for first, second in zip(*ends, strict=True))


def test_mixed_precision_trains_and_leaves_a_float32_model(model, digits, image) -> None:
    kernel = np.copy(model.get_layer("stem_conv").kernel)
    fine_tune(model, digits.train, digits.validation, image, optimization=PLAN, precision="mixed_bfloat16")
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert not np.array_equal(kernel, model.get_layer("stem_conv").kernel)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_low_rank_training_moves_the_attention_and_the_head_alone(precision, digits, image) -> None:
    keras.utils.set_random_seed(7)
    model = build_classifier(build_backbone("vit_micro_8", image=image), classes=3)
    before = {weight.path: np.copy(weight) for weight in model.weights}
    options = {"optimization": PLAN, "method": "lora", "rank": 2, "precision": precision}
    result = fine_tune(model, digits.train, digits.validation, image, **options)
    moved = {weight.path for weight in model.weights if not np.array_equal(before[weight.path], weight)}
    ends = {"/".join(path.split("/")[-2:]) for path in moved if "seed" not in path}
    assert ends == {"query/kernel", "value/kernel", "logits/kernel", "logits/bias"}
    assert result.trainable_parameters is not None and 0 < result.trainable_parameters < 0.1 * model.count_params()
    assert f"{result.trainable_parameters:,} of {model.count_params():,} parameters" in result.notes[0]


@pytest.mark.slow
def test_what_is_kept_is_the_average_of_the_weights(model, digits, image, tmp_path: Path) -> None:
    plan = Optimization(epochs=2, learning_rate=1e-2, ema=0.999)
    start = model.get_weights()
    fine_tune(
        model, digits.train, digits.validation, image, optimization=plan, checkpoint=tmp_path / "checkpoint.keras"
    )
    averaged = np.abs(model.get_layer("stem_conv").kernel - start[0]).max()
    kept = load_model_file(tmp_path / "checkpoint.keras")
    np.testing.assert_allclose(kept.get_layer("stem_conv").kernel, model.get_layer("stem_conv").kernel, atol=1e-6)
    model.set_weights(start)
    fine_tune(model, digits.train, digits.validation, image, optimization=Optimization(epochs=2, learning_rate=1e-2))
    assert averaged < np.abs(model.get_layer("stem_conv").kernel - start[0]).max() / 3


def test_gradients_of_several_batches_make_one_step(model, digits, image) -> None:
    start = model.get_weights()
    plans = [Optimization(epochs=1, learning_rate=1e-2, optimizer="sgd", gradient_accumulation=n) for n in (1, 1000)]
    moved = []
    for plan in plans:
        model.set_weights(start)
        fine_tune(model, digits.train, digits.validation, image, optimization=plan)
        moved.append(not np.array_equal(start[0], model.get_weights()[0]))
    assert moved == [True, False]


def test_a_weight_for_an_unknown_class_is_refused(model, digits, image) -> None:
    plan = Optimization(epochs=1, learning_rate=1e-3, class_weights={"7": 2.0})
    with pytest.raises(DataError, match="do not have: 7"):
        fine_tune(model, digits.train, digits.validation, image, optimization=plan)


@pytest.mark.slow
def test_narrow_convolutions_train_whether_onednn_crashes_here_or_not() -> None:
    image = ImageSpec(32, 32, 3, "stretch")
    backbone = build_backbone("mobilenet_v2", image=image, weights="random", width=0.35)
    narrow = build_classifier(backbone, classes=3)
    few = load_image_splits(source="digits", channels=3, classes=["0", "1", "2"], labels_per_class=8)
    result = fine_tune(narrow, few.train, few.validation, image, optimization=PLAN)
    assert np.isfinite(result.history["loss"]).all()
    assert ("compiled by XLA" in " ".join(result.notes)) == narrow_convolutions_crash()


def test_the_model_of_the_last_epoch_is_kept_when_training_is_interrupted(model, digits, image, tmp_path) -> None:
    def interrupt(done: int, total: int, text: str) -> None:
        if text.startswith("epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(
            model,
            digits.train,
            digits.validation,
            image,
            optimization=PLAN,
            checkpoint=tmp_path / "fine_tune.keras",
            progress=interrupt,
        )
    assert load_model_file(tmp_path / "fine_tune.keras").output_shape == (None, 3)


def test_the_model_is_kept_in_its_first_epoch_and_at_the_end(model, digits, image, tmp_path: Path) -> None:
    """Between them no more than a twentieth of the time goes into saving: epochs of a small model are shorter."""
    kept = tmp_path / "checkpoint.keras"
    seen: list[list[np.ndarray]] = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            seen.append(load_model_file(kept).get_weights() if kept.is_file() else [])

    plan = Optimization(epochs=3, learning_rate=1e-2)
    fine_tune(
        model,
        digits.train,
        digits.validation,
        image,
        optimization=plan,
        checkpoint=kept,
        callbacks=(Look(),),
    )
    assert not seen[0], "callbacks of the caller come first"
    assert seen[1], "kept after the first epoch"
    for before, after in zip(load_model_file(kept).get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
