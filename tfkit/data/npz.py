"""NumPy archives of images."""

import math
import zipfile
from pathlib import Path

import numpy as np

from tfkit.data.image_files import PartName, Reading
from tfkit.data.sources import ArraySource
from tfkit.errors import DataError, printable
from tfkit.files import inflated_fault

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
    class_names = _class_names(arrays.get("class_names"), path)
    parts = {part: keys for part, keys in _KEYS.items() if keys[0] in arrays and keys[1] in arrays}
    if not parts:
        held = printable(", ".join(sorted(arrays))[:200]) or "nothing"
        raise DataError(f"'{path}' holds {held}, not x and y", hint=_LAYOUT_HINT)
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
        if reason := inflated_fault(path) or _claim_fault(path):
            raise ValueError(reason)
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise DataError(f"the file '{path}' does not exist", hint="check data.train and data.directory") from None
    except MemoryError:
        raise DataError(f"'{path}' does not fit into memory", hint="split it, or use image files") from None
    except Exception as fault:  # zipfile, zlib and NumPy's parser of headers raise a dozen kinds
        told = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault) or type(fault).__name__
        reason = printable(told.splitlines()[0][:200])
        raise DataError(f"'{path}' cannot be read as .npz: {reason}", hint=_LAYOUT_HINT) from None


def _claim_fault(path: Path) -> str | None:
    """An array whose header claims more than the archive holds: NumPy would make room for all of it first."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, kind = read(file)
            claimed = math.prod(shape) * kind.itemsize
            if claimed > member.file_size:
                return f"its '{member.filename}' claims {claimed:,} bytes and holds {member.file_size:,}"
    return None


def _class_names(array: np.ndarray | None, path: Path) -> tuple[str, ...] | None:
    if array is None:
        return None
    if array.ndim != 1 or array.dtype.kind not in "Ui":
        came = f"{array.dtype} {array.shape}"
        raise DataError(f"class_names of '{path}' is {came}, expected names (k,)", hint=_LAYOUT_HINT)
    return tuple(map(str, array))


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
    key: type[int] | type[str] = int if all(label.lstrip("-").isdigit() for label in unique) else str
    return tuple(sorted(unique, key=key))
