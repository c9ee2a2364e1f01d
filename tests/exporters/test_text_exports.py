"""A text classifier through every exporter, and what its files answer."""

import json

import numpy as np
import pytest

from tfkit.artifacts import TextSpec, read_manifest
from tfkit.data.text import TextExamples, learn_word_pieces
from tfkit.errors import ExportError, ModelError
from tfkit.exporters import export_formats, export_saved_model
from tfkit.models.text import build_text_backbone, build_text_classifier
from tfkit.runtimes import KerasRuntime, LiteRTRuntime, SavedModelRuntime, open_runtime
from tfkit.verification import reference_scores, verify_artifact, write_golden_samples

LENGTH = 12
TEXTS = ("where is my parcel", "ünïcödé ☃ and CJK 包裹", "a refund, please!", "", "word " * 30)
CLASSES = ("parcel", "refund", "other")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(folder, spec, model, artifacts) of a tiny classifier with random weights."""
    import keras

    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("texts") / "artifacts"
    tokenizer = learn_word_pieces(TEXTS * 3, size=120)
    tokenizer.save(folder / "tokenizer")
    backbone = build_text_backbone("bert_tiny", vocabulary_size=tokenizer.vocabulary_size, max_sequence_length=16)
    model = build_text_classifier(backbone, classes=3, pooling="mean")
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([np.random.default_rng(0).normal(size=kernel.shape), bias])
    spec = TextSpec(LENGTH, folder / "tokenizer")
    formats = ("saved_model", "tflite_float32", "tflite_dynamic_int8")
    return folder, spec, model, export_formats(model, formats, folder, spec=spec, class_names=CLASSES)


@pytest.fixture(scope="module")
def examples():
    return TextExamples(TEXTS, np.array([0, 2, 1, 2, 2], np.int32), tuple(map(str, range(5))), CLASSES)


def test_every_file_answers_as_the_keras_model(exported, examples):
    _, spec, model, artifacts = exported
    reference = reference_scores(model, examples, spec)
    for artifact in artifacts:
        found = verify_artifact(artifact, examples, reference=reference)
        assert found.problems == ()
        assert found.max_difference < (0.1 if artifact.quantization == "dynamic_int8" else 1e-4)


def test_the_saved_model_tokenises_what_clients_send(exported, examples):
    _, spec, model, artifacts = exported
    reference = reference_scores(model, examples, spec)
    with SavedModelRuntime(artifacts[0].path) as runtime:
        assert [tensor.name for tensor in runtime.signature.inputs] == ["texts"]
        broken = [*(text.encode() for text in TEXTS), b"\xff\xfe not UTF-8"]
        found = runtime.scores_from_encoded(broken)
    np.testing.assert_allclose(found[: len(TEXTS)], reference, atol=1e-5)
    assert np.isfinite(found).all()


def test_the_manifest_finds_the_tokeniser_again(exported):
    folder, spec, _, artifacts = exported
    entry = json.loads((folder / "manifest.json").read_text())["artifacts"][0]
    assert entry["text"] == {"sequence_length": LENGTH, "tokenizer": "tokenizer"} and "image" not in entry
    assert [artifact.input for artifact in read_manifest(folder)] == [spec] * 3
    assert {tensor.name for tensor in artifacts[1].signature.inputs} == {"token_ids", "padding_mask"}


@pytest.mark.slow
def test_golden_samples_hold_texts_ids_and_answers(exported, examples, tmp_path):
    _, spec, model, artifacts = exported
    reference = reference_scores(model, examples, spec)
    verifications = [verify_artifact(artifact, examples, reference=reference) for artifact in artifacts]
    golden = json.loads(write_golden_samples(verifications, examples, tmp_path, spec=spec, count=3).read_text())
    assert {entry["text"] for entry in golden["texts"]} <= set(TEXTS)
    fed = np.load(tmp_path / "inputs.npz")
    assert fed["token_ids"].shape == fed["padding_mask"].shape == (3, LENGTH)
    expected = np.load(tmp_path / "expected_model_float32.npz")["scores"]
    with KerasRuntime(model) as runtime:
        tokens = {name: fed[name] for name in ("token_ids", "padding_mask")}
        np.testing.assert_allclose(runtime.scores(tokens), expected, atol=1e-4)


def test_wrong_inputs_are_told(exported):
    _, _, _, artifacts = exported
    with LiteRTRuntime(artifacts[1].path) as runtime:
        with pytest.raises(ModelError, match="takes token ids; got images"):
            runtime.scores(np.zeros((1, 8, 8, 3), np.uint8))
        with pytest.raises(ModelError, match=r"of shape \(n, 12\)"):
            runtime.scores({name: np.zeros((1, 5), np.int32) for name in ("token_ids", "padding_mask")})


def test_int8_without_training_is_refused_with_what_to_do(exported, tmp_path):
    _, spec, model, _ = exported
    with pytest.raises(ExportError, match="needs quantisation-aware training"):
        export_formats(model, ["tflite_int8"], tmp_path, spec=spec, class_names=CLASSES)


def test_a_model_of_images_does_not_take_texts(small_classifier, exported, tmp_path):
    _, spec, _, _ = exported
    with pytest.raises(ExportError, match="expected token_ids and padding_mask of 12 tokens"):
        export_saved_model(small_classifier, tmp_path / "saved_model", spec=spec, class_names=CLASSES)


def test_one_text_is_timed(exported):
    from tfkit.benchmarking import measure_latency, noise

    _, spec, _, artifacts = exported
    with open_runtime(artifacts[2]) as runtime:
        assert measure_latency(runtime, noise(spec), max_seconds=0.1).measures == "LiteRT invoke, one text"
