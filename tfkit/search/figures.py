"""The search's figures: accuracy against size and speed, and what each layer's rounding costs."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict

from tfkit.reports.drawing import BAD, GOOD, INK, MUTED, ON_COLOUR, Drawing, drawing_style
from tfkit.reports.quantities import file_size, percent
from tfkit.search.result import LayerSensitivity, SearchResult
from tfkit.search.words import latency

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LAYERS = 24
_WIDE = 20  # times the smallest: then the axis is logarithmic
# Of the names beside the dots, in points.
_LETTER_POINTS, _HALF_LINE, _STEP_POINTS, _BESIDE_POINTS = 4.7, 5.5, 4.0, 11.0
_NEAR_STEPS = 7  # so many steps away from its dot a name may stand
_BOLD = 1.15  # how much wider bold letters are

_Box = tuple[float, float, float, float]  # left, right, bottom, top, in points


@dataclass(frozen=True)
class _Dot:
    name: str
    x: float
    y: float
    kind: str  # float, chosen, accepted or refused
    named: bool = True
    below: bool = False  # the axis ends above it: it is drawn at the edge, as an arrow


def pareto_drawings(result: SearchResult) -> tuple[Drawing, ...]:
    """Draw every file's accuracy against its size and against its latency, with the budget as lines.

    Args:
        result: The search.

    Returns:
        Two figures; the shaded corner is the budget.
    """
    budget, reference = result.budget, result.reference
    kilobytes = [candidate.bytes / 1e3 for candidate in result.candidates]
    times = [candidate.latency_ms for candidate in result.candidates]
    most_bytes = None if budget.max_bytes is None else budget.max_bytes / 1e3
    told = [file_size(candidate.bytes) for candidate in result.candidates]
    timed = [latency(candidate.latency_ms) for candidate in result.candidates]
    return (
        _pareto(result, "Accuracy against size", "size (kB)", kilobytes, reference.bytes / 1e3, most_bytes, told),
        _pareto(
            result, "Accuracy against speed", "ms an image", times, reference.latency_ms, budget.max_latency_ms, timed
        ),
    )


def sensitivity_drawing(sensitivity: Sequence[LayerSensitivity], *, in_float: Sequence[str] = ()) -> Drawing:
    """Draw what rounding each layer alone does to the answers, the most sensitive first.

    Args:
        sensitivity: The layers; the first 24 are drawn.
        in_float: Names of those that the selective file leaves in float: orange and hatched.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    ranked = sorted(sensitivity, key=lambda layer: -layer.divergence)[:MOST_LAYERS]
    with drawing_style():
        figure = Figure(figsize=(6.4, 0.9 + 0.25 * len(ranked)), layout="constrained")
        axes = figure.add_subplot()
        for row, layer in enumerate(ranked):
            colour, hatch = (BAD, "////") if layer.name in in_float else (GOOD, None)
            axes.barh(
                row, 1e3 * layer.divergence, height=0.6, color=colour, hatch=hatch, edgecolor=ON_COLOUR, linewidth=0
            )
            text = f"{1e3 * layer.divergence:.3g}"
            axes.annotate(
                text, (1e3 * layer.divergence, row), (5, 0), textcoords="offset points", va="center", fontsize=8
            )
        axes.set_yticks(range(len(ranked)), [_shortened(layer.name) for layer in ranked], color=INK, fontsize=8)
        axes.set_ylim(len(ranked) - 0.4, -0.6)
        axes.set_xlim(0, 1.14 * max((1e3 * layer.divergence for layer in ranked), default=1.0) or 1.0)
        axes.tick_params(axis="y", length=0)
        axes.grid(True, axis="x")
        axes.set_xlabel("KL divergence of the answers from the float model's (thousandths of a nat)")
        axes.set_title("What rounding one layer alone does")
    worst = ", ".join(f"{layer.name} {1e3 * layer.divergence:.3g}" for layer in ranked[:3])
    return Drawing(
        figure, f"KL divergence of {len(ranked)} layers rounded one at a time, in thousandths; first {worst}"
    )


def _pareto(
    result: SearchResult,
    title: str,
    axis: str,
    values: Sequence[float],
    float_value: float,
    most: float | None,
    told: Sequence[str],
) -> Drawing:
    from matplotlib.figure import Figure

    dots = [_Dot("float32", float_value, 100 * result.reference.accuracy, "float")]
    front = _front([(value, file.accuracy) for value, file in zip(values, result.candidates, strict=True)])
    for place, (candidate, value) in enumerate(zip(result.candidates, values, strict=True)):
        kind = "chosen" if candidate is result.chosen else "accepted" if candidate.within else "refused"
        dots.append(
            _Dot(candidate.title, value, 100 * candidate.accuracy, kind, named=kind == "chosen" or place in front)
        )
    least = 100 * (result.reference.accuracy - result.budget.max_accuracy_drop)
    with drawing_style():
        figure = Figure(figsize=(5.3, 3.7), layout="constrained")
        axes = figure.add_subplot()
        most_x, least_x = max(dot.x for dot in dots), min(dot.x for dot in dots)
        wide = least_x > 0 and most_x > _WIDE * least_x
        left, right = (least_x / 1.6, most_x * 1.6) if wide else (0.0, 1.12 * most_x)
        if wide:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
        high = max(dot.y for dot in dots)
        # A file far below the rest would press the rest together; it is an arrow at the lower edge.
        low = max(min(least, *(dot.y for dot in dots)), high - 4 * max(high - least, 2.5))
        dots = [dot if dot.y >= low else replace(dot, y=low, below=True, named=False) for dot in dots]
        room = max(high - low, 0.5)
        axes.set_xlim(left, right)
        axes.set_ylim(low - 0.22 * room, high + 0.22 * room)
        axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= 100])
        _budget_lines(axes, least=least, most=most, left=left, right=right)
        _stairs(axes, [dots[1 + place] for place in front], right=right)
        _dots(axes, dots)
        axes.grid(True)
        axes.set(xlabel=axis, ylabel="accuracy (%)")
        axes.set_title(title)
        _labels(figure, axes, dots, front=front, least=least, most=most)
    said = ", ".join(
        f"{candidate.title} {percent(candidate.accuracy, decimals=2)} at {text}"
        for candidate, text in zip(result.candidates, told, strict=True)
    )
    return Drawing(figure, f"{title}; float32 {percent(result.reference.accuracy, decimals=2)}, {said}")


def _budget_lines(axes: "Axes", *, least: float, most: float | None, left: float, right: float) -> None:
    from matplotlib.patches import Rectangle

    top = axes.get_ylim()[1]
    width = max(0.0, (right if most is None else min(most, right)) - left)
    axes.add_patch(Rectangle((left, least), width, top - least, facecolor=GOOD, alpha=0.09, linewidth=0, zorder=0))
    axes.axhline(least, color=GOOD, linewidth=1.1, linestyle=(0, (4, 2)))
    if most is not None and most <= right:
        axes.axvline(most, color=GOOD, linewidth=1.1, linestyle=(0, (4, 2)))


def _front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The places of the points that no other beats in both (less of the first, more of the second), the least first."""
    front: list[int] = []
    for place in sorted(range(len(points)), key=lambda place: (points[place][0], -points[place][1])):
        if not front or points[place][1] > points[front[-1]][1]:
            front.append(place)
    return front


def _stairs(axes: "Axes", front: Sequence[_Dot], *, right: float) -> None:
    if front:
        axes.step(
            [*(dot.x for dot in front), right],
            [*(dot.y for dot in front), front[-1].y],
            where="post",
            color=MUTED,
            linewidth=1.1,
            zorder=2,
        )


class _Look(TypedDict):
    marker: str
    s: float
    facecolor: str


def _dots(axes: "Axes", dots: Sequence[_Dot]) -> None:
    looks: dict[str, _Look] = {
        "float": {"marker": "s", "s": 44, "facecolor": MUTED},
        "accepted": {"marker": "o", "s": 48, "facecolor": GOOD},
        "chosen": {"marker": "o", "s": 74, "facecolor": GOOD},
        "refused": {"marker": "X", "s": 58, "facecolor": BAD},
    }
    for dot in dots:
        look = looks[dot.kind]
        if dot.below:
            look = {**look, "marker": "v"}
        axes.scatter([dot.x], [dot.y], zorder=3, linewidth=0, clip_on=False, **look)
        if dot.kind == "chosen":
            axes.scatter(
                [dot.x], [dot.y], s=210, facecolor="none", edgecolor=GOOD, linewidth=1.4, zorder=3, clip_on=False
            )


def _labels(
    figure: "Figure", axes: "Axes", dots: Sequence[_Dot], *, front: Sequence[int], least: float, most: float | None
) -> None:
    """Names near the dots, where they touch no dot, no other name, no step of the stairs and no limit.

    One that has no such place is left out, but for the chosen file's: the table names them all.
    """
    figure.draw_without_rendering()  # only then is the axes' size known
    scale = 72 / figure.dpi
    left, right, bottom, top = (scale * edge for edge in axes.get_window_extent().get_points().T.ravel())
    places = [tuple(scale * place for place in axes.transData.transform((dot.x, dot.y))) for dot in dots]
    upright, level = (scale * place for place in axes.transData.transform((most or axes.get_xlim()[0], least)))
    taken = [(x - 7, x + 7, y - 6, y + 6) for x, y in places]
    taken += [(left, right, level - 1, level + 1), (upright - 1, upright + 1, bottom, top)]
    taken += _steps([places[1 + place] for place in front], right=right)
    placed = sorted(zip(dots, places, strict=True), key=lambda pair: pair[0].kind not in ("chosen", "float"))
    for dot, (x, y) in placed:
        if not dot.named:
            continue
        width = _LETTER_POINTS * len(_shortened(dot.name)) * (_BOLD if dot.kind == "chosen" else 1)
        starts = [x + _BESIDE_POINTS, x - _BESIDE_POINTS - width]
        starts += [min(max(x - width / 2, left), right - width)]  # long ones fit on no side
        far = (60, [upright + _HALF_LINE, left, right - width]) if dot.kind == "chosen" else (_NEAR_STEPS, [])
        found = _free_place(y, width, [*starts, *far[1]], taken, frame=(left, right, bottom, top), steps=far[0])
        if found is None:
            continue
        start, height = found
        taken.append((start, start + width, height - _HALF_LINE, height + _HALF_LINE))
        colour = {"float": INK, "chosen": GOOD, "accepted": GOOD, "refused": BAD}[dot.kind]
        axes.annotate(
            _shortened(dot.name),
            (dot.x, dot.y),
            (start - x if start > x else start + width - x, height - y),
            textcoords="offset points",
            va="center",
            ha="left" if start > x else "right",
            color=colour,
            fontsize=8,
            fontweight="bold" if dot.kind == "chosen" else "normal",
            annotation_clip=False,
            # A thin line leads to a name that does not stand right beside its dot.
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.6,
                "shrinkA": 1,
                "shrinkB": 4,
                "relpos": (0.0 if start > x else 1.0, 0.5),
            }
            if abs(height - y) > _HALF_LINE or start > x + 2 * _BESIDE_POINTS or start + width < x - 2 * _BESIDE_POINTS
            else None,
        )


def _steps(corners: Sequence[tuple[float, float]], *, right: float) -> list[_Box]:
    """The lines of the stairs through some points, as boxes."""
    ends = [*(x for x, _ in corners[1:]), right]
    level = [(x, end, y - 1, y + 1) for (x, y), end in zip(corners, ends, strict=True)]
    pairs = itertools.pairwise(corners)
    return level + [(x - 0.4, x + 0.4, min(low, high), max(low, high)) for (_, low), (x, high) in pairs]


def _free_place(
    y: float, width: float, starts: Sequence[float], taken: Sequence[_Box], *, frame: _Box, steps: int
) -> tuple[float, float] | None:
    """Where a name of a width begins, and its height: the free place nearest to a dot at height y; None for none."""
    left, right, bottom, top = frame
    for step in range(steps):
        for height in {y + _STEP_POINTS * step: None, y - _STEP_POINTS * step: None}:
            for start in starts:
                box = (start, start + width, height - _HALF_LINE, height + _HALF_LINE)
                inside = left <= box[0] and box[1] <= right and bottom <= box[2] and box[3] <= top
                if inside and not any(_overlap(box, other) for other in taken):
                    return start, height
    return None


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def _shortened(name: str, length: int = 46) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"
