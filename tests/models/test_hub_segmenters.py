"""keras-hub's DeepLabV3 and SegFormer, from a preset's folder: laid open, they answer as keras-hub's own do."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from tfkit.artifacts import ImageSpec
from tfkit.cli.main import main
from tfkit.errors import ModelError
from tfkit.models import backbone_layers, build_backbone, build_segmenter, load_model_file, save_model_file

keras_hub = pytest.importorskip("keras_hub")
SIDE, CLASSES = 64, 4


def _deeplab() -> tuple[keras.Model, keras.Layer]:
    encoder = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64, 64, 64],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(SIDE, SIDE, 3),
    )
    backbone = keras_hub.models.DeepLabV3Backbone(
        image_encoder=encoder,
        spatial_pyramid_pooling_key="P5",
        upsampling_size=8,
        dilation_rates=[6, 12],
        low_level_feature_key="P2",
        projection_filters=16,
        image_shape=(SIDE, SIDE, 3),
    )
    return backbone, keras_hub.layers.DeepLabV3ImageConverter(image_size=(SIDE, SIDE), scale=1 / 255)


def _segformer() -> tuple[keras.Model, keras.Layer]:
    encoder = keras_hub.models.MiTBackbone(
        layerwise_depths=[1, 1, 1, 1],
        num_layers=4,
        layerwise_num_heads=[1, 2, 2, 4],
        layerwise_sr_ratios=[8, 4, 2, 1],
        max_drop_path_rate=0.1,
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
        hidden_dims=[16, 32, 48, 64],
        image_shape=(SIDE, SIDE, 3),
    )
    backbone = keras_hub.models.SegFormerBackbone(image_encoder=encoder, projection_filters=32)
    return backbone, keras_hub.layers.SegFormerImageConverter(image_size=(SIDE, SIDE), scale=1 / 255)


@pytest.fixture(scope="module", params=[_deeplab, _segformer], ids=["deeplab", "segformer"])
def preset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, keras.Model]:
    """A preset's folder, and keras-hub's backbone in it; random weights, so that no bias and no row is zero."""
    keras.utils.set_random_seed(0)
    backbone, converter = request.param()
    random = np.random.default_rng(0)
    backbone.set_weights([
        np.abs(weight + random.normal(0, 0.05, weight.shape)) if "variance" in variable.name
        else weight + random.normal(0, 0.05, weight.shape)
        for variable, weight in zip(backbone.weights, backbone.get_weights(), strict=True)
    ])  # fmt: skip
    folder = tmp_path_factory.mktemp("preset")
    backbone.save_to_preset(str(folder))
    converter.save_to_preset(str(folder))
    return folder, backbone


def test_what_is_laid_open_answers_as_keras_hub(preset: tuple[Path, keras.Model]) -> None:
    folder, theirs = preset
    ours = build_backbone(str(folder), image=ImageSpec(SIDE, SIDE))
    assert all(type(layer).__module__.startswith("keras.src.") for layer in ours.layers)
    pixels = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3)).astype(np.float32)
    wanted = np.asarray(theirs(pixels / 255, training=False))
    assert np.abs(np.asarray(ours(pixels, training=False)) - wanted).max() < 1e-4 * np.abs(wanted).max()
    # keras-hub's own lets one picture's answer depend on the others when nothing is said of training.
    alone = np.asarray(ours(pixels[:1]))
    assert np.abs(alone - np.asarray(ours(pixels))[:1]).max() < 1e-4 * np.abs(wanted).max()


def test_other_squares_are_taken_with_the_same_weights(preset: tuple[Path, keras.Model]) -> None:
    folder, theirs = preset
    larger = build_backbone(str(folder), image=ImageSpec(2 * SIDE, 2 * SIDE))
    assert larger.output_shape[1] == 2 * theirs.output_shape[1]
    assert sum(w.size for w in larger.get_weights()) == sum(w.size for w in theirs.get_weights())


def test_a_segmenter_on_it_has_no_second_decoder_and_comes_back(preset: tuple[Path, keras.Model], tmp_path) -> None:
    backbone = build_backbone(str(preset[0]), image=ImageSpec(SIDE, SIDE))
    model = build_segmenter(backbone, classes=CLASSES, dropout=0.1)
    assert model.output_shape == (None, SIDE, SIDE, CLASSES)
    added = sum(w.size for w in model.get_weights()) - sum(w.size for w in backbone.get_weights())
    assert added == (backbone.output_shape[-1] + 1) * CLASSES
    assert {layer.name for layer in backbone.layers} == {layer.name for layer in backbone_layers(model)}
    save_model_file(model, tmp_path / "model.keras")
    pixels = np.random.default_rng(2).integers(0, 256, (2, SIDE, SIDE, 3)).astype(np.float32)
    again = load_model_file(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(pixels, training=False), model(pixels, training=False))


def test_pictures_that_segformer_would_fold_wrongly_are_refused(tmp_path: Path) -> None:
    backbone, converter = _segformer()
    backbone.save_to_preset(str(tmp_path))
    converter.save_to_preset(str(tmp_path))
    for image in (ImageSpec(64, 96), ImageSpec(72, 72)):
        with pytest.raises(ModelError, match="takes square images of a multiple of 32 pixels") as told:
            build_backbone(str(tmp_path), image=image)
        assert "data.image_size" in str(told.value.hint)


@pytest.mark.slow
def test_it_is_trained_on_the_numbers_of_its_int8_file(preset: tuple[Path, keras.Model], tmp_path: Path) -> None:
    changes = [
        f"model.backbone={preset[0]}", f"run.directory={tmp_path}", f"data.image_size={SIDE}", "fine_tune.epochs=2",
        "quantization.epochs=1", "acceptance.max_accuracy_drop=1",
        "export.formats=[tflite_float32,tflite_int8,onnx_int8]",
    ]  # fmt: skip
    assert main(["run", "segment_shapes", *changes]) == 0
    report = json.loads((tmp_path / "segment_shapes/report.json").read_text())
    files = {artifact["file"]: artifact for artifact in report["artifacts"]}
    assert files["artifacts/model_int8.tflite"]["agreement"] >= 0.99
    assert files["artifacts/model_int8.onnx"]["agreement"] >= 0.98
    assert files["artifacts/model_int8.tflite"]["float_ops"] == 0
