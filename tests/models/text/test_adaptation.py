"""Ways to adapt: what learns, what stays, and that the result is a plain model again."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tfkit.errors import ModelError
from tfkit.models import free_everything, load_model_file, logits_model, save_model_file, with_dtype_policy
from tfkit.models.text import Adaptation, adapt, encoder_blocks, merge_adaptation, open_transformer
from tfkit.models.text.backbones import inner_layers


def train(model: keras.Model, tokens, targets, *, steps: int = 3) -> list[float]:
    fitted = logits_model(model)
    # Eagerly: a few steps of a tiny model are done sooner than its graph is traced.
    fitted.compile(
        keras.optimizers.Adam(0.01), keras.losses.CategoricalCrossentropy(from_logits=True), run_eagerly=True
    )
    return [float(fitted.train_on_batch(tokens, targets)) for _ in range(steps)]


def answers(model: keras.Model, tokens) -> np.ndarray:
    return np.array(model(tokens, training=False))


def moved(adaptation: Adaptation, tokens, targets) -> set[str]:
    """The paths of the weights that training moves."""
    before = [(weight, np.array(weight)) for weight in adaptation.model.weights]
    train(adaptation.model, tokens, targets)
    return {weight.path for weight, old in before if not np.array_equal(old, np.array(weight))}


def test_all_and_head_and_last_move_what_they_name(another_classifier, tokens, targets) -> None:
    everything = adapt(another_classifier(), "all")
    assert everything.share == 1.0
    head = adapt(another_classifier(), "head")
    assert head.trainable_parameters == 32 * 3 + 3
    assert moved(head, tokens, targets) == {"logits/kernel", "logits/bias"}
    last = adapt(another_classifier(), "last", layers=1)
    assert {path.split("/")[0] for path in moved(last, tokens, targets)} == {"transformer_layer_1", "logits"}
    assert head.share < last.share < everything.share
    assert "(1 blocks)" in last.notes[0]


@pytest.mark.parametrize("earlier", ["head", "bitfit"])
def test_what_an_earlier_way_froze_learns_again(earlier, classifier, tokens, targets) -> None:
    adapt(classifier, earlier)
    assert adapt(classifier, "all").share == 1.0
    adapt(classifier, earlier)
    opened = open_transformer(classifier, tokens)
    free_everything(opened)
    assert len(opened.trainable_weights) == len(opened.weights)


def test_bitfit_moves_biases_alone(classifier, tokens, targets) -> None:
    adaptation = adapt(classifier, "bitfit")
    inside = moved(adaptation, tokens, targets) - {"logits/kernel"}
    assert {path.split("/")[-1] for path in inside} == {"bias", "beta"}
    assert any("self_attention_layer/value" in path for path in inside)
    assert adaptation.share < 0.06


@pytest.mark.parametrize("family", ["Bert", "Albert", "DebertaV3"])
def test_low_rank_products_learn_alone_and_merge_to_equal_outputs(
    family: str, another_classifier, tokens, targets
) -> None:
    model = another_classifier(family)
    untouched = answers(model, tokens)
    adaptation = adapt(model, "lora", rank=2)
    assert adaptation.model is model
    assert adaptation.share < 0.1
    np.testing.assert_array_equal(answers(model, tokens), untouched)
    inside = moved(adaptation, tokens, targets) - {"logits/kernel", "logits/bias"}
    assert {path.split("/")[-1] for path in inside} == {"lora_kernel_a", "lora_kernel_b"}
    assert {path.split("/")[-2] for path in inside} == {"query", "value"}
    trained = answers(model, tokens)
    assert np.abs(trained - untouched).max() > 1e-2
    plain = merge_adaptation(model)
    np.testing.assert_allclose(answers(plain, tokens), trained, atol=2e-6)
    assert not any("lora" in weight.path for weight in plain.weights)
    assert plain.count_params() == another_classifier(family).count_params()
    assert len(plain.trainable_weights) == len(plain.weights)


def test_a_prediction_before_adapting_leaves_nothing_behind(classifier, tokens) -> None:
    classifier.predict_on_batch(tokens)
    adapt(classifier, "lora", rank=2)
    for layer in inner_layers(classifier):
        if getattr(layer, "lora_enabled", False):
            layer.lora_kernel_b.assign(np.full(layer.lora_kernel_b.shape, 0.5))
    np.testing.assert_allclose(classifier.predict_on_batch(tokens), answers(classifier, tokens), atol=1e-6)


def test_low_rank_products_in_all_projections(classifier, tokens) -> None:
    adaptation = adapt(classifier, "lora", rank=2, alpha=4.0, projections="all")
    assert "in 12 layers" in adaptation.notes[0] and "feedforward_output_dense" in adaptation.notes[0]
    enabled = [layer for layer in inner_layers(classifier) if getattr(layer, "lora_enabled", False)]
    for layer in enabled:
        layer.lora_kernel_b.assign(np.full(layer.lora_kernel_b.shape, 0.05))
    np.testing.assert_allclose(answers(merge_adaptation(classifier), tokens), answers(classifier, tokens), atol=2e-6)


def test_a_file_of_a_low_rank_model_is_the_merged_model(classifier, tokens, targets, tmp_path: Path) -> None:
    adapt(classifier, "lora", rank=2)
    train(classifier, tokens, targets)
    save_model_file(classifier, tmp_path / "m.keras")
    again = load_model_file(tmp_path / "m.keras")
    np.testing.assert_allclose(answers(again, tokens), answers(classifier, tokens), atol=2e-6)


def test_adapters_change_nothing_at_first_then_learn_and_survive_a_file(
    classifier, tokens, targets, tmp_path: Path
) -> None:
    untouched = answers(classifier, tokens)
    adaptation = adapt(classifier, "adapters", bottleneck=4)
    model = adaptation.model
    assert model is not classifier
    np.testing.assert_array_equal(answers(model, tokens), untouched)
    paths = moved(adaptation, tokens, targets) - {"logits/kernel", "logits/bias"}
    assert all("_adapter/" in path or "norm/" in path for path in paths)
    assert sum("_adapter/" in path for path in paths) == 2 * 2 * 4
    trained = answers(model, tokens)
    save_model_file(model, tmp_path / "m.keras")
    again = load_model_file(tmp_path / "m.keras")
    np.testing.assert_array_equal(answers(again, tokens), trained)
    assert len(encoder_blocks(again)) == 2
    np.testing.assert_array_equal(answers(merge_adaptation(model), tokens), trained)


@pytest.mark.slow
def test_a_fresh_process_loads_adapters(classifier, tokens, tmp_path: Path) -> None:
    import subprocess
    import sys

    save_model_file(adapt(classifier, "adapters", bottleneck=4).model, tmp_path / "m.keras")
    program = (
        "from pathlib import Path; from tfkit.models import load_model_file; "
        f"print(load_model_file(Path({str(tmp_path / 'm.keras')!r})).count_params())"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(told.stdout) > classifier.count_params()


@pytest.mark.parametrize("method", ["lora", "bitfit", "adapters"])
def test_mixed_precision_trains_the_same_weights(method: str, classifier, tokens) -> None:
    model = adapt(classifier, method, rank=2, bottleneck=4).model
    mixed = with_dtype_policy(model, "mixed_bfloat16")
    learning = [weight.path for weight in model.trainable_weights]
    assert [weight.path for weight in mixed.trainable_weights] == learning
    model.set_weights(mixed.get_weights())
    assert answers(with_dtype_policy(mixed, "float32"), tokens).shape == (8, 3)


def test_every_way_lowers_the_loss(another_classifier, tokens, targets) -> None:
    for method in ("lora", "adapters", "bitfit"):
        losses = train(adapt(another_classifier(), method, rank=2, bottleneck=4).model, tokens, targets, steps=12)
        assert losses[-1] < 0.95 * losses[0], method


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("last", {"layers": 3}, "layers must be 1 to 2"),
        ("lora", {"rank": 0, "alpha": -1.0}, "rank must be 1 or more.*alpha must be more than 0"),
        ("adapters", {"bottleneck": 0, "projections": "none"}, "bottleneck must be 1.*projections must be"),
        ("prefix", {}, "the methods are all, head"),
    ],
)
def test_wrong_options_are_told_before_anything_is_changed(classifier, method: str, options: dict, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        adapt(classifier, method, **options)
    assert len(classifier.trainable_weights) == len(classifier.weights)


def test_what_cannot_be_adapted_is_refused(another_classifier) -> None:
    twice = another_classifier()
    adapt(twice, "lora", rank=2)
    with pytest.raises(ModelError, match="holds LoRA already"):
        adapt(twice, "bitfit")
    with pytest.raises(ModelError, match="its blocks are DisentangledAttentionEncoder"):
        adapt(another_classifier("DebertaV3"), "adapters")
