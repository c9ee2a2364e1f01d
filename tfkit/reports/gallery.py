"""The most confident mistakes as the page shows them: thumbnails of images, quotations of texts."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfkit.files import read_regular_file
from tfkit.reports.explanations import Explanations, Mark, further_words, marked, signed
from tfkit.reports.findings import Mistake
from tfkit.reports.heat_maps import HeatMaps, heated

_SIDE = 224  # pixels: sharp at the 160 CSS pixels it is shown at, and about 12 kB as JPEG
_TINY = 96  # up to here a picture is kept as it is and shown with its pixels
_SALVAGED = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
_MOST_SALVAGED = 50_000_000  # pixels


def is_tiny(pixels: np.ndarray) -> bool:
    """Whether the picture is so small that it is shown pixel by pixel, like a handwritten digit of 8 x 8."""
    return bool(max(pixels.shape[:2]) <= _TINY)


def thumbnail(pixels: np.ndarray, *, side: int = _SIDE) -> str:
    """Encode a picture as a data URI of at most so many pixels a side.

    Args:
        pixels: uint8 (h, w, 1) or (h, w, 3).
        side: The most pixels a side.

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
        picture.thumbnail((side, side))
        picture.save(written, format="JPEG", quality=82, optimize=True)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(written.getvalue()).decode()}"


def salvaged_thumbnail(path: Path, *, side: int = _SIDE) -> str:
    """What can still be seen of an image file that is damaged, as `thumbnail` gives it.

    Args:
        path: Any file; it may be gone, broken or no image.
        side: The most pixels a side.

    Returns:
        A data URI; empty where nothing can be seen, or where the picture would be of more than 50 million pixels.

    Example:
        >>> salvaged_thumbnail(Path("notes.txt"))
        ''
    """
    from PIL import Image, ImageFile

    whole_only, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
    try:
        with Image.open(io.BytesIO(read_regular_file(path)), formats=_SALVAGED) as picture:
            if picture.width * picture.height > _MOST_SALVAGED:
                return ""
            picture.draft("RGB", (side, side))
            shown = picture.convert("RGB")
    except Exception:  # a damaged file of others can break any part of a decoder
        return ""
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = whole_only
    plain = all(low == high for low, high in shown.getextrema())
    return "" if plain else thumbnail(np.asarray(shown), side=side)


# From int64 (m,) positions in the evaluation split to uint8 (m, h, w, c) pixels, or to m texts.
Misclassified = Callable[[np.ndarray], np.ndarray | Sequence[str]]

MOST_QUOTED_CHARACTERS = 200
# Unicode does not break words in scripts such as Chinese: a text is cut at a space only when one is this near.
_LOOK_BACK = 20


@dataclass(frozen=True)
class Exhibit:
    """One mistake to look at.

    Attributes:
        mistake: What was taken for what.
        picture: The image as a data URI; empty for a text.
        pixelated: Whether the picture is so small that its pixels are shown.
        quotation: The text, on one line and cut; empty for an image.
        marks: The text in stretches, each word with what it spoke for; empty where it was not explained.
        further: Words of a long text beyond those, and their shares, that spoke loudly.
        heat: The picture under its heat map, as a data URI; empty where it was not explained.
        followed: How the score follows that heat map, in words.
    """

    mistake: Mistake
    picture: str = ""
    pixelated: bool = False
    quotation: str = ""
    marks: tuple[Mark, ...] = ()
    further: tuple[tuple[str, str], ...] = ()
    heat: str = ""
    followed: str = ""


def exhibits(
    shown: Sequence[Mistake],
    misclassified: Misclassified,
    explanations: Explanations | None = None,
    heat_maps: HeatMaps | None = None,
) -> tuple[Exhibit, ...]:
    """Fetch what was mistaken, and make it ready to stand in the page.

    Args:
        shown: The mistakes to show.
        misclassified: Gives uint8 (m, h, w, c) pixels, or m texts, for int64 (m,) positions in the evaluation split;
            not asked when there is no mistake.
        explanations: Of texts: which words made the mistakes, where that was found out.
        heat_maps: Of pictures: where the file looked, where that was found out.

    Returns:
        One for each mistake, in the same order.
    """
    if not shown:
        return ()
    found = misclassified(np.array([mistake.position for mistake in shown], dtype=np.int64))
    return tuple(
        _of_text(mistake, example, explanations)
        if isinstance(example, str)
        else _of_picture(mistake, example, heat_maps)
        for mistake, example in zip(shown, found, strict=True)
    )


def _of_picture(mistake: Mistake, pixels: np.ndarray, heat_maps: HeatMaps | None) -> Exhibit:
    shown = Exhibit(mistake, picture=thumbnail(pixels, side=_side(pixels)), pixelated=is_tiny(pixels))
    found = heat_maps.of(mistake.position) if heat_maps else None
    if found is None:
        return shown
    return replace(shown, heat=thumbnail(heated(pixels, found.heat)), followed=found.followed)


def _side(pixels: np.ndarray) -> int:
    """The most pixels a side: of pictures side by side each is as large as one alone."""
    height, width = pixels.shape[:2]
    return _SIDE * max(1, int(width) // int(height))


def _of_text(mistake: Mistake, text: str, explanations: Explanations | None) -> Exhibit:
    explanation = explanations.of(mistake.position) if explanations else None
    if explanation is None:
        return Exhibit(mistake, quotation=quoted(text))
    further = tuple((word.word, signed(word.share)) for word in further_words(explanation))
    return Exhibit(mistake, quotation=quoted(text), marks=marked(explanation), further=further)


def quoted(text: str) -> str:
    """A text on one line of at most 200 characters, cut at a space where one is near; an ellipsis marks the cut.

    Example:
        >>> quoted("where is\\n my parcel?")
        'where is my parcel?'
    """
    line = " ".join(text.split())
    if len(line) <= MOST_QUOTED_CHARACTERS:
        return line
    kept = line[: MOST_QUOTED_CHARACTERS - 1]
    space = kept.rfind(" ", len(kept) - _LOOK_BACK)
    return f"{kept[:space] if space > 0 else kept}…"
