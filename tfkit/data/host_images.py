"""The pixels of `images`, to the bit, from libjpeg-turbo, Pillow and numpy: for commands without TensorFlow.

Starting TensorFlow takes seconds and most of a gigabyte, running one photo through a `.tflite` file a hundredth of
that. Only what was shown to be equal is decoded here: JPEG by libjpeg-turbo, whose accurate transform and upsampling
are the same in every version, and PNG, which loses nothing. Everything else is left to `images`.
"""

import contextlib
import io
import os
import re
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from tfkit.artifacts import ImageSpec

_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8"
# libjpeg's warnings about the scan (jerror.h): of its end, of a code that is none, of a restart marker, of rest bytes.
_WARNING = re.compile(
    rb"Corrupt JPEG data: ([^\n]*)\n?|"
    rb"(?:Inconsistent progression sequence|Unsupported marker type|Input file read error)[^\n]*\n?"
)


def png_fault(content: bytes) -> str | None:
    """The chunk of a PNG whose check sum does not fit (ISO/IEC 15948, 5.3), which TensorFlow does not ask for.

    Args:
        content: The bytes of any file.

    Returns:
        What is wrong; None for a whole PNG, and for what is no PNG.
    """
    if not is_png(content):
        return None
    place = len(_PNG_START)
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        end = place + 8 + length
        if end + 4 > len(content):
            return "its PNG data ends within a chunk"
        kind = content[place + 4 : place + 8]
        if zlib.crc32(content[place + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            return f"its PNG data is damaged (the check sum of chunk {kind.decode('ascii', 'replace')} is wrong)"
        if kind == b"IEND":
            return None
        place = end + 4
    return "its PNG data has no end"


@contextlib.contextmanager
def jpeg_warnings() -> Iterator[Callable[[], str | None]]:
    """Hear what libjpeg says of damaged scans while the block decodes JPEGs.

    TensorFlow decodes such an image to its last line and gives no sign but libjpeg's words on file descriptor 2, which
    is led aside meanwhile. What else is written there is passed on at the end. The descriptor belongs to the whole
    process, so the words name no image: decode one at a time to know which.

    Yields:
        A function that gives the first warning so far, or None.
    """
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)

        def heard() -> str | None:
            found = _WARNING.search(os.pread(said.fileno(), 1 << 20, 0))
            return (found[1] or found[0]).decode(errors="replace").strip() if found else None

        try:
            yield heard
        finally:
            os.dup2(original, 2)
            said.seek(0)
            if rest := _WARNING.sub(b"", said.read()):
                os.write(original, rest)
            os.close(original)


def is_jpeg(content: bytes) -> bool:
    """Whether bytes begin as a JPEG does.

    Example:
        >>> is_jpeg(Path("bee.jpg").read_bytes())
        True
    """
    return content.startswith(_JPEG_START)


def is_png(content: bytes) -> bool:
    """Whether bytes begin as a PNG does.

    Example:
        >>> is_png(b"GIF89a")
        False
    """
    return content.startswith(_PNG_START)


_EXIF_NAME = b"Exif\x00\x00"
_SEARCHED_BYTES = 1 << 18  # as in `jpeg_orientation`
_MOST_PIXELS = 1 << 26  # a larger picture is left to TensorFlow, which refuses some
_WITHOUT_PALETTE = {"P": "RGB", "1": "L"}
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_ROWS = 256  # of a picture at a time while its columns are brought together: bounds memory


def decode_on_host(encoded: bytes, *, channels: int) -> NDArray[np.uint8] | None:
    """Decode a JPEG or PNG as `decode_image` does.

    Args:
        encoded: The file's bytes.
        channels: 1 for grey, 3 for RGB.

    Returns:
        Pixels 0..255, uint8 (height, width, channels), upright; None when only `decode_image` can tell: another
        format, a JPEG of inks (CMYK), or anything wrong with the file.

    Example:
        >>> decode_on_host(Path("bee.jpg").read_bytes(), channels=3).dtype
        dtype('uint8')
    """
    decode = _jpeg_pixels if is_jpeg(encoded) else _png_pixels if is_png(encoded) else None
    try:
        pixels = decode(encoded) if decode else None
    except Exception:  # whatever is wrong with a file of others: TensorFlow's decoder has the last word on it
        return None
    if pixels is None:
        return None
    return change_channels(pixels if pixels.ndim == 3 else pixels[..., None], channels)


def change_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """uint8 (height, width, 1 or 3) with so many channels: grey repeated, or the luma of colours (BT.601).

    Example:
        >>> change_channels(np.zeros((4, 4, 1), np.uint8), 3).shape
        (4, 4, 3)
    """
    if pixels.shape[-1] == channels:
        return pixels
    return _grey(pixels) if channels == 1 else np.repeat(pixels, channels, axis=2)


def fit_on_host(pixels: NDArray[np.uint8], image: "ImageSpec") -> NDArray[np.uint8]:
    """Bring an image to a model's size as `fit_image` does: the same sums in the same order, in float32.

    Args:
        pixels: uint8 (height, width, channels), channels as in `image`.
        image: The size wanted and the rule for another aspect ratio.

    Returns:
        uint8, shape `image.shape`.

    Example:
        >>> from tfkit.artifacts import ImageSpec
        >>> fit_on_host(np.zeros((40, 60, 3), np.uint8), ImageSpec(32, 32)).shape
        (32, 32, 3)
    """
    placed = _placed(pixels.shape[:2], image)
    if placed is None:
        return pixels
    pixels = pixels[placed.rows, placed.columns]
    shrinks = (np.array(pixels.shape[:2]) >= placed.inner).all()
    resized = (_means_of_areas if shrinks else _bilinear)(pixels, *map(int, placed.inner))
    rounded = (resized + np.float32(0.5)).astype(np.uint8)
    return np.pad(rounded, [*placed.margins, (0, 0)]) if any(map(any, placed.margins)) else rounded


def fit_nearest(values: NDArray[np.uint8], image: "ImageSpec", *, filled_with: int) -> NDArray[np.uint8]:
    """Bring what belongs to an image pixel by pixel to a model's size, in the places where `fit_on_host` puts pixels.

    Args:
        values: uint8 (height, width): of kinds, which have no mean. Each new one is the nearest to its pixel's middle.
        image: The size wanted and the rule for another aspect ratio.
        filled_with: What stands beside a padded image.

    Returns:
        uint8 (`image.height`, `image.width`).

    Example:
        >>> from tfkit.artifacts import ImageSpec
        >>> fit_nearest(np.arange(4, dtype=np.uint8).reshape(2, 2), ImageSpec(4, 4), filled_with=0)[0].tolist()
        [0, 0, 1, 1]
    """
    placed = _placed(values.shape, image)
    if placed is None:
        return values
    kept = values[placed.rows, placed.columns]
    rows, columns = (
        ((2 * np.arange(wanted) + 1) * given) // (2 * wanted)
        for given, wanted in zip(kept.shape, map(int, placed.inner), strict=True)
    )
    return np.pad(kept[rows][:, columns], placed.margins, constant_values=filled_with)


@dataclass(frozen=True)
class _Placed:
    """Which part of a picture is kept, its new size, and the margins around it."""

    rows: slice
    columns: slice
    inner: NDArray[np.int_]
    margins: list[tuple[int, int]]


def _placed(shape: tuple[int, ...], image: "ImageSpec") -> _Placed | None:
    """Where a picture goes; None where it stays as it is."""
    size, target = np.array(shape), np.array([image.height, image.width])
    if (size == target).all():
        return None
    ratios = size.astype(np.float32) / target.astype(np.float32)
    rows, columns, margins = slice(None), slice(None), [(0, 0), (0, 0)]
    if image.resize == "crop":
        kept = _scaled(target, ratios.min(), largest=size)
        top, left = (size - kept) // 2
        rows, columns = slice(top, top + kept[0]), slice(left, left + kept[1])
    inner = _scaled(size, np.float32(1) / ratios.max(), largest=target) if image.resize == "pad" else target
    if image.resize == "pad":
        before = (target - inner) // 2
        margins = [(int(one), int(other)) for one, other in zip(before, target - inner - before, strict=True)]
    return _Placed(rows, columns, inner, margins)


def upright_size(encoded: bytes) -> tuple[int, int]:
    """Height and width of an encoded picture as it is decoded: upright; (0, 0) where its beginning does not say."""
    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            width, height = picture.size
    except Exception:  # Pillow raises a dozen kinds
        return 0, 0
    turned = read_orientation(encoded) >= 5
    return (width, height) if turned else (height, width)


def _jpeg_pixels(encoded: bytes) -> NDArray[np.uint8] | None:
    height, width, space, _ = simplejpeg.decode_jpeg_header(encoded)
    if height * width > _MOST_PIXELS or space not in ("Gray", "YCbCr", "RGB"):
        return None
    # Strict: a scan that libjpeg only warns of, and mends, is an error, which `ImageDecoder` then names.
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
        encoded, colorspace="GRAY" if space == "Gray" else "RGB", strict=True
    )
    return _upright(pixels, read_orientation(encoded))


def _png_pixels(encoded: bytes) -> NDArray[np.uint8] | None:
    if png_fault(encoded):  # Pillow does not ask for the check sums of pixels
        return None
    with Image.open(io.BytesIO(encoded), formats=["PNG"]) as picture:
        mode = picture.mode
        if picture.width * picture.height > _MOST_PIXELS or mode not in _PNG_MODES:
            return None
        pixels = np.asarray(picture.convert(_WITHOUT_PALETTE.get(mode, mode)))
    if mode == "I;16":
        return (pixels >> 8).astype(np.uint8)
    if mode == "LA":
        return pixels[..., 0]
    return pixels[..., :3] if mode == "RGBA" else pixels


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`tf.image.rgb_to_grayscale`, whose product with the weights of BT.601 adds red and green, then blue."""
    red, green, blue = np.moveaxis(pixels.astype(np.float32) * np.float32(1 / 255), -1, 0)
    luma = red * np.float32(0.2989) + green * np.float32(0.587) + blue * np.float32(0.114)
    grey: NDArray[np.uint8] = (luma * np.float32(255.5)).astype(np.uint8)[..., None]
    return grey


def read_orientation(encoded: bytes) -> int:
    """The orientation that `decode_image` sets upright: 1..8 as EXIF defines it, 1 of all but a JPEG.

    Example:
        >>> read_orientation(Path("bee.jpg").read_bytes())
        1
    """
    if not is_jpeg(encoded):
        return 1
    before, found, block = encoded[:_SEARCHED_BYTES].partition(_EXIF_NAME)
    if not found or before[-4:-2] != b"\xff\xe1":
        return 1
    order = ">" if block[:2] == b"MM" else "<"
    block += b"\0" * 8  # the directory's place and count are zeros where the bytes have ended
    (directory,) = struct.unpack_from(order + "i", block, 4)
    if not 8 <= directory <= len(block) - 8 - 2:
        return 1
    (count,) = struct.unpack_from(order + "H", block, directory)
    room = (len(block) - 8 - directory - 2) // 12
    entries = (block[directory + 2 + 12 * n :][:12] for n in range(min(count, room)))
    fields = (struct.unpack(order + "HHIHH", entry) for entry in entries)
    value = max((field[3] for field in fields if field[0] == 0x0112), default=1)
    return value if 1 <= value <= 8 else 1


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _scaled(size: NDArray[np.int_], factor: np.float32, *, largest: NDArray[np.int_]) -> NDArray[np.int_]:
    return np.clip(np.round(size.astype(np.float32) * factor).astype(np.int64), 1, largest)


def _means_of_areas(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    columns, column_weights, across = _areas(pixels.shape[1], width)
    rows, row_weights, down = _areas(pixels.shape[0], height)
    blocks = (pixels[n : n + _ROWS] for n in range(0, len(pixels), _ROWS))
    summed = np.concatenate([_weighted_sums(block, columns, column_weights, axis=1) for block in blocks])
    means = _weighted_sums(summed, rows, row_weights, axis=0)
    means *= np.float32(1) / (down * across)
    return means


def _bilinear(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    down = _weighted_sums(pixels, *_triangles(pixels.shape[0], height), axis=0)
    return _weighted_sums(down, *_triangles(pixels.shape[1], width), axis=1)


def _weighted_sums(
    values: NDArray[np.generic], places: NDArray[np.int_], weights: NDArray[np.float32], *, axis: int
) -> NDArray[np.float32]:
    """For each row of `places` (n, k) the sum of those rows or columns of an image, each by its weight, one by one."""
    numbers = values.astype(np.float32, copy=False)
    shape = (len(places), *values.shape[1:]) if axis == 0 else (len(values), len(places), values.shape[2])
    total, part = np.zeros(shape, np.float32), np.empty(shape, np.float32)
    lines = part.reshape(len(part), -1)  # of numpy's loops the inner one is over columns and channels in one
    for chosen, weight in zip(places.T, weights.T, strict=True):
        np.take(numbers, chosen, axis=axis, out=part, mode="clip")
        lines *= weight[:, None] if axis == 0 else np.repeat(weight, values.shape[2])
        total += part
    return total


def _areas(given: int, wanted: int) -> tuple[NDArray[np.int_], NDArray[np.float32], np.float32]:
    """Which of `given` pixels each of `wanted` covers, how much of each, and how many in all."""
    across = np.float32(given) / np.float32(wanted)
    number = np.arange(wanted)
    left, right = number.astype(np.float32) * across, (number + 1).astype(np.float32) * across
    first, end = np.floor(left).astype(np.int64), np.ceil(right).astype(np.int64)
    places = first[:, None] + np.arange((end - first).max())
    begins = places.astype(np.float32)
    ends = begins + np.float32(1)
    left, right = left[:, None], right[:, None]
    weights = np.where(
        begins < left,
        np.where(ends > right, across, ends - left),
        np.where(ends > right, right - begins, np.float32(1)),
    )
    weights[places >= end[:, None]] = 0
    return np.clip(places, 0, given - 1), weights.astype(np.float32), across


def _triangles(given: int, wanted: int) -> tuple[NDArray[np.int_], NDArray[np.float32]]:
    """Which of `given` pixels make each of `wanted`, and the weight of each: a triangle, wider where pixels shrink."""
    step = np.float32(1) / (np.float32(wanted) / np.float32(given))
    radius = max(step, np.float32(1))
    centre = (np.arange(wanted, dtype=np.float32) + np.float32(0.5)) * step
    first = np.clip(np.ceil(centre - radius - np.float32(0.5)).astype(np.int64), 0, given - 1)
    last = np.clip(np.floor(centre + radius - np.float32(0.5)).astype(np.int64), 0, given - 1)
    places = first[:, None] + np.arange((last - first).max() + 1)
    distance = np.abs((places.astype(np.float32) + np.float32(0.5) - centre[:, None]) * (np.float32(1) / radius))
    weights = np.where(distance < 1, np.float32(1) - distance, np.float32(0))
    weights[places > last[:, None]] = 0
    total = np.zeros(wanted, np.float32)
    for column in weights.T:
        total += column
    return np.minimum(places, given - 1), weights * (np.float32(1) / total)[:, None]
