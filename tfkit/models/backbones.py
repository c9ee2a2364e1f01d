"""Backbones by name: from raw pixels to feature maps, with the published preprocessing inside."""

import difflib
import re
from pathlib import Path

import keras

from tfkit.arguments import takes_text
from tfkit.artifacts import RAW, ImageSpec, PixelScaling
from tfkit.errors import ModelError
from tfkit.models.applications import APPLICATIONS, cifar_resnet
from tfkit.models.classifier import LOGITS, POOLING, TOKEN
from tfkit.models.model_files import load_model_file
from tfkit.models.preprocessing import (
    on_raw_pixels,
    preprocessing_layer,
    preprocessor_scaling,
    reverse_input_channels,
    taking_raw_pixels,
)
from tfkit.models.pretrained import (
    build_preset,
    build_vit,
    download_or_explain,
    load_weights_file,
    preset_names,
    vit_names,
)

_OWN_DEPTHS = (8, 14, 20, 32, 44, 56, 110)
_MAPS, _SEQUENCES = 4, 3
_MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")


def backbone_names() -> tuple[str, ...]:
    """Every name that `build_backbone` knows without a file or a preset, sorted.

    Example:
        >>> "mobilenet_v2" in backbone_names()
        True
    """
    return tuple(sorted([*APPLICATIONS, *vit_names(), *(f"resnet{depth}" for depth in _OWN_DEPTHS)]))


@takes_text
def build_backbone(
    name: str,
    *,
    image: ImageSpec,
    weights: str | None = None,
    width: float = 1.0,
    scaling: PixelScaling | None = None,
) -> keras.Model:
    """Build a backbone that takes raw 0..255 pixels.

    Args:
        name: A name of `backbone_names()`; a keras-hub preset (`resnet_18_imagenet`, `hf://user/model`); a `.keras`
            or `.h5` file; or the folder of an earlier run. Files and runs give everything before their last pooling.
        image: The images it shall take.
        weights: None for the published weights (a file's or run's own), `imagenet` for the same said aloud, `random`
            for none, or a weights file. The CIFAR-style ResNets have no published weights: None means random there.
        width: Width multiplier of the MobileNets (`alpha`).
        scaling: What a model of a file took for raw pixels outside of it; None for what its preprocessor says, or the
            pixels themselves.

    Returns:
        A flat model from `pixels`, float32 (n, height, width, channels) in 0..255, to feature maps of rank 4, or of
        a vision transformer to (n, length, hidden).

    Raises:
        ModelError: When the name is unknown (with the nearest ones), the weights are missing or do not fit, or the
            image does not suit the network.

    Example:
        >>> build_backbone("resnet8", image=ImageSpec(32, 32)).output_shape
        (None, 8, 8, 64)
    """
    is_file = Path(name).is_dir() or name.endswith(_MODEL_SUFFIXES)
    if scaling is not None and (not is_file or _is_preset_folder(Path(name))):
        raise ModelError(
            f"'{name}' brings its own preprocessing; got pixels as {scaling.words}",
            hint="leave model.input_range and the like out: they go with a backbone from a file",
        )
    if name in APPLICATIONS:
        return _from_application(name, image=image, weights=weights or "imagenet", width=width)
    if (match := re.fullmatch(r"resnet(\d+)", name)) and int(match.group(1)) in _OWN_DEPTHS:
        return _own_resnet(int(match.group(1)), image=image, weights=weights)
    if name in vit_names():
        return _vit(name, image=image, weights=weights)
    # keras-hub is asked last: it takes seconds to import, with tensorflow-text.
    if name.startswith("hf://") or _is_preset_folder(Path(name)) or (not is_file and name in preset_names()):
        return build_preset(name, image=image, random=weights == "random")
    if is_file:
        return _from_file(Path(name), image=image, weights=weights, scaling=scaling)
    if "/" in name:
        raise ModelError(
            f"there is no run, preset folder or file at '{name}'",
            hint="for an earlier run, run it first: tfkit run " + Path(name).name,
        )
    known = [*backbone_names(), *preset_names()]
    near = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=3, cutoff=0.5)
    raise ModelError(
        f"there is no backbone '{name}'" + (f"; did you mean {' or '.join(near)}?" if near else ""),
        hint="name one of: " + ", ".join(backbone_names()) + "; a keras-hub preset; a .keras file; or a run's folder",
    )


def _own_resnet(depth: int, *, image: ImageSpec, weights: str | None) -> keras.Model:
    if weights == "imagenet":
        raise ModelError(
            f"resnet{depth} is the CIFAR-style network and has no published ImageNet weights",
            hint="leave model.weights out, or name a weights file; resnet50, 101 and 152 have ImageNet weights",
        )
    model = on_raw_pixels(cifar_resnet(depth, inputs=keras.Input(image.shape)), image, preprocessing_layer("symmetric"))
    if weights not in (None, "random"):
        load_weights_file(model, Path(str(weights)))
    return model


def _vit(name: str, *, image: ImageSpec, weights: str | None) -> keras.Model:
    if weights == "imagenet":
        presets = ", ".join(preset for preset in preset_names() if preset.startswith("deit_"))
        raise ModelError(
            f"{name} is a size to train from scratch and has no published weights",
            hint=f"leave model.weights out, or name a preset that has: {presets}",
        )
    model = build_vit(name, image=image)
    if weights not in (None, "random"):
        load_weights_file(model, Path(str(weights)))
    return model


def _from_application(name: str, *, image: ImageSpec, weights: str, width: float) -> keras.Model:
    application = APPLICATIONS[name]
    if image.channels != 3 and application.preprocessing != "symmetric":
        raise ModelError(f"{name} takes RGB images; got channels={image.channels}", hint=_GREY_HINT)
    if image.channels != 3 and weights == "imagenet":
        raise ModelError(f"the ImageNet weights of {name} take RGB; got channels={image.channels}", hint=_GREY_HINT)
    if width != 1.0 and not application.has_width:
        raise ModelError(f"{name} has no width multiplier; got model.width={width:g}", hint="leave model.width out")
    options = dict(application.options) | ({"alpha": width} if application.has_width else {})
    published = "imagenet" if weights == "imagenet" else None

    def build() -> keras.Model:
        return application.build(input_shape=image.shape, include_top=False, weights=published, **options)

    try:
        bare = download_or_explain(build, name)
    except ValueError as fault:
        raise ModelError(
            f"{name} cannot be built for images of {image.shape}: {fault}", hint="change data.image_size"
        ) from None
    if weights not in ("imagenet", "random"):
        load_weights_file(bare, Path(weights))
    if application.preprocessing == "caffe":
        reverse_input_channels(bare)
    return on_raw_pixels(bare, image, preprocessing_layer(application.preprocessing))


_GREY_HINT = "set data.channels=3: grey pictures are repeated over the three channels"


def _from_file(path: Path, *, image: ImageSpec, weights: str | None, scaling: PixelScaling | None) -> keras.Model:
    if weights == "imagenet":
        raise ModelError(
            f"'{path}' brings its own weights; got model.weights=imagenet",
            hint="leave model.weights out, or say random",
        )
    model = load_model_file(path)
    takes = tuple(model.input_shape[1:])
    if any(size not in (None, wanted) for size, wanted in zip(takes, image.shape, strict=True)):
        raise ModelError(
            f"the model in '{path}' takes images of {takes}; the recipe gives {image.shape}",
            hint="set data.image_size and data.channels to match",
        )
    scaling = scaling or preprocessor_scaling(model) or RAW
    raw = on_raw_pixels(model, image, None) if scaling.is_raw else taking_raw_pixels(model, image, scaling)
    backbone = _before_pooling(raw, path)
    if weights == "random":
        return keras.models.clone_model(backbone)
    if weights is not None:
        load_weights_file(backbone, Path(weights))
    return backbone


def _before_pooling(model: keras.Model, path: Path) -> keras.Model:
    """Cut a flat classifier after its last feature map: the last layer of rank 4, less the old head's.

    Of a network with attention: after its last map or sequence of patches, whichever comes last.
    """
    names = [layer.name for layer in model.layers]
    if {POOLING, LOGITS} <= set(names):  # of a classifier that tfkit made
        pooled = model.get_layer(TOKEN if TOKEN in names else POOLING).input
        return keras.Model(model.inputs[0], pooled, name=model.name)
    attends = any(isinstance(layer, keras.layers.MultiHeadAttention) for layer in model.layers)
    ranks = (_SEQUENCES, _MAPS) if attends else (_MAPS,)
    maps = [layer for layer in model.layers[1:] if len(layer.output.shape) in ranks]
    while maps and isinstance(maps[-1], keras.layers.AveragePooling2D | keras.layers.Dropout):
        maps.pop()
    if not maps:
        raise ModelError(
            f"the model in '{path}' has no feature maps to build on",
            hint="name a convolutional network, or a transformer of patches with keras.layers.MultiHeadAttention",
        )
    return keras.Model(model.inputs[0], maps[-1].output, name=model.name)


def _is_preset_folder(path: Path) -> bool:
    return (path / "config.json").is_file()
