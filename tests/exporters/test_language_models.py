"""Files of language models with a cache: the same as Keras, to a rounding, for each family; weights stored once."""

from pathlib import Path

import keras
import keras_hub
import numpy as np
import pytest

from tfkit.artifacts import PromptSpec, format_named
from tfkit.data.replies import learn_conversation
from tfkit.errors import ExportError, ModelError
from tfkit.exporters.language_model import LanguageModelFiles
from tfkit.models import load_model_file, save_model_file
from tfkit.models.text.language_model import LanguageModel, learn_by, tiny_llama, without_low_rank
from tfkit.runtimes import LanguageModelRuntime

VOCABULARY, LENGTH = 300, 48


def llama(tied: bool = True) -> keras.Model:
    return keras_hub.models.LlamaBackbone(
        vocabulary_size=VOCABULARY, num_layers=2, num_query_heads=4, num_key_value_heads=2, hidden_dim=32,
        intermediate_dim=64, tie_word_embeddings=tied,
    )  # fmt: skip


def gpt2() -> keras.Model:
    return keras_hub.models.GPT2Backbone(
        vocabulary_size=VOCABULARY, num_layers=2, num_heads=4, hidden_dim=32, intermediate_dim=64,
        max_sequence_length=96,
    )  # fmt: skip


FAMILIES = {
    "llama": llama,
    "untied llama": lambda: llama(tied=False),
    "llama 3": lambda: tiny_llama(vocabulary=VOCABULARY, layers=2, width=32),
    "gpt2": gpt2,
}


def fed(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    ids, mask = random.integers(0, VOCABULARY, (3, LENGTH), dtype=np.int32), np.zeros((3, LENGTH), np.int32)
    for row, (begin, end) in enumerate(((5, 12), (1, 3), (40, LENGTH))):  # within a part, at once, after two parts
        mask[row, begin:end] = 1
    return {"token_ids": ids, "answer_mask": mask}


@pytest.fixture
def spec(tmp_path: Path) -> PromptSpec:
    folder = tmp_path / "prompts"
    folder.mkdir()
    learn_conversation(["where is it"], vocabulary=VOCABULARY, length=LENGTH).save(folder)
    return PromptSpec(LENGTH, 16, folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_says_of_each_token_what_keras_says(family: str, spec: PromptSpec, tmp_path: Path) -> None:
    keras.utils.set_random_seed(2)
    model = LanguageModel(FAMILIES[family]())
    for weight in model.weights:  # larger than at the start, so that rounding shows
        weight.assign(weight * 1.5)
    expected = model.predict(fed(), verbose=0)
    assert (expected[..., 0] < 0).sum() == fed()["answer_mask"].sum()
    files, sizes = LanguageModelFiles(model, spec), {}
    for name, near in (("tflite_float32", 1e-4), ("tflite_dynamic_int8", 0.2), ("litertlm", 0.2)):
        wanted = format_named(name)
        artifact = files.write(wanted, tmp_path / wanted.file)
        with LanguageModelRuntime(artifact.path) as runtime:
            scores = runtime.scores(fed())
            seconds = runtime.prepare(fed())
            assert seconds() is None and runtime.cache == LENGTH + 16
        assert np.abs(scores - expected)[..., 0].max() < near, name
        sizes[name] = artifact.bytes
    numbers = sum(int(np.prod(weight.shape)) for weight in model.backbone.weights)
    assert sizes["tflite_float32"] < 4 * numbers + 120_000, "weights of two signatures are stored once"


def test_a_model_with_low_rank_updates_comes_back_plain_and_tied(tmp_path: Path) -> None:
    keras.utils.set_random_seed(3)
    model = LanguageModel(llama())
    learned = learn_by(model, 4)
    assert 0 < learned.trainable < 0.2 * model.count_params()
    for layer in model._flatten_layers():
        if getattr(layer, "lora_enabled", False):
            layer.lora_kernel_b.assign(np.random.default_rng(0).normal(size=layer.lora_kernel_b.shape) * 0.1)
    expected = model.predict(fed(), verbose=0)
    plain = without_low_rank(model)
    save_model_file(plain, tmp_path / "plain.keras")
    for other in (plain, load_model_file(tmp_path / "plain.keras")):
        assert other.backbone.token_embedding.tie_weights
        np.testing.assert_allclose(other.predict(fed(), verbose=0)[..., 0], expected[..., 0], atol=1e-5)


def test_what_comes_behind_an_answer_changes_nothing(spec: PromptSpec) -> None:
    model = LanguageModel(llama())
    given, other = fed(), fed()
    other["token_ids"][0, 12:] = 7
    np.testing.assert_allclose(model.predict(given, verbose=0)[0], model.predict(other, verbose=0)[0], atol=1e-6)


def test_other_models_formats_and_files_are_refused(spec: PromptSpec, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is no language model"):
        LanguageModelFiles(keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]), spec)
    files = LanguageModelFiles(LanguageModel(llama()), spec)
    with pytest.raises(ExportError, match="cannot be exported as tflite_int8"):
        files.write(format_named("tflite_int8"), tmp_path / "model.tflite")
    for name in ("other.tflite", "other.litertlm"):
        (tmp_path / name).write_bytes(b"nothing of the kind" * 9)
        with pytest.raises(ModelError):
            LanguageModelRuntime(tmp_path / name)
