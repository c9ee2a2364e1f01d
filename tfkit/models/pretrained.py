"""Weights for a backbone: published ones, a file, or none."""

import functools
import os
import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np

from tfkit.artifacts import ImageSpec
from tfkit.errors import ModelError
from tfkit.foreign_hdf5 import hdf5_fault
from tfkit.models.classifier import DECODED
from tfkit.models.mix_transformer import refuse_oblong
from tfkit.models.model_files import load_model_file
from tfkit.models.patch_transformer import opened_network, refuse_other_patches
from tfkit.models.preprocessing import on_raw_pixels
from tfkit.models.stored_layers import (
    StoredLayer,
    hand_over,
    matched_layers,
    nearest_layer,
    read_stored_layers,
    weighted_layers,
)

# Vision transformers to train from scratch: blocks, hidden width, heads, pixels of a patch. ViT-Ti and ViT-S are
# those of Touvron et al. 2020 (arXiv:2012.12877, table 1); the smallest is for small pictures and trials.
_VIT_SIZES = {"vit_micro_8": (2, 64, 4, 8), "vit_tiny_16": (12, 192, 3, 16), "vit_small_16": (12, 384, 6, 16)}
_MAPS, _SEQUENCES = 4, 3
# Backbones of keras-hub that end in maps and have layers made of layers.
_WITH_DECODER = ("DeepLabV3Backbone", "SegFormerBackbone")
_BLOCKS_IN_MAPS = (*_WITH_DECODER, "MiTBackbone")


@functools.cache
def preset_names() -> tuple[str, ...]:
    """The names of keras-hub's backbones of image classifiers and segmenters, sorted.

    Example:
        >>> "resnet_18_imagenet" in preset_names()
        True
    """
    import keras_hub

    names: set[str] = set()
    hub = keras_hub.models
    tasks = (hub.ImageClassifier, hub.DeepLabV3ImageSegmenter, hub.SegFormerImageSegmenter)
    for kind in vars(keras_hub.models).values():
        is_task = isinstance(kind, type) and issubclass(kind, tasks)
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
    except ModelError:
        raise
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
        bare = load(image_shape=image.shape)
    except ValueError:
        # Learned positions have a row for each patch: they are resized behind. A network of maps has none.
        bare = load()
        if len(bare.output_shape) != _SEQUENCES and type(bare).__name__ not in _WITH_DECODER:
            raise
    return _of_size(bare, image) if type(bare).__name__ in _WITH_DECODER else bare


def _of_size(bare: keras.Model, image: ImageSpec) -> keras.Model:
    """The same DeepLabV3 or SegFormer for other images: its encoder has a size of its own."""
    refuse_oblong(bare, image.shape)
    config = bare.get_config()
    for sized in (config, config["image_encoder"]["config"]):
        sized.update({name: image.shape for name in ("image_shape",) if name in sized})
    made = type(bare).from_config(config)
    made.set_weights(bare.get_weights())
    return made


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
        if len(outputs[0].shape) == _MAPS and type(bare).__name__ not in _BLOCKS_IN_MAPS:
            return on_raw_pixels(bare, image, preprocessing)
        pixels = keras.Input(image.shape, name="pixels")
        scaled = pixels if preprocessing is None else preprocessing(pixels)
        outputs = opened_network(bare, scaled)
        if type(bare).__name__ in _WITH_DECODER:
            outputs = keras.layers.Identity(name=DECODED)(outputs)
        return keras.Model(pixels, outputs, name=bare.name)
    except TypeError as fault:  # Keras, of a layer that does not take what its own get_config tells
        kind = re.search(r"passed to (\w+):|deserializing class '(\w+)'", str(fault))
        named = f"its layer {kind[1] or kind[2]}" if kind else "one of its layers"
        raise ModelError(
            f"{bare.name} cannot be built again: {named} does not take what it tells of itself (a fault of keras-hub; "
            "Keras cannot load it from a .keras file either)",
            hint="name another preset, or a newer keras-hub",
        ) from fault


def load_weights_file(model: keras.Model, path: Path) -> None:
    """Load a weights file into a backbone; a classifier's extra layers in the file are left out.

    Every tensor of the backbone must be in the file: one that stayed random would only make the training worse. A
    backbone that is nested in the saved model is found there.

    Args:
        model: The backbone; changed in place, and left as it was when the file is refused.
        path: A `.weights.h5` file, a whole `.keras` or `.h5` model, or an `.h5` weights file of Keras 2 (matched by
            layer names).

    Raises:
        ModelError: When there is no such file, or some of the backbone's tensors are not in it or have other shapes;
            tells how many are, and the nearest layer.

    Example:
        >>> load_weights_file(backbone, Path("mobilenet_v2.weights.h5"))  # doctest: +SKIP
    """
    if not path.is_file():
        raise ModelError(f"there is no weights file '{path}'", hint="set model.weights to a .weights.h5 or .h5 file")
    if path.suffix == ".keras":
        whole = load_model_file(path)
        _load_stored(model, path, [StoredLayer(x.name, [], x.get_weights()) for x in weighted_layers(whole)])
        return
    if (reason := hdf5_fault(path)) is not None:
        raise ModelError(f"'{path}' cannot be read as weights: it is damaged ({reason})", hint="copy it again")
    try:
        with h5py.File(path) as file:
            root = file.get("model_weights", file)
            by_name = any(key.startswith("layer_names") for key in root.attrs)
            stored = read_stored_layers(root) if by_name else []
    except (OSError, KeyError, UnicodeDecodeError) as fault:  # what h5py raises for a file that is none of its own
        raise ModelError(
            f"'{path}' cannot be read as weights: {str(fault).strip().splitlines()[0]}", hint=_KINDS
        ) from fault
    if by_name:
        _load_stored(model, path, stored)
    else:
        _load_tree(model, path)


_KINDS = "tfkit reads the .weights.h5 files and .keras models of Keras 3, and the .h5 files of Keras 2"
_HINT = "check model.backbone, model.width and data.channels against the network the file was saved from"
# Where a saved model keeps its layers: Keras 3's name, and Keras 2.15's.
_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")


def _load_stored(model: keras.Model, path: Path, stored: list[StoredLayer]) -> None:
    matched = matched_layers(model, stored)
    layers = list(weighted_layers(model))
    if missing := [layer for layer in layers if layer.name not in matched]:
        found = sum(len(layer.weights) for layer in layers if layer.name in matched)
        raise ModelError(_too_few(model, path, found, nearest_layer(missing[0], stored)), hint=_HINT)
    for layer in layers:
        hand_over(layer, matched[layer.name])


def _too_few(model: keras.Model, path: Path, found: int, reason: str) -> str:
    total = sum(len(layer.weights) for layer in weighted_layers(model))
    return f"the weights in '{path}' do not fit {model.name}: it holds {found} of its {total} tensors; {reason}"


def _load_tree(model: keras.Model, path: Path) -> None:
    """Load a file that numbers its layers by kind: as a whole, else a model that is nested in it."""
    before = model.get_weights()
    refusals = [_fault_of_tree(model, path)]
    if refusals[0] is not None:
        with h5py.File(path) as file, tempfile.TemporaryDirectory(prefix="tfkit-") as folder:
            for number, group in enumerate(_groups_of_models(file)):
                part = Path(folder) / f"{number}.weights.h5"
                with h5py.File(part, "w") as copy:
                    _copy_layers(group, copy)
                if (fault := _fault_of_tree(model, part)) is None:
                    return
                refusals.append(fault)
    if refusals[0] is None:
        return
    model.set_weights(before)
    found, reason = max((fault for fault in refusals if fault is not None), key=lambda fault: fault[0])
    raise ModelError(_too_few(model, path, found, reason), hint=_HINT)


def _fault_of_tree(model: keras.Model, path: Path) -> tuple[int, str] | None:
    """Load a file; how many tensors it gave and what stood against the others, or None when all came."""
    weights = [weight for layer in weighted_layers(model) for weight in layer.weights]
    for weight in weights:  # what is still there afterwards was not loaded, whatever Keras says
        weight.assign(np.full(weight.shape, _absent(weight), np.dtype(weight.dtype)))
    reason = "the others are not in it"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.load_weights(path)
    except Exception as fault:  # ValueError for shapes, KeyError and OSError from h5py
        reason = _mismatch(str(fault)) or type(fault).__name__
    found = sum(not _is_absent(weight) for weight in weights)
    return None if found == len(weights) else (found, reason)


def _absent(weight: keras.Variable) -> float:
    return np.nan if np.issubdtype(np.dtype(weight.dtype), np.floating) else -1


def _is_absent(weight: keras.Variable) -> bool:
    values = keras.ops.convert_to_numpy(weight)
    gone = np.isnan(values) if np.issubdtype(values.dtype, np.floating) else values == -1
    return bool(values.size and gone.all())


def _groups_of_models(file: h5py.File) -> list[h5py.Group]:
    """Every group that holds layers: the file's own when Keras 3 spells it differently, and those of nested models."""
    groups: list[h5py.Group] = [file] if _CONTAINERS[1] in file else []

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Group) and any(container in item for container in _CONTAINERS):
            groups.append(item)

    file.visititems(visit)
    return groups


def _copy_layers(group: h5py.Group, copy: h5py.File) -> None:
    for name in group:
        group.copy(name, copy, name=_CONTAINERS[0] if name in _CONTAINERS else name)


def _mismatch(message: str) -> str:
    """Keras's own account without the pages of numbers it prints."""
    count = re.search(r"A total of (\d+) objects", message)
    layer = re.search(r"object <(\w+ name=\S+?),", message)
    shapes = re.search(r"variable\.shape=(\(.*?\)).*?value\.shape=(\(.*?\))", message, re.DOTALL)
    if layer is None or shapes is None:
        return " ".join(message.split())[:300]
    others = f"; {count.group(1)} layers differ in all" if count else ""
    return f"{layer.group(1)} has shape {shapes.group(1)}, the file's has {shapes.group(2)}{others}"


def download_or_explain(build: Callable[[], keras.Model], name: str) -> keras.Model:
    """Build a model whose weights Keras downloads, and say what to do where there is no network.

    Args:
        build: Builds the model, downloading its weights unless they are in Keras's cache.
        name: The backbone's name, for the message.

    Returns:
        What `build` returns.

    Raises:
        ModelError: When the weights cannot be had; names the file and where to put it.
    """
    try:
        return build()
    except Exception as fault:  # urllib, ssl, socket and Keras's own kinds all mean the same here
        if (address := re.search(r"https?://\S+?\.h5", str(fault))) is None:
            raise
        file = address.group(0).rsplit("/", 1)[-1]
        cache = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models"
        raise ModelError(
            f"the published weights of {name} cannot be downloaded here ({file})",
            hint=f"where there is a network fetch {address.group(0)} and put it at {cache / file}; "
            "or set model.weights to a weights file that you have, or to random",
        ) from None
