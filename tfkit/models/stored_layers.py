"""The layers of an `.h5` weights file by name, as Keras 2 wrote it, and which of them a model's layers are."""

import difflib
import math
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import keras
import numpy as np

from tfkit.errors import ModelError
from tfkit.graph import give_weights
from tfkit.keras_types import Array

if TYPE_CHECKING:
    import h5py
    import keras

    from tfkit.keras_types import Shape


_NUMBERS_A_BYTE = 4  # int4 puts two into one
_FEW = 1 << 20  # numbers that layers may make and not store


@contextmanager
def held_weights_only(path: Path, layer_class: "type[keras.Layer]") -> Iterator[None]:
    """Refuse, while a model is loaded, a layer that asks for more numbers than the file can hold.

    A file says in its settings how large a layer's weights are (`units`, the shape that it was built for), and Keras
    makes them before it looks for what is stored: one wrong number takes all memory of a machine.

    Args:
        path: A `.keras` or `.h5` file, or a SavedModel folder.
        layer_class: Keras's class of layers, whose `add_weight` is watched: `keras.layers.Layer`, or tf-keras's.

    Raises:
        ModelError: When a layer asks for too many; names it and the shape.

    Example:
        >>> with held_weights_only(path, keras.layers.Layer):  # doctest: +SKIP
        ...     model = keras.models.load_model(path)
    """
    left = _NUMBERS_A_BYTE * _stored_bytes(path) + _FEW
    add_weight = layer_class.add_weight

    def counted(layer: "keras.Layer", *args: object, **settings: object) -> "keras.Variable":
        nonlocal left
        of_args = next((value for value in args if isinstance(value, tuple | list)), ())
        given = cast("int | Shape | None", settings.get("shape", of_args))
        shape = [given] if isinstance(given, int) else list(given or ())
        left -= math.prod(size for size in shape if isinstance(size, int))
        if left < 0:
            raise ModelError(
                f"its layer '{layer.name}' asks for weights of shape {tuple(shape)}, more than the file holds"
            )
        return add_weight(layer, *args, **settings)

    layer_class.add_weight = counted
    try:
        yield
    finally:
        layer_class.add_weight = add_weight


def _stored_bytes(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return sum(member.file_size for member in archive.infolist())
    return path.stat().st_size


@dataclass
class StoredLayer:
    """One layer of a file.

    Attributes:
        name: Its name there, with those of what it is nested in: `base/conv1`.
        names: What its arrays are called: `kernel`, `bias`.
        arrays: Its weights, in Keras's order.
    """

    name: str
    names: list[str] = field(default_factory=list)
    arrays: list[Array] = field(default_factory=list)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of its arrays."""
        return [tuple(array.shape) for array in self.arrays]


def read_stored_layers(root: "h5py.Group") -> list[StoredLayer]:
    """Every layer of a file of Keras 2, those of nested models one by one.

    Args:
        root: The open `h5py.File`, or its group `model_weights` for a whole model.

    Returns:
        The layers that have weights, in the order in which the model had them.
    """
    found: dict[str, StoredLayer] = {}
    for outer in _attribute(root, "layer_names"):
        for path in _attribute(root[outer], "weight_names"):
            array = np.asarray(root[outer][path])
            layer, _, name = path.rpartition("/")
            stored = found.setdefault(f"{outer}\n{layer or outer}", StoredLayer(layer or outer))
            stored.names.append(name.split(":")[0])
            stored.arrays.append(array)
    return list(found.values())


def weighted_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of a model that have weights, those of nested models too, in order."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from weighted_layers(layer)
        elif layer.weights:
            yield layer


def matched_layers(model: keras.Model, stored: Sequence[StoredLayer]) -> dict[str, StoredLayer]:
    """Which stored layer each of a model's layers is: by name, else by the order of all shapes.

    Names are compared without nesting and as Keras 3 spells them (`Conv/BatchNorm` became `conv_bn`). Where not all
    are found, names that Keras numbered itself (`conv2d_17`) may have moved: then the file counts as the model's when
    the shapes of consecutive layers are exactly those of the whole model.

    Args:
        model: The model.
        stored: What `read_stored_layers` gave.

    Returns:
        Stored layers by the name of the model's; only those whose shapes fit.
    """
    wanted = list(weighted_layers(model))
    by_name: dict[str, StoredLayer] = {}
    for layer in wanted:
        same = [item for item in stored if _spelled(layer.name) in _spellings(item.name)]
        fitting = [item for item in same if _fits(layer, item)]
        if fitting:
            by_name[layer.name] = fitting[0]
    if len(by_name) == len(wanted):
        return by_name
    for start in range(len(stored) - len(wanted) + 1):
        window = stored[start : start + len(wanted)]
        if all(_fits(layer, item) for layer, item in zip(wanted, window, strict=True)):
            return {layer.name: item for layer, item in zip(wanted, window, strict=True)}
    return by_name


def hand_over(layer: keras.layers.Layer, item: StoredLayer) -> None:
    """Give a layer its stored weights.

    Args:
        layer: The layer; changed in place.
        item: What `matched_layers` found for it.
    """
    give_weights(layer, _fitting_arrays(layer, item))


def nearest_layer(layer: keras.layers.Layer, stored: Sequence[StoredLayer]) -> str:
    """What the file has instead of a layer, in words: one of its name, or the nearest name."""
    same = [item for item in stored if _spelled(layer.name) in _spellings(item.name)]
    if same:
        return f"'{layer.name}' has {_shapes(layer)}, the file's has {_listed(same[0].shapes)}"
    near = difflib.get_close_matches(layer.name, [item.name for item in stored], n=1, cutoff=0.0)
    return f"'{layer.name}' is not in it" + (f"; the nearest name is '{near[0]}'" if near else "")


def _attribute(group: "h5py.Group", name: str) -> list[str]:
    """A list of names, which HDF5 makes Keras cut into `name0`, `name1`... where it is long."""
    parts = (
        [name]
        if name in group.attrs
        else sorted(
            (key for key in group.attrs if re.fullmatch(rf"{name}\d+", key)), key=lambda key: int(key[len(name) :])
        )
    )
    values = [value for part in parts for value in group.attrs[part]]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _spelled(name: str) -> str:
    return name.lower().replace("batchnorm", "bn").replace("/", "_")


def _spellings(path: str) -> set[str]:
    """A stored name as such and less each model that it is nested in."""
    parts = path.split("/")
    return {_spelled("/".join(parts[start:])) for start in range(len(parts))}


def _fitting_arrays(layer: keras.layers.Layer, item: StoredLayer) -> list[Array]:
    if len(item.arrays) == len(layer.weights):
        return item.arrays
    # Keras 2's Normalization kept a count beside mean and variance.
    return [array for name, array in zip(item.names, item.arrays, strict=True) if name != "count"]


def _fits(layer: keras.layers.Layer, item: StoredLayer) -> bool:
    found = [tuple(array.shape) for array in _fitting_arrays(layer, item)]
    return found == [tuple(weight.shape) for weight in layer.weights]


def _shapes(layer: keras.layers.Layer) -> str:
    return _listed([tuple(weight.shape) for weight in layer.weights])


def _listed(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes[:2])) + (", ..." if len(shapes) > 2 else "")
