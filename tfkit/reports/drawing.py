"""How tfkit's figures look, and how they get into the page: as SVG that takes the page's colours, light or dark."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

# Each colour stands for a CSS variable of the page (the name in the comment); blue and orange stay apart for
# colour-blind eyes. The same colours are painted as they are in TensorBoard's pictures.
INK = "#1b1f24"
MUTED = "#57606b"
LINE = "#d5dae1"
GOOD = "#0b5cad"
BAD = "#b24a00"
ON_COLOUR = "#fffffe"
CSS_NAMES = {INK: "ink", MUTED: "muted", LINE: "line", GOOD: "good", BAD: "bad", ON_COLOUR: "on-colour"}

_STYLE = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "hatch.color": ON_COLOUR,
    "hatch.linewidth": 0.8,
    "svg.fonttype": "none",
    "text.parse_math": False,  # a class may be called "US$ note"
}


@dataclass(frozen=True)
class Drawing:
    """A figure with the sentence that stands for it where it cannot be seen.

    Attributes:
        figure: The matplotlib figure.
        description: What it shows, for screen readers.
    """

    figure: Any
    description: str


@contextmanager
def drawing_style() -> Iterator[None]:
    """Draw in tfkit's look; the caller's matplotlib settings come back afterwards."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


def inline_svg(drawing: Drawing) -> str:
    """Turn a figure into an `<svg>` element that can stand in the page.

    Text stays text, colours become the page's CSS variables, and nothing in it names another address or an id
    that a second figure on the page has too.

    Args:
        drawing: The figure.

    Returns:
        The element.
    """
    import matplotlib

    written = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with _layout_font(), matplotlib.rc_context({**_STYLE, "svg.hashsalt": drawing.description}):
        drawing.figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"font: ((?:\d+ )?)([\d.]+px) [^;\"]+", _font, svg)
    for colour, name in CSS_NAMES.items():
        svg = svg.replace(colour, f"var(--{name})")
    width = drawing.figure.get_figwidth() * 96
    label = html.escape(drawing.description, quote=True)
    view = re.search(r'viewBox="[^"]*"', svg)
    opening = f'<svg role="img" aria-label="{label}" {view[0] if view else ""} style="--width: {width:.0f}px">'
    svg = re.sub(r"<svg[^>]*>", lambda _: opening, svg, count=1)
    return re.sub(r"\n\s*", "\n", svg).strip()


def png(drawing: Drawing, *, dots_per_inch: int = 100) -> bytes:
    """Paint a figure on white.

    Args:
        drawing: The figure.
        dots_per_inch: Pixels per inch.

    Returns:
        An encoded PNG.
    """
    import matplotlib

    painted = io.BytesIO()
    with _layout_font(), matplotlib.rc_context(_STYLE):
        drawing.figure.savefig(painted, format="png", dpi=dots_per_inch, facecolor="white")
    return painted.getvalue()


@contextmanager
def _layout_font() -> Iterator[None]:
    # The browser writes the text in its own font; matplotlib's lacking a class's script only costs it the width.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _font(found: re.Match[str]) -> str:
    weight = f"font-weight: {found[1].strip()}; " if found[1] else ""
    return f"{weight}font-size: {found[2]}"
