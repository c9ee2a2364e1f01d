"""NumPy archives of images."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tfkit.data.reading import PartName, Reading
from tfkit.data.sources import ArraySource
from tfkit.errors import DataError

_LAYOUT_HINT = "an .npz needs x: uint8 (n, height, width[, channels]) and y: labels (n,); optional class_names (k,)"
_KEYS: dict[PartName, tuple[str, str]] = {
    "all": ("x", "y"),
    "train": ("x_train", "y_train"),
    "validation": ("x_val", "y_val"),
    "test": ("x_test", "y_test"),
}


def read_npz(path: Path, *, channels: int, as_part: PartName = "all") -> dict[PartName, Reading]:
    """Read images and labels from an .npz.

    Args:
        path: A file with `x` and `y`, or with Keras's `x_train`, `y_train`, `x_test`, `y_test` (and `x_val`,
            `y_val`). `y` holds positions in `class_names` where that is given, else the names themselves.
        channels: 1 for grey, 3 for RGB.
        as_part: What `x` and `y` are.

    Returns:
        The parts by name.

    Raises:
        DataError: When the file is missing, is no .npz, or its arrays are not as above.
    """
    arrays = _load(path)
    class_names = tuple(str(name) for name in arrays["class_names"]) if "class_names" in arrays else None
    parts = {part: keys for part, keys in _KEYS.items() if keys[0] in arrays and keys[1] in arrays}
    if not parts:
        raise DataError(f"'{path}' holds {', '.join(sorted(arrays)) or 'nothing'}, not x and y", hint=_LAYOUT_HINT)
    readings: dict[PartName, Reading] = {}
    for part, (x, y) in parts.items():
        name = as_part if part == "all" else part
        pixels = _pixels(arrays[x], path, x)
        labels = _labels(arrays[y], class_names, len(pixels), path, y)
        called = path.stem if part == "all" else part
        names = tuple(f"{called}[{index}]" for index in range(len(pixels)))
        readings[name] = Reading(
            ArraySource(pixels, channels=channels), names, labels, class_names=class_names or _in_order(labels)
        )
    return readings


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise DataError(f"the file '{path}' does not exist", hint="check data.train and data.directory") from None
    except (OSError, ValueError, AttributeError, EOFError, TypeError, zipfile.BadZipFile) as fault:
        raise DataError(f"'{path}' cannot be read as .npz: {fault}", hint=_LAYOUT_HINT) from None


def _pixels(array: np.ndarray, path: Path, key: str) -> np.ndarray:
    shape_is_right = array.ndim == 3 or (array.ndim == 4 and array.shape[-1] in (1, 3))
    if not shape_is_right or not len(array) or not array.size:
        raise DataError(f"{key} of '{path}' has the shape {array.shape}", hint=_LAYOUT_HINT)
    if array.dtype == np.uint8:
        return array
    if np.issubdtype(array.dtype, np.integer) and array.min() >= 0 and array.max() <= 255:
        return array.astype(np.uint8)
    raise DataError(
        f"{key} of '{path}' is {array.dtype} from {array.min()} to {array.max()}, expected uint8 pixels 0..255",
        hint="save raw pixels; each model's own preprocessing is inside the model",
    )


def _labels(
    array: np.ndarray, class_names: tuple[str, ...] | None, count: int, path: Path, key: str
) -> tuple[str, ...]:
    flat = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    is_integer = np.issubdtype(flat.dtype, np.integer)
    if flat.shape != (count,) or not (is_integer or flat.dtype.kind == "U"):
        raise DataError(
            f"{key} of '{path}' is {array.dtype} {array.shape}, expected {count} integers or strings, one an image",
            hint=_LAYOUT_HINT,
        )
    if class_names is None or not is_integer:
        return tuple(str(label) for label in flat)
    if flat.min() < 0 or flat.max() >= len(class_names):
        raise DataError(
            f"{key} of '{path}' has labels {flat.min()} to {flat.max()} for {len(class_names)} class_names",
            hint="labels are positions in class_names, from 0",
        )
    return tuple(class_names[label] for label in flat)


def _in_order(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Class numbers in the order of numbers (10 after 9), names in the order of names."""
    unique = set(labels)
    key: Any = int if all(label.lstrip("-").isdigit() for label in unique) else str
    return tuple(sorted(unique, key=key))
