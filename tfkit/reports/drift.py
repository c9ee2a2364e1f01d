"""Drift for people and for programs: rows of a table, a page, a JSON document, and metrics for Prometheus."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from tfkit.errors import DataError
from tfkit.files import write_whole
from tfkit.monitoring import Change, Drift, Histogram, Shift
from tfkit.reports.drawing import BAD, GOOD, Drawing, drawing_style, inline_svg
from tfkit.reports.metrics_text import metric_family
from tfkit.reports.page import template
from tfkit.reports.phrases import date
from tfkit.reports.quantities import counted, percent
from tfkit.version import __version__

_DOCUMENT_VERSION = 1


@dataclass(frozen=True)
class DriftRow:
    """One thing that was compared, in words.

    Attributes:
        name: What.
        reference: Of the reference: a median, or nothing.
        new: Of the new examples.
        value: The statistic.
        threshold: What it must exceed.
        p_value: Of it.
        psi: Population stability index, or nothing.
        changes: Which classes, labels or words changed most; empty where there are none.
        alarm: Whether it differs.
    """

    name: str
    reference: str
    new: str
    value: str
    threshold: str
    p_value: str
    psi: str
    changes: str
    alarm: bool


def drift_rows(drift: Drift) -> tuple[DriftRow, ...]:
    """What was compared, the surest difference first.

    Args:
        drift: The comparison.
    """
    return tuple(map(_row, drift.comparison.shifts))


def _row(shift: Shift) -> DriftRow:
    reference, new = (f"{median:.3g}" for median in shift.medians) if shift.medians else ("", "")
    return DriftRow(
        shift.name,
        reference,
        new,
        f"{shift.statistic} {shift.value:.3f}",
        f"{shift.threshold:.3f}",
        f"{shift.p_value:.2g}" if shift.p_value >= 0.001 else "<0.001",
        "" if shift.psi is None else f"{shift.psi:.2f}",
        ", ".join(map(_told, shift.changes)),
        shift.alarm,
    )


def _told(change: Change) -> str:
    return f"{change.name}: {100 * change.reference:.0f} → {percent(change.new, decimals=0)}"


def change_notes(drift: Drift) -> list[str]:
    """Where a stream changed, a sentence for each change; nothing where no order was told.

    Args:
        drift: The comparison.
    """
    if drift.points is None:
        return []
    if not drift.points:
        return [f"nothing changed on the way through the new {drift.noun}s"]
    return [
        f"{point.name} changed at new {drift.noun} {point.began + 1:,} ('{point.example}'): {point.before:.3g} before, "
        f"{point.after:.3g} after; sure at {drift.noun} {point.noticed + 1:,}"
        for point in drift.points
    ]


def drift_headline(drift: Drift) -> str:
    """What came of it, in a sentence.

    Args:
        drift: The comparison.
    """
    compared, noun = drift.comparison, drift.noun
    sizes = f"{counted(compared.new, f'new {noun}')} against {compared.reference} of {drift.reference}"
    names = [shift.name for shift in compared.shifts if shift.alarm]
    if not names and drift.points:
        changed = ", ".join(dict.fromkeys(point.name for point in drift.points))
        return f"drift: {changed} changed on the way ({sizes})"
    if not names:
        return f"no drift found: {sizes}"
    return f"drift: {', '.join(names)} {'differs' if len(names) == 1 else 'differ'} ({sizes})"


def drift_document(drift: Drift) -> dict[str, object]:
    """Everything that was found as plain JSON values.

    Args:
        drift: The comparison.
    """
    return {
        "version": _DOCUMENT_VERSION,
        "tfkit_version": __version__,
        "alarm": drift.alarm,
        "headline": drift_headline(drift),
        "model": str(drift.model),
        "noun": drift.noun,
        "compared_with": drift.reference,
        "reference": drift.comparison.reference,
        "new": drift.comparison.new,
        "alpha": drift.comparison.alpha,
        "shifts": [asdict(shift) for shift in drift.comparison.shifts],
        "change_points": None if drift.points is None else [asdict(point) for point in drift.points],
        "left_out": [{"name": left.name, "reason": left.reason} for left in drift.left_out],
        "notes": list(drift.notes),
    }


def write_drift_metrics(drift: Drift, path: Path, *, run: str) -> None:
    """Write what was found for Prometheus, whole or not at all.

    Source: the text format of https://prometheus.io/docs/instrumenting/exposition_formats, as node_exporter's
    textfile collector reads it.

    Args:
        drift: The comparison.
        path: The file, whose name ends in `.prom` for node_exporter.
        run: The model's name, a label of every metric.

    Raises:
        DataError: When it cannot be written.
    """
    _write(path, "\n".join(_metric_lines(drift, run)) + "\n")


def _metric_lines(drift: Drift, run: str) -> Iterator[str]:
    compared, shifts = drift.comparison, drift.comparison.shifts
    answers = next((shift.changes for shift in shifts if shift.name == "answers"), ())
    families: tuple[tuple[str, str, list[tuple[dict[str, str], float]]], ...] = (
        ("alarm", "Whether new inputs differ from the reference", [({}, float(drift.alarm))]),
        ("differs", "Whether one thing differs", [({"of": one.name}, float(one.alarm)) for one in shifts]),
        ("distance", "How far the new inputs are", [(_kind(one), one.value) for one in shifts]),
        ("distance_threshold", "What the distance must exceed", [(_kind(one), one.threshold) for one in shifts]),
        ("p_value", "Of the distance, all comparisons together", [({"of": one.name}, one.p_value) for one in shifts]),
        (
            "stability_index",
            "Population stability index",
            [({"of": one.name}, one.psi) for one in shifts if one.psi is not None],
        ),
        (
            "answer_share",
            "Share of the new inputs with an answer, of the answers that changed most",
            [({"answer": change.name}, change.new) for change in answers],
        ),
        ("inputs", "New inputs that were compared", [({}, compared.new)]),
        ("inputs_unreadable", "New inputs that could not be read", [({}, len(drift.left_out))]),
        ("timestamp_seconds", "When it was compared", [({}, round(time.time()))]),
    )
    for name, told, samples in families:
        named = [({"model": run, **labels}, value) for labels, value in samples]
        yield from metric_family(f"tfkit_drift_{name}", told, named)


def _kind(shift: Shift) -> dict[str, str]:
    return {"of": shift.name, "statistic": shift.statistic}


def write_drift_page(drift: Drift, path: Path, *, run: str) -> None:
    """Write what was found as a page that needs nothing else.

    Args:
        drift: The comparison.
        path: The `.html` file.
        run: The model's name.

    Raises:
        DataError: When it cannot be written.
    """
    created = datetime.now(UTC).isoformat(timespec="seconds")
    drawn = [shift for shift in drift.comparison.shifts if shift.histogram is not None]
    page = template("drift.html.j2").render(
        run=run,
        drift=drift,
        rows=drift_rows(drift),
        headline=drift_headline(drift),
        changes=change_notes(drift),
        created=date(created),
        pictures=[Markup(inline_svg(_drawing(shift, shift.histogram))) for shift in drawn if shift.histogram],
        tfkit_version=__version__,
    )
    _write(path, page)


def _drawing(shift: Shift, histogram: Histogram) -> Drawing:
    from matplotlib.figure import Figure

    with drawing_style():
        figure = Figure(figsize=(3.7, 2.1), layout="constrained")
        axes = figure.subplots()
        for shares, colour, name in ((histogram.reference, GOOD, "reference"), (histogram.new, BAD, "new")):
            percents = [100 * share for share in shares]
            axes.stairs(percents, histogram.edges, color=colour, linewidth=1.6, label=name)
            axes.stairs(percents, histogram.edges, color=colour, fill=True, alpha=0.15)
        axes.set_ylabel("%")
        axes.set_title(f"{shift.name}{': differs' if shift.alarm else ''}")
        axes.legend(frameon=False)
    return Drawing(figure, f"How often each {shift.name} occurs: reference and new")


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as fault:
        raise DataError(f"cannot write '{path}': {fault.strerror or fault}") from None
