"""No memory for weights that a model's file does not hold."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tfkit.errors import ModelError

if TYPE_CHECKING:
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
