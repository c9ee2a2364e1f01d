"""Text backbones by name: sizes from scratch, presets, folders, and what is told when there is none."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tfkit.errors import ModelError
from tfkit.models.text import build_text_backbone, build_text_classifier, pooled_features, text_backbone_names


def write_hugging_face_bert(folder: Path, **changes) -> dict[str, np.ndarray]:
    """A one-layer BERT as transformers' `save_pretrained` writes it."""
    from safetensors.numpy import save_file

    random = np.random.default_rng(0)
    hidden, inner = 8, 16
    shapes = {
        "embeddings.word_embeddings.weight": (20, hidden),
        "embeddings.position_embeddings.weight": (12, hidden),
        "embeddings.token_type_embeddings.weight": (2, hidden),
        "pooler.dense.weight": (hidden, hidden),
        "pooler.dense.bias": (hidden,),
    }
    layer = "encoder.layer.0"
    for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
        shapes |= {f"{layer}.{part}.weight": (hidden, hidden), f"{layer}.{part}.bias": (hidden,)}
    shapes |= {f"{layer}.intermediate.dense.weight": (inner, hidden), f"{layer}.intermediate.dense.bias": (inner,)}
    shapes |= {f"{layer}.output.dense.weight": (hidden, inner), f"{layer}.output.dense.bias": (hidden,)}
    for norm in ("embeddings", f"{layer}.attention.output", f"{layer}.output"):
        shapes |= {f"{norm}.LayerNorm.weight": (hidden,), f"{norm}.LayerNorm.bias": (hidden,)}
    tensors = {name: random.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "vocab_size": 20,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "max_position_embeddings": 12,
    } | changes
    (folder / "config.json").write_text(json.dumps(config))
    return tensors


def test_a_hugging_face_folder_gives_its_weights(tmp_path: Path) -> None:
    tensors = write_hugging_face_bert(tmp_path / "bert")
    backbone = build_text_backbone(str(tmp_path / "bert"), dropout=0.3)
    words = backbone.token_embedding.get_weights()[0]
    np.testing.assert_array_equal(words, tensors["embeddings.word_embeddings.weight"])
    assert backbone.dropout == 0.3
    fresh = build_text_backbone(str(tmp_path / "bert"), weights="random")
    assert not np.array_equal(fresh.token_embedding.get_weights()[0], words)


def test_a_folder_of_keras_hub_is_read_too(tmp_path: Path) -> None:
    small = build_text_backbone("bert_tiny", vocabulary_size=50, max_sequence_length=16)
    small.save_to_preset(str(tmp_path / "preset"))
    again = build_text_backbone(str(tmp_path / "preset"))
    np.testing.assert_array_equal(again.token_embedding.get_weights()[0], small.token_embedding.get_weights()[0])


def test_sizes_from_scratch_are_those_of_the_paper() -> None:
    # Turc et al. 2019: 4.4 M parameters in BERT tiny with the vocabulary of 30,522.
    assert build_text_backbone("bert_tiny", vocabulary_size=30_522).count_params() == pytest.approx(4.4e6, rel=0.01)
    small = build_text_backbone("bert_small", vocabulary_size=100, dropout=0.2, max_sequence_length=32)
    assert (small.num_layers, small.hidden_dim, small.num_heads, small.dropout) == (4, 512, 8, 0.2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "bert_small"}, "vocabulary_size is needed"),
        ({"name": "bert_small", "weights": "pretrained", "vocabulary_size": 9}, "size without published weights"),
        ({"name": "bert_tiny_en_uncased", "vocabulary_size": 100}, "vocabulary_size is the preset's own"),
        (
            {"name": "bert_tiny", "vocabulary_size": 0, "dropout": 1.5},
            r"must be 1 or more.*dropout must be in \[0, 1\)",
        ),
        ({"name": "bert_tiny", "vocabulary_size": 9, "weights": "imagenet"}, "must be pretrained or random"),
        ({"name": "bert_bas_en"}, "did you mean bert_base_en"),
        ({"name": "./nowhere/model"}, "there is no folder './nowhere/model'"),
    ],
)
def test_what_cannot_be_built_says_why_and_what_to_do(options: dict, words: str) -> None:
    with pytest.raises(ModelError, match=words) as told:
        build_text_backbone(**options)
    assert told.value.hint


def test_folders_that_lack_something_say_what(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"has no config\.json"):
        build_text_backbone(str(tmp_path / "empty"))
    write_hugging_face_bert(tmp_path / "torch")
    (tmp_path / "torch" / "model.safetensors").rename(tmp_path / "torch" / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"neither \.safetensors.*pytorch_model\.bin") as told:
        build_text_backbone(str(tmp_path / "torch"))
    assert "safe_serialization" in told.value.hint
    write_hugging_face_bert(tmp_path / "other", model_type="electra")
    with pytest.raises(ModelError, match=r"no converter for .*electra") as told:
        build_text_backbone(str(tmp_path / "other"))
    assert "keras-hub presets" in told.value.hint


def test_damaged_weights_are_a_clear_error(tmp_path: Path) -> None:
    write_hugging_face_bert(tmp_path / "bert")
    (tmp_path / "bert" / "model.safetensors").write_bytes(b"not a file of tensors")
    with pytest.raises(ModelError, match="cannot be loaded"):
        build_text_backbone(str(tmp_path / "bert"))


def test_a_hub_out_of_reach_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="'hf://tfkit-tests/nowhere' cannot be loaded") as told:
        build_text_backbone("hf://tfkit-tests/nowhere")
    assert "local folder" in told.value.hint


def test_presets_of_every_family_are_known() -> None:
    names = text_backbone_names()
    for name in ("bert_base_en", "distil_bert_base_en", "roberta_base_en", "albert_base_en_uncased", "bert_small"):
        assert name in names
    assert any(name.startswith("electra") for name in names) and any(name.startswith("deberta") for name in names)


@pytest.mark.real_data
def test_mini_lm_finds_like_sentences_alike() -> None:
    folder = os.environ.get("TFKIT_MINILM")
    if not folder:
        pytest.skip("TFKIT_MINILM is not set to the folder of all-MiniLM-L6-v2")
    import keras_hub

    backbone = build_text_backbone(folder)
    assert backbone.count_params() == 22_713_216  # 22.7 M
    tokenizer = keras_hub.tokenizers.BertTokenizer.from_preset(folder)
    packer = keras_hub.layers.StartEndPacker(
        sequence_length=24,
        start_value=tokenizer.cls_token_id,
        end_value=tokenizer.sep_token_id,
        pad_value=tokenizer.pad_token_id,
    )
    texts = ["My card was stolen yesterday.", "Somebody took my bank card.", "The weather is lovely in spring."]
    ids = np.asarray(packer(tokenizer(texts)), np.int32)
    tokens = {"token_ids": ids, "padding_mask": (ids != tokenizer.pad_token_id).astype(np.int32)}
    values = pooled_features(build_text_classifier(backbone, classes=2, pooling="mean"), tokens)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    like, unlike = values[0] @ values[1], values[0] @ values[2]
    assert like > 0.6 > 0.3 > unlike, (like, unlike)
