"""Where pixels come from: files on disk, arrays in memory. (TFDS records are in `tfds_records`.)"""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, overload

import numpy as np

from tfkit.artifacts import ImageSpec
from tfkit.data.decoder import picture_pixels
from tfkit.data.host_images import change_channels, fit_on_host
from tfkit.data.kept_pixels import KeptPixels
from tfkit.data.lost_files import WatchedFiles
from tfkit.files import read_regular_file

if TYPE_CHECKING:  # it is started when pixels are asked for inside a graph
    import tensorflow as tf


class ImageSource(Protocol):
    """Images by position. Implementations inherit from it for `pixels`.

    Attributes:
        channels: 1 for grey, 3 for RGB, of the pixels it gives.
        is_encoded: Whether `content` is an encoded image, which may turn out to be corrupt.
        kept: Pixels that were decoded already, where a run keeps them (`keep_pixels`).
    """

    channels: int
    is_encoded: bool
    kept: KeptPixels | None = None

    def read_pixels(self, index: "tf.Tensor") -> "tf.Tensor":
        """Read one image inside a tf.data graph: int64 scalar -> uint8 (height, width, channels)."""

    def fitted_pixels(self, index: int, image: ImageSpec) -> np.ndarray:
        """One image as a model takes it, without a graph: uint8, shape `image.shape`."""

    def content(self, index: int) -> bytes:
        """The stored bytes of one image, by which duplicates are found."""

    def file(self, index: int) -> str | None:
        """The path of the file that holds one image and nothing else; None where there is none."""
        return None

    def path(self, index: int) -> Path | None:
        """The same as a `Path`."""
        file = self.file(index)
        return None if file is None else Path(file)

    def encoded(self, indices: np.ndarray) -> Iterator[bytes]:
        """Encoded images as a client of a served model would send them (arrays as PNG)."""

    def pixels(self, indices: np.ndarray) -> "tf.data.Dataset":
        """Images in the order of `indices`, uint8 (height, width, channels) of any size, read in parallel."""
        import tensorflow as tf

        positions = tf.data.Dataset.from_tensor_slices(np.asarray(indices, np.int64))
        return positions.map(self.read_pixels, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


class FilesBelow(Sequence[str]):
    """Paths below a folder, joined when they are asked for: a million of them take a hundred megabytes.

    Args:
        root: The folder.
        names: Where each file lies in it, with `/` between folders.
        odd: The paths, by place, of files whose names are told otherwise than they are.

    Example:
        >>> FilesBelow("photos", ("ants/1.jpg",), {})[0]
        'photos/ants/1.jpg'
    """

    def __init__(self, root: str, names: tuple[str, ...], odd: Mapping[int, str]) -> None:
        self._root, self._names, self._odd = root, names, odd

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> "FilesBelow": ...

    def __getitem__(self, place: int | slice) -> "str | FilesBelow":
        if isinstance(place, slice):
            places = range(len(self))[place]
            odd = {new: self._odd[old] for new, old in enumerate(places) if old in self._odd}
            return FilesBelow(self._root, self._names[place], odd)
        return self._odd.get(place) or f"{self._root}{os.sep}{self._names[place].replace('/', os.sep)}"


class FileSource(ImageSource):
    """Image files, decoded by content when they are asked for.

    Args:
        paths: The files.
        channels: 1 for grey, 3 for RGB.

    Attributes:
        files: Their paths as strings: a million of `Path` take a gigabyte.
    """

    is_encoded = True

    def __init__(self, paths: Sequence[Path | str], *, channels: int) -> None:
        self.channels = channels
        self.files = paths if isinstance(paths, FilesBelow) else tuple(os.fspath(path) for path in paths)
        self.watched: WatchedFiles | None = None  # once they were looked at, to get over those that are lost later

    @cached_property
    def _path_strings(self) -> "tf.Tensor":
        """Made eagerly on the host: every pipeline captures this one tensor instead of a copy in its graph."""
        import tensorflow as tf

        with tf.init_scope(), tf.device("CPU:0"):
            return tf.constant([os.fsencode(path) for path in self.files], tf.string)

    def read_pixels(self, index: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        from tfkit.data.images import decode_in_process

        if self.watched is None:
            encoded = tf.io.read_file(tf.gather(self._path_strings, index))
            return decode_in_process(encoded, channels=self.channels)
        read = tf.numpy_function(self.watched.oriented, [index], (tf.string, tf.int32), stateful=False)
        encoded, orientation = (tf.ensure_shape(one, []) for one in read)
        return decode_in_process(encoded, channels=self.channels, orientation=orientation)

    def fitted_pixels(self, index: int, image: ImageSpec) -> np.ndarray:
        return picture_pixels(self.content(index), image)

    def content(self, index: int) -> bytes:
        return read_regular_file(Path(self.files[index])) if self.watched is None else self.watched.content(int(index))

    def file(self, index: int) -> str:
        return self.files[index]

    def encoded(self, indices: np.ndarray) -> Iterator[bytes]:
        return (self.content(int(index)) for index in indices)


class ArraySource(ImageSource):
    """Images of one size in an array.

    Args:
        pixels: uint8 (n, height, width) or (n, height, width, 1 or 3).
        channels: What to give; grey is repeated to RGB and RGB becomes grey (BT.601 luma).
    """

    is_encoded = False

    def __init__(self, pixels: np.ndarray, *, channels: int) -> None:
        self.channels = channels
        self.array = pixels[..., None] if pixels.ndim == 3 else pixels

    @cached_property
    def _tensor(self) -> "tf.Tensor":
        import tensorflow as tf

        with tf.init_scope(), tf.device("CPU:0"):
            tensor = tf.constant(self.array)
        self.array = tensor.numpy()  # a view of the same memory
        return tensor

    def read_pixels(self, index: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        stored = tf.gather(self._tensor, index)
        if self.array.shape[-1] == self.channels:
            return stored
        return tf.image.grayscale_to_rgb(stored) if self.channels == 3 else tf.image.rgb_to_grayscale(stored)

    def fitted_pixels(self, index: int, image: ImageSpec) -> np.ndarray:
        return fit_on_host(change_channels(self.array[index], self.channels), image)

    def content(self, index: int) -> bytes:
        return bytes(self.array[index].tobytes())

    def encoded(self, indices: np.ndarray) -> Iterator[bytes]:
        import tensorflow as tf

        return (tf.io.encode_png(self.array[int(index)]).numpy() for index in indices)
