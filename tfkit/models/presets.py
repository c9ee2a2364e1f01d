"""Backbones from keras-hub presets: by name, from a Hugging Face hub, or from a local folder."""

import functools
import re

import keras

from tfkit.artifacts import ImageSpec
from tfkit.errors import ModelError
from tfkit.models.patch_transformer import opened_patches, refuse_other_patches
from tfkit.models.preprocessing import on_raw_pixels

# Vision transformers to train from scratch: blocks, hidden width, heads, pixels of a patch. ViT-Ti and ViT-S are
# those of Touvron et al. 2020 (arXiv:2012.12877, table 1); the smallest is for small pictures and trials.
_VIT_SIZES = {"vit_micro_8": (2, 64, 4, 8), "vit_tiny_16": (12, 192, 3, 16), "vit_small_16": (12, 384, 6, 16)}
_MAPS, _SEQUENCES = 4, 3


@functools.cache
def preset_names() -> tuple[str, ...]:
    """The names of keras-hub's image classification backbones, sorted.

    Example:
        >>> "resnet_18_imagenet" in preset_names()
        True
    """
    import keras_hub

    names: set[str] = set()
    for kind in vars(keras_hub.models).values():
        is_task = isinstance(kind, type) and issubclass(kind, keras_hub.models.ImageClassifier)
        if is_task and getattr(kind, "backbone_cls", None) is not None:
            names.update(kind.backbone_cls.presets)
    return tuple(sorted(names))


def build_preset(name: str, *, image: ImageSpec, random: bool = False) -> keras.Model:
    """Build a keras-hub backbone that takes raw 0..255 pixels.

    Args:
        name: A preset (`resnet_18_imagenet`), a hub address (`hf://user/model`), or a preset's folder.
        image: The images it shall take.
        random: Leave the preset's weights out.

    Returns:
        A flat model from `pixels` to feature maps of rank 4; of a transformer of patches, to a sequence of rank 3.

    Raises:
        ModelError: When the preset cannot be had or is no image backbone, or has other images than it can take.
    """
    import keras_hub

    try:
        bare = _backbone(name, image=image, random=random)
        converter = keras_hub.layers.ImageConverter.from_preset(name)
    except Exception as fault:  # hubs raise kinds of their own for a missing network, a bad name, a licence
        raise ModelError(
            f"the preset '{name}' cannot be loaded: {str(fault).strip().splitlines()[0][:200]}",
            hint="a preset is downloaded once: run where there is a network, or name a local preset folder",
        ) from fault
    layer = None
    if converter.scale is not None or converter.offset is not None:
        scale = 1.0 if converter.scale is None else converter.scale
        offset = 0.0 if converter.offset is None else converter.offset
        layer = keras.layers.Rescaling(scale, offset=offset, name="preprocessing")
    return _on_raw_pixels(bare, image, layer)


def vit_names() -> tuple[str, ...]:
    """The vision transformers that `build_vit` trains from scratch.

    Example:
        >>> vit_names()[0]
        'vit_micro_8'
    """
    return tuple(_VIT_SIZES)


def build_vit(name: str, *, image: ImageSpec) -> keras.Model:
    """Build a vision transformer with random weights that takes raw 0..255 pixels.

    Args:
        name: One of `vit_names()`.
        image: The images it shall take, of a size that its patches divide.

    Returns:
        A flat model from `pixels` to (n, patches + 1, hidden): keras-hub's ViT (Dosovitskiy et al. 2020,
        arXiv:2010.11929), the class token first.

    Raises:
        ModelError: When its patches do not divide the images.

    Example:
        >>> build_vit("vit_micro_8", image=ImageSpec(32, 32)).output_shape
        (None, 17, 64)
    """
    import keras_hub

    layers, hidden, heads, patch = _VIT_SIZES[name]
    refuse_other_patches(name, image, (patch, patch))
    bare = keras_hub.models.ViTBackbone(
        image_shape=image.shape,
        patch_size=patch,
        num_layers=layers,
        num_heads=heads,
        hidden_dim=hidden,
        mlp_dim=4 * hidden,
        name=name,
    )
    return _on_raw_pixels(bare, image, keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocessing"))


def _backbone(name: str, *, image: ImageSpec, random: bool) -> keras.Model:
    import keras_hub

    load = functools.partial(keras_hub.models.Backbone.from_preset, name, load_weights=not random)
    try:
        return load(image_shape=image.shape)
    except ValueError:
        # Learned positions have a row for each patch: they are resized behind. A network of maps has none.
        bare = load()
        if len(bare.output_shape) != _SEQUENCES:
            raise
        return bare


def _on_raw_pixels(bare: keras.Model, image: ImageSpec, preprocessing: keras.Layer | None) -> keras.Model:
    stages = getattr(bare, "stage_names", None)
    if isinstance(bare.output, dict) and stages and stages[-1] in bare.output:
        # HGNetV2 gives the map of each stage; keras-hub's own classifier stands on the last one.
        bare = keras.Model(bare.inputs, bare.output[stages[-1]], name=bare.name)
    outputs = bare.outputs
    if len(bare.inputs) != 1 or len(outputs) != 1 or len(outputs[0].shape) not in (_MAPS, _SEQUENCES):
        told = ", ".join(str(tuple(tensor.shape)) for tensor in outputs)
        raise ModelError(
            f"{bare.name} gives {told} for an image; expected one feature map or one sequence of patches",
            hint="name another preset; its feature maps can be saved as a .keras file and named as the backbone",
        )
    try:
        if len(outputs[0].shape) == _MAPS:
            return on_raw_pixels(bare, image, preprocessing)
        pixels = keras.Input(image.shape, name="pixels")
        scaled = pixels if preprocessing is None else preprocessing(pixels)
        return keras.Model(pixels, opened_patches(bare, scaled), name=bare.name)
    except TypeError as fault:  # Keras, of a layer that does not take what its own get_config tells
        kind = re.search(r"passed to (\w+):|deserializing class '(\w+)'", str(fault))
        named = f"its layer {kind[1] or kind[2]}" if kind else "one of its layers"
        raise ModelError(
            f"{bare.name} cannot be built again: {named} does not take what it tells of itself (a fault of keras-hub; "
            "Keras cannot load it from a .keras file either)",
            hint="name another preset, or a newer keras-hub",
        ) from fault
