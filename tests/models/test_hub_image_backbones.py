"""Every image classifier of keras-hub: its backbone trains in tfkit, or is refused in one sentence."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.errors import ModelError
from tfkit.models import build_backbone, build_classifier, load_model_file, save_model_file, unfreeze

keras_hub = pytest.importorskip("keras_hub")
pytestmark = pytest.mark.slow
SIZE = 64
PATCHES: dict[str, Any] = {"patch_size": 16, "num_layers": 1, "num_heads": 2, "hidden_dim": 16}
# The smallest settings that each class takes: a class that is missing here is found by the first test.
SETTINGS: dict[str, dict[str, Any]] = {
    "CSPNet": {
        "stem_filters": 8,
        "stem_kernel_size": 3,
        "stem_strides": 2,
        "stackwise_depth": [1, 1],
        "stackwise_strides": [1, 2],
        "stackwise_num_filters": [8, 16],
        "block_type": "dark_block",
        "stage_type": "dark",
    },
    "DeiT": PATCHES | {"intermediate_dim": 32},
    "DenseNet": {"stackwise_num_repeats": [1, 1], "growth_rate": 8},
    "EfficientNet": {
        "stackwise_kernel_sizes": [3, 3],
        "stackwise_num_repeats": [1, 1],
        "stackwise_input_filters": [8, 16],
        "stackwise_output_filters": [16, 16],
        "stackwise_expansion_ratios": [1, 4],
        "stackwise_squeeze_and_excite_ratios": [0.25, 0.25],
        "stackwise_strides": [1, 2],
        "stackwise_block_types": ["fused", "unfused"],
        "stackwise_width_coefficients": [1.0, 1.0],
        "stackwise_depth_coefficients": [1.0, 1.0],
        "stackwise_force_input_filters": [0, 0],
        "stackwise_nores_option": [False, False],
    },
    "HGNetV2": {
        "depths": [1, 1],
        "embedding_size": 8,
        "hidden_sizes": [16, 32],
        "stem_channels": [3, 8, 8],
        "hidden_act": "relu",
        "use_learnable_affine_block": False,
        "stackwise_stage_filters": [(8, 8, 16, 1, 1, 3), (16, 8, 32, 1, 1, 3)],
        "apply_downsample": [False, True],
        "use_lightweight_conv_block": [False, False],
    },
    "MiT": {
        "layerwise_depths": [1, 1],
        "num_layers": 2,
        "layerwise_num_heads": [1, 2],
        "layerwise_sr_ratios": [4, 2],
        "max_drop_path_rate": 0.1,
        "layerwise_patch_sizes": [7, 3],
        "layerwise_strides": [4, 2],
        "hidden_dims": [8, 16],
    },
    "MobileNet": {
        "stackwise_expansion": [[8, 16]],
        "stackwise_num_blocks": [2],
        "stackwise_num_filters": [[8, 8]],
        "stackwise_kernel_size": [[3, 3]],
        "stackwise_num_strides": [[2, 1]],
        "stackwise_se_ratio": [[None, 0.25]],
        "stackwise_activation": [["relu", "hard_swish"]],
        "stackwise_padding": [[1, 1]],
        "output_num_filters": 16,
        "input_num_filters": 8,
        "depthwise_filters": 8,
        "depthwise_stride": 2,
        "depthwise_residual": False,
        "squeeze_and_excite": 0.5,
        "last_layer_filter": 32,
    },
    "MobileNetV5": {
        "stackwise_block_types": [["er"], ["uir"]],
        "stackwise_num_blocks": [1, 1],
        "stackwise_num_filters": [[8], [16]],
        "stackwise_strides": [[2], [2]],
        "stackwise_act_layers": [["relu"], ["relu"]],
        "stackwise_exp_ratios": [[4.0], [6.0]],
        "stackwise_se_ratios": [[0.0], [0.0]],
        "stackwise_dw_kernel_sizes": [[0], [5]],
        "stackwise_dw_start_kernel_sizes": [[0], [0]],
        "stackwise_dw_end_kernel_sizes": [[0], [0]],
        "stackwise_exp_kernel_sizes": [[3], [0]],
        "stackwise_pw_kernel_sizes": [[1], [0]],
        "stackwise_num_heads": [[0], [0]],
        "stackwise_key_dims": [[0], [0]],
        "stackwise_value_dims": [[0], [0]],
        "stackwise_kv_strides": [[0], [0]],
        "stackwise_use_cpe": [[False], [False]],
        "use_msfa": False,
    },
    "ResNet": {
        "input_conv_filters": [64],
        "input_conv_kernel_sizes": [7],
        "stackwise_num_filters": [64, 64],
        "stackwise_num_blocks": [1, 1],
        "stackwise_num_strides": [1, 2],
        "block_type": "basic_block",
    },
    "SwinTransformer": {"embed_dim": 8, "depths": (2, 2), "num_heads": (2, 2), "window_size": 4, "patch_size": 4},
    "VGG": {"stackwise_num_repeats": [1, 1], "stackwise_num_filters": [8, 16]},
    "ViT": PATCHES | {"mlp_dim": 32},
    "Xception": {"stackwise_conv_filters": [[8, 8], [16, 16]], "stackwise_pooling": [True, False]},
}


def test_every_image_classifier_of_keras_hub_has_a_row() -> None:
    found = set()
    for kind in vars(keras_hub.models).values():
        is_task = isinstance(kind, type) and issubclass(kind, keras_hub.models.ImageClassifier)
        if is_task and getattr(kind, "backbone_cls", None) is not None:
            found.add(kind.backbone_cls.__name__.removesuffix("Backbone"))
    assert found == set(SETTINGS)


def _preset(kind: str, folder: Path) -> keras.Model:
    keras.utils.set_random_seed(0)
    size = "input_shape" if kind == "EfficientNet" else "image_shape"
    make = getattr(keras_hub.models, f"{kind}Backbone")
    backbone = make(**SETTINGS[kind], **{size: (SIZE, SIZE, 3)})
    backbone.save_to_preset(str(folder))
    getattr(keras_hub.layers, f"{kind}ImageConverter")(scale=1 / 255).save_to_preset(str(folder))
    return backbone


def test_what_keras_itself_cannot_build_again_is_refused_in_one_sentence(tmp_path: Path) -> None:
    _preset("MiT", tmp_path)
    with pytest.raises(ModelError, match="cannot be built again: its layer HierarchicalTransformerEncoder does not"):
        build_backbone(str(tmp_path), image=ImageSpec(SIZE, SIZE))


@pytest.mark.parametrize("kind", [kind for kind in SETTINGS if kind != "MiT"])
def test_it_is_taken_as_keras_hub_computes_it_and_learns(kind: str, tmp_path: Path) -> None:
    original = _preset(kind, tmp_path / "preset")
    backbone = build_backbone(str(tmp_path / "preset"), image=ImageSpec(SIZE, SIZE))
    pixels = np.random.default_rng(0).integers(0, 256, (8, SIZE, SIZE, 3)).astype("float32")
    expected = original.predict(pixels / 255, verbose=0)
    if kind == "HGNetV2":  # a map for each stage
        expected = expected[original.stage_names[-1]]
    found = backbone.predict(pixels, verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-3 * float(np.abs(expected).max()))
    model = build_classifier(backbone, classes=2)
    assert unfreeze(model, "all").trainable_parameters > 0.5 * model.count_params()
    model.compile(keras.optimizers.Adam(1e-3), "categorical_crossentropy")
    before = [weight.numpy() for weight in model.trainable_weights]
    model.fit(pixels, np.eye(2)[np.arange(8) % 2], epochs=2, verbose=0)
    moved = [not np.array_equal(old, new) for old, new in zip(before, model.trainable_weights, strict=True)]
    assert np.mean(moved) > 0.6
    save_model_file(model, tmp_path / "model.keras")
    again = load_model_file(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(pixels, verbose=0), model.predict(pixels, verbose=0), atol=1e-5)
