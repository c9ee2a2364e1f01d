"""Small pictures that stand inside the page."""

from __future__ import annotations

import base64
import io

import numpy as np

_SIDE = 224  # pixels: sharp at the 160 CSS pixels it is shown at, and about 12 kB as JPEG
_TINY = 96  # up to here a picture is kept as it is and shown with its pixels


def is_tiny(pixels: np.ndarray) -> bool:
    """Whether the picture is so small that it is shown pixel by pixel, like a handwritten digit of 8 x 8."""
    return bool(max(pixels.shape[:2]) <= _TINY)


def thumbnail(pixels: np.ndarray) -> str:
    """Encode a picture as a data URI of at most 224 pixels a side.

    Args:
        pixels: uint8 (h, w, 1) or (h, w, 3).

    Returns:
        `data:image/...`: PNG for tiny pictures, JPEG for others.
    """
    from PIL import Image

    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    written = io.BytesIO()
    if is_tiny(pixels):
        picture.save(written, format="PNG", optimize=True)
        kind = "png"
    else:
        picture.thumbnail((_SIDE, _SIDE))
        picture.save(written, format="JPEG", quality=82, optimize=True)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(written.getvalue()).decode()}"
