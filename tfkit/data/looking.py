"""One look at an encoded image: is it whole, how large is it, and what does it show, in 32 bytes?"""

import contextlib
import functools
import hashlib
import io
import os
import threading
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from tfkit.data.decoder import ImageDecoder, damaged_scan
from tfkit.data.host_images import decode_on_host, is_jpeg, is_png, jpeg_warnings

MAX_PIXELS = 178_956_970  # where Pillow speaks of a decompression bomb: half a gigabyte of RGB
DIGEST_BYTES = 16
PRINT_BYTES = 32

_SIDE = 32  # of the grey picture that a fingerprint is made of
_DRAFT = 46  # pixels each way at least of the picture that this is made from
_WAVES = 16  # the lowest frequencies each way that it tells
_COSINES = np.cos(np.pi / _SIDE * np.outer(np.arange(_WAVES), np.arange(_SIDE) + 0.5)).astype(np.float32)
_INKS = ("CMYK", "YCCK")
_FLAT = 4  # levels: a picture of fewer tells nothing
_ANIMATED = 64  # within these first bytes a file says that it holds frames


FileState = tuple[int, int]
"""Size in bytes, and when it was changed last, in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at an image's content showed.

    Attributes:
        digest: 16 bytes that are the same for the same content only.
        reason: Why it cannot be used, as part of a sentence; None for a whole image.
        height, width: In pixels, as stored; 0 where it does not say.
        fingerprint: 32 bytes of which few bits differ between pictures that look the same; empty for none.
        frames: Whether it is an animation, of which the first frame is taken.
    """

    digest: bytes
    reason: str | None = None
    height: int = 0
    width: int = 0
    fingerprint: bytes = b""
    frames: bool = False


def file_state(path: str) -> FileState | None:
    """Size and time of a file; None where it cannot be asked.

    Example:
        >>> file_state("/no/such/file")
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - of a million files
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


class Onlooker:
    """Looks at encoded images; safe to call from many threads.

    Args:
        max_pixels: Height times width above which an image is not decoded.

    Example:
        >>> Onlooker().look(Path("bee.jpg").read_bytes()).reason is None
        True
    """

    def __init__(self, *, max_pixels: int = MAX_PIXELS) -> None:
        self.max_pixels = max_pixels
        self._decoder = ImageDecoder(channels=3)
        self._listening = threading.Lock()  # to libjpeg's words, of which no more than one image can be the cause

    def look(self, content: bytes, digest: bytes | None = None) -> Look:
        """Decode an image as far as it takes to know that it is whole.

        Args:
            content: The file's bytes.
            digest: `digest_of(content)` where it is known already.

        Returns:
            What was seen.
        """
        digest = digest or digest_of(content)
        height, width = size = stated_size(content) or (0, 0)
        if reason := bomb_reason(size, self.max_pixels):
            return Look(digest, reason, height, width)
        pixels, reason = _quick_pixels(content), None
        if pixels is None:
            pixels, reason = self._decoded(content)
        if pixels is None or reason is not None:
            return Look(digest, reason, height, width)
        return Look(digest, None, height, width, fingerprint_of(pixels), _holds_frames(content))

    def _decoded(self, content: bytes) -> tuple[NDArray[np.uint8] | None, str | None]:
        """By TensorFlow, which has the last word: the pixels, or why there are none."""
        if not is_jpeg(content):
            return self._decoder.pixels_or_fault(content)
        with self._listening, jpeg_warnings() as heard:
            pixels, reason = self._decoder.pixels_or_fault(content)
            words = heard()
        return pixels, reason or (damaged_scan(words) if words else None)


def digest_of(content: bytes) -> bytes:
    """16 bytes that are the same for the same content only.

    Example:
        >>> len(digest_of(b"a file's bytes"))
        16
    """
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def bomb_reason(size: tuple[int, int], max_pixels: int) -> str | None:
    """Why an image of this size (height, width) is not decoded; None for one that may be.

    Example:
        >>> bomb_reason((30000, 40000), MAX_PIXELS)
        'it would be 40000 x 30000 pixels, more than data.max_pixels (178,956,970)'
    """
    height, width = size
    if height * width <= max_pixels:
        return None
    return f"it would be {width} x {height} pixels, more than data.max_pixels ({max_pixels:,})"


def stated_size(content: bytes) -> tuple[int, int] | None:
    """Height and width that an image's header states; None where there is none to read.

    Example:
        >>> stated_size(b"GIF89a" + bytes([8, 0, 6, 0]))
        (6, 8)
    """
    if is_jpeg(content):
        try:
            height, width, _, _ = simplejpeg.decode_jpeg_header(content)
        except ValueError:
            return None
        return height, width
    if is_png(content):
        return _numbers(content, 20, 4, "big"), _numbers(content, 16, 4, "big")
    if content.startswith((b"GIF87a", b"GIF89a")):
        return _numbers(content, 8, 2), _numbers(content, 6, 2)
    if content.startswith(b"BM"):
        height = _numbers(content, 22, 4)
        return min(height, 2**32 - height), _numbers(content, 18, 4)  # negative: stored from the top
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _webp_size(content)
    return None


def fingerprint_of(pixels: NDArray[np.uint8]) -> bytes:
    """A perceptual hash (pHash): the signs of a picture's lowest frequencies about their median.

    Args:
        pixels: uint8 (height, width, 1 or 3).

    Returns:
        32 bytes, lowest frequencies first; empty for a picture of one colour, which tells nothing.

    Example:
        >>> fingerprint_of(np.zeros((9, 9, 1), np.uint8))
        b''
    """
    if pixels.shape[-1] == 1:
        grey = pixels[..., 0]
    else:
        picture = Image.fromarray(pixels)
        grey = np.asarray(picture.reduce(max(1, min(picture.size) // _DRAFT)).convert("L"))
    if int(grey.max()) - int(grey.min()) < _FLAT:
        return b""
    height, width = grey.shape
    waves = (_waves_of(height) @ grey.astype(np.float32) @ _waves_of(width).T).ravel()[_LOWEST_FIRST]
    return np.packbits(waves > np.partition(waves, _MIDDLE)[_MIDDLE]).tobytes()


@functools.lru_cache(1024)
def _waves_of(side: int) -> NDArray[np.float32]:
    """From the pixels of a side to its lowest frequencies: bilinear means of 32 parts, then their cosines."""
    centres = (np.arange(_SIDE) + 0.5) * side / _SIDE - 0.5
    reach = max(1.0, side / _SIDE)
    weights = np.maximum(0.0, 1 - np.abs(np.arange(side) - centres[:, None]) / reach)
    return np.asarray(_COSINES @ (weights / weights.sum(1, keepdims=True)), np.float32)


_MIDDLE = _WAVES * _WAVES // 2
_LOWEST_FIRST = np.argsort(np.add.outer(np.arange(_WAVES), np.arange(_WAVES)).ravel(), kind="stable")


def _quick_pixels(content: bytes) -> NDArray[np.uint8] | None:
    """A picture for its fingerprint, when its file is whole beyond doubt; None where TensorFlow must tell.

    The entropy-coded data of a JPEG is read to its end at any scale: a smaller picture saves only the arithmetic.
    """
    if not is_jpeg(content):
        return decode_on_host(content, channels=3)
    try:
        space = simplejpeg.decode_jpeg_header(content)[2]
        wanted = "CMYK" if space in _INKS else "GRAY"
        small = {"min_height": _DRAFT, "min_width": _DRAFT}
        pixels = simplejpeg.decode_jpeg(content, colorspace=wanted, fastdct=True, strict=True, **small)
    except Exception:  # whatever is wrong with a file of others: TensorFlow's decoder has the last word on it
        return None
    grey: NDArray[np.uint8] = pixels if wanted == "GRAY" else pixels.mean(axis=2, keepdims=True).astype(np.uint8)
    return grey


def _holds_frames(content: bytes) -> bool:
    if content[:4] == b"RIFF":
        return b"ANIM" in content[:_ANIMATED]
    if content.startswith(b"GIF8"):
        with contextlib.suppress(Exception), Image.open(io.BytesIO(content), formats=["GIF"]) as picture:
            return bool(getattr(picture, "is_animated", False))
        return False
    return is_png(content) and b"acTL" in content[:_ANIMATED]


def _webp_size(content: bytes) -> tuple[int, int] | None:
    kind = content[12:16]
    if kind == b"VP8X":
        return _numbers(content, 27, 3) + 1, _numbers(content, 24, 3) + 1
    if kind == b"VP8 ":
        return _numbers(content, 28, 2) & 0x3FFF, _numbers(content, 26, 2) & 0x3FFF
    if kind == b"VP8L":
        packed = _numbers(content, 21, 4)
        return (packed >> 14 & 0x3FFF) + 1, (packed & 0x3FFF) + 1
    return None


def _numbers(content: bytes, start: int, count: int, order: str = "little") -> int:
    return int.from_bytes(content[start : start + count], "big" if order == "big" else "little")
