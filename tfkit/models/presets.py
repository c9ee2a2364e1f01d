"""Backbones from keras-hub presets: by name, from a Hugging Face hub, or from a local folder."""

import functools

import keras

from tfkit.artifacts import ImageSpec
from tfkit.errors import ModelError
from tfkit.models.preprocessing import on_raw_pixels


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
        A flat model from `pixels` to feature maps of rank 4.

    Raises:
        ModelError: When the preset cannot be had or is no image backbone.
    """
    import keras_hub

    try:
        bare = keras_hub.models.Backbone.from_preset(name, load_weights=not random, image_shape=image.shape)
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
    return on_raw_pixels(bare, image, layer)
