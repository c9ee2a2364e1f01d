"""Vision transformers of keras-hub: laid open into plain layers, for images of any size that their patches divide."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.errors import ModelError
from tfkit.models import (
    build_backbone,
    build_classifier,
    freeze_backbone,
    load_model_file,
    low_rank_layers,
    merge_low_rank,
    save_model_file,
    unfreeze,
    with_low_rank,
)

keras_hub = pytest.importorskip("keras_hub")
IMAGE = ImageSpec(32, 32)
SMALL = {"image_shape": (32, 32, 3), "patch_size": 8, "num_layers": 2, "num_heads": 4, "hidden_dim": 16}
HUB = {
    "ViT": lambda: keras_hub.models.ViTBackbone(**SMALL, mlp_dim=32),
    "DeiT": lambda: keras_hub.models.DeiTBackbone(**SMALL, intermediate_dim=32),
    "SwinTransformer": lambda: keras_hub.models.SwinTransformerBackbone(
        image_shape=(32, 32, 3), embed_dim=8, depths=(2, 2), num_heads=(2, 2), window_size=4, patch_size=4
    ),
}


def _pixels(count=2, size=(32, 32)):
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3)).astype("float32")


def _preset(kind: str, folder: Path) -> keras.Model:
    """A preset's folder as keras-hub saves one, with random weights; gives its backbone."""
    keras.utils.set_random_seed(0)
    backbone = HUB[kind]()
    rng = np.random.default_rng(0)
    backbone.set_weights([rng.normal(0, 0.1, weight.shape) for weight in backbone.weights])
    converter = getattr(keras_hub.layers, f"{kind}ImageConverter")(image_size=(32, 32), scale=1 / 127.5, offset=-1.0)
    preprocessor = getattr(keras_hub.models, f"{kind}ImageClassifierPreprocessor")(image_converter=converter)
    task = getattr(keras_hub.models, f"{kind}ImageClassifier")
    task(backbone=backbone, num_classes=3, preprocessor=preprocessor).save_to_preset(str(folder))
    return backbone


@pytest.mark.parametrize("kind", ["ViT", "DeiT", pytest.param("SwinTransformer", marks=pytest.mark.slow)])
def test_a_preset_answers_as_keras_hub_does_and_comes_back_from_its_file(kind, tmp_path):
    original = _preset(kind, tmp_path / "preset")
    backbone = build_backbone(str(tmp_path / "preset"), image=IMAGE)
    expected = original.predict(_pixels() / 127.5 - 1, verbose=0)
    np.testing.assert_allclose(backbone.predict(_pixels(), verbose=0), expected, atol=2e-4)
    model = build_classifier(backbone, classes=3)
    model.get_layer("logits").set_weights([np.random.default_rng(1).normal(0, 1, (expected.shape[-1], 3)), np.ones(3)])
    save_model_file(model, tmp_path / "models" / "float.keras")
    again = load_model_file(tmp_path / "models" / "float.keras")
    np.testing.assert_allclose(again.predict(_pixels(), verbose=0), model.predict(_pixels(), verbose=0), atol=1e-6)
    taken = build_backbone(str(tmp_path), image=IMAGE)  # everything before the old head
    assert taken.output_shape == backbone.output_shape
    np.testing.assert_allclose(taken.predict(_pixels(), verbose=0), expected, atol=2e-4)


@pytest.mark.parametrize("kind", ["vit_micro_8", "ViT", "DeiT"])
def test_low_rank_updates_learn_alone_and_merge_into_the_plain_model(kind, tmp_path):
    if kind in HUB:
        _preset(kind, tmp_path)
    keras.utils.set_random_seed(0)
    model = build_classifier(build_backbone(str(tmp_path) if kind in HUB else kind, image=IMAGE), classes=3)
    head = model.get_layer("logits")
    head.set_weights([np.random.default_rng(1).normal(0, 1, head.kernel.shape), np.ones(3)])
    freeze_backbone(model)  # as after a head
    before = model.predict(_pixels(), verbose=0)
    adapted = with_low_rank(model, rank=2)
    np.testing.assert_allclose(adapted.predict(_pixels(), verbose=0), before, atol=1e-6)
    of_head = {weight.path for weight in adapted.get_layer("logits").weights}
    learning = {weight.path for weight in adapted.trainable_weights} - of_head
    assert {path.split("/")[-1] for path in learning} == {"lora_kernel_a", "lora_kernel_b"}
    assert {path.split("/")[-2] for path in learning} == {"query", "value"}
    for layer in low_rank_layers(adapted):
        layer.lora_kernel_b.assign(np.full(layer.lora_kernel_b.shape, 0.5))
    trained = adapted(_pixels(), training=False)
    assert np.abs(trained - before).max() > 1e-3
    merge_low_rank(adapted, model, _pixels())
    np.testing.assert_allclose(model.predict(_pixels(), verbose=0), trained, atol=1e-5)
    assert not low_rank_layers(model) and len(model.trainable_weights) == len(model.weights) - _seeds(model)


def _seeds(model):
    return sum("seed" in weight.path for weight in model.weights)


def test_low_rank_updates_need_attention_and_a_rank():
    with pytest.raises(ModelError, match="backbone resnet8 has no attention for low-rank updates"):
        with_low_rank(build_classifier(build_backbone("resnet8", image=IMAGE), classes=3))
    vit = build_classifier(build_backbone("vit_micro_8", image=IMAGE), classes=3)
    with pytest.raises(ModelError, match="must be 1 or more; got 0"):
        with_low_rank(vit, rank=0)
    with pytest.raises(ModelError, match="holds LoRA already"):
        with_low_rank(with_low_rank(vit))


def test_positions_are_resized_for_other_images_and_patches_must_divide_them(tmp_path):
    _preset("DeiT", tmp_path)
    backbone = build_backbone(str(tmp_path), image=ImageSpec(48, 64))
    assert backbone.output_shape == (None, 6 * 8 + 2, 16)
    same = build_backbone(str(tmp_path), image=IMAGE)
    for name in ("deit_encoder_transformer_block_1_mha", "deit_patching_and_embedding_patch_embedding"):
        for old, new in zip(same.get_layer(name).get_weights(), backbone.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
    with pytest.raises(ModelError, match="patches of 8x8 pixels; 36x32 is no multiple") as refused:
        build_backbone(str(tmp_path), image=ImageSpec(36, 32))
    assert refused.value.hint == "set data.image_size to 32"
    with pytest.raises(ModelError, match="patches of 8x8"):
        build_backbone("vit_micro_8", image=ImageSpec(30, 30))


def test_the_head_stands_on_the_class_token_or_on_all_places():
    keras.utils.set_random_seed(0)
    backbone = build_backbone("vit_micro_8", image=IMAGE)
    sequence = backbone.predict(_pixels(), verbose=0)
    pooled = {
        None: sequence[:, 0],
        "token": sequence[:, 0],
        "average": sequence.mean(axis=1),
        "max": sequence.max(axis=1),
    }
    for pooling, expected in pooled.items():
        model = build_classifier(backbone, classes=2, pooling=pooling)
        features = keras.Model(model.inputs[0], model.get_layer("pooling").output)
        np.testing.assert_allclose(features.predict(_pixels(), verbose=0), expected, atol=1e-5)
    with pytest.raises(ModelError, match="has no class token"):
        build_classifier(build_backbone("resnet8", image=IMAGE), classes=2, pooling="token")
    with pytest.raises(ModelError, match="no published weights"):
        build_backbone("vit_micro_8", image=IMAGE, weights="imagenet")


def test_blocks_are_frozen_and_unfrozen_one_by_one():
    model = build_classifier(build_backbone("vit_micro_8", image=IMAGE), classes=2)
    freeze_backbone(model)
    assert {layer.name for layer in model.layers if layer.trainable_weights} == {"logits"}
    learning = unfreeze(model, "vit_encoder_transformer_block_2_ln_1").layers
    assert learning[0] == "vit_encoder_transformer_block_2_ln_1" and learning[-1] == "vit_encoder_ln"
    assert not any("block_1" in name or "embedding" in name for name in learning)
    assert unfreeze(model, "all").layers[1] == "vit_patching_and_embedding"


def test_a_transformer_of_ones_own_is_cut_after_its_last_block(tmp_path):
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Reshape((16, 8))(keras.layers.Conv2D(8, 4, strides=4)(inputs))
    x = keras.layers.Add()([x, keras.layers.MultiHeadAttention(2, 4)(x, x)])
    x = keras.layers.LayerNormalization(name="last")(x)
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "own.keras")
    backbone = build_backbone(str(tmp_path / "own.keras"), image=ImageSpec(16, 16))
    assert backbone.layers[-1].name == "last" and backbone.output_shape == (None, 16, 8)
    assert build_classifier(backbone, classes=3).output_shape == (None, 3)
