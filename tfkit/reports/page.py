"""report.html: the run for people, one page that needs nothing else."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from tfkit.errors import printable
from tfkit.reports import quantities
from tfkit.reports.compression_view import compression_view
from tfkit.reports.data_summary import summarize_data
from tfkit.reports.drawing import Drawing, inline_svg
from tfkit.reports.figures import (
    MOST_CLASSES_WITH_NAMES,
    calibration_drawing,
    comparison_drawings,
    confusion_drawing,
    curve_drawings,
)
from tfkit.reports.findings import (
    calibration,
    calibration_error,
    class_scores,
    mistakes,
    most_confused,
)
from tfkit.reports.gallery import Misclassified, exhibits
from tfkit.reports.label_doubts import doubted_labels, unsure_told
from tfkit.reports.overlays import legend, with_parts
from tfkit.reports.phrases import date, environment, limits, tiles, timing, verdict, warnings
from tfkit.reports.run_report import RunReport
from tfkit.reports.task_view import figure_rows, task_view, wrong_answers

if TYPE_CHECKING:
    import jinja2

    from tfkit.reports.forgetting import ForgettingView
    from tfkit.reports.trust import TrustView

MOST_EXHIBITS = 12
_FOLDED = {"most_rows": 20, "most_pairs": 12, "most_names": 10}  # shown before the page folds the rest away


def render_page(report: RunReport, *, misclassified: Misclassified) -> str:
    """Write the page.

    Args:
        report: The run.
        misclassified: Gives uint8 (m, h, w, c) pixels, or m texts, for int64 (m,) positions in the evaluation
            split; asked at most once, for the most confident mistakes.

    Returns:
        HTML with its pictures and styles inside; it names no address.
    """
    evaluation, data = report.evaluation, summarize_data(report.data, noun=report.noun)
    view = task_view(evaluation)
    wrong = mistakes(evaluation) if view is None else wrong_answers(evaluation)
    context: dict[str, object] = {
        "report": report,
        "evaluation": evaluation,
        "created": date(report.created),
        "verdict": verdict(report),
        "warnings": warnings(report, data),
        "tiles": tiles(report),
        "unit": _capital(evaluation.task.unit),
        "limits": limits(report.policy, noun=report.noun, unit=evaluation.task.unit),
        "timing": timing(report),
        "comparisons": _svgs(comparison_drawings(report)),
        "view": view,
        "view_pictures": _svgs(view.drawings) if view else [],
        "figures": figure_rows(evaluation),
        **(_of_classes(report) if view is None else {"numbered_axes": False}),
        "mistakes": wrong,
        "exhibits": exhibits(
            wrong[:MOST_EXHIBITS], with_parts(evaluation, misclassified), report.explanations, report.heat_maps
        ),
        "legend": legend(evaluation),
        "trained": [(stage, _svgs(curve_drawings(stage))) for stage in report.stages if any(stage.history.values())],
        "total_seconds": max(sum(stage.seconds for stage in report.stages), 1e-9),
        "data": data,
        "told_doubts": doubted_labels(report.suspicious_labels),
        "unsure_doubts": unsure_told(looked) if (looked := report.suspicious_labels) and looked.is_unsure else "",
        "forgetting": _forgetting(report),
        "trust": _trust(report),
        "compression": report.compression,
        "shrunk": compression_view(report),
        "environment": environment(report),
        **_FOLDED,
    }
    return template("report.html.j2").render(context)


def _trust(report: RunReport) -> TrustView | None:
    if report.trust is None:
        return None
    from tfkit.reports.trust import trust_view

    return trust_view(report.trust, report.evaluation.task, noun=report.noun)


def _forgetting(report: RunReport) -> ForgettingView | None:
    if report.forgetting is None:
        return None
    from tfkit.reports.forgetting import forgetting_view

    return forgetting_view(report.forgetting, report.evaluation.task, noun=report.noun)


def _of_classes(report: RunReport) -> dict[str, object]:
    """What the sections about classes and confidence show."""
    evaluation, bins = report.evaluation, calibration(report.evaluation)
    return {
        "classes": sorted(class_scores(evaluation), key=lambda row: (row.f1 is None, row.f1 or 0.0)),
        "numbered_axes": len(evaluation.class_names) > MOST_CLASSES_WITH_NAMES,
        "matrix": _svgs((confusion_drawing(evaluation, noun=report.noun),))[0],
        "confused": most_confused(evaluation),
        "sure": bins[-1],
        "calibration_error": calibration_error(bins),
        "reliability": _svgs((calibration_drawing(evaluation, noun=report.noun),))[0],
    }


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def template(name: str) -> jinja2.Template:
    """Load one of the report's templates, with the filters that write quantities.

    Args:
        name: A file in `tfkit/reports/templates`; what `.html.j2` files print is escaped.

    Returns:
        The template.
    """
    import jinja2  # here: commands that write no page do without

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfkit.reports"),
        autoescape=jinja2.select_autoescape(("html.j2",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for write in (
        quantities.count,
        quantities.counted,
        quantities.duration,
        quantities.file_size,
        quantities.milliseconds,
        quantities.percent,
        quantities.points,
        quantities.small_difference,
    ):
        environment.filters[write.__name__] = write
    environment.filters.update(md=markdown, code=_code, glued=_glued, breakable=_breakable)
    return environment.get_template(name)


def _svgs(drawings: tuple[Drawing, ...]) -> list[Markup]:
    # matplotlib has escaped the texts in its SVG; the page must not do so again.
    return [Markup(inline_svg(drawing)) for drawing in drawings]


def markdown(text: object) -> str:
    """A sentence with names out of data in it, as Markdown that shows it and obeys nothing: no link, no HTML."""
    line = html.escape(printable(" ".join(str(text).split())), quote=False)
    odd = r"[\\`*\[\]#|~]+|(?<![^\W_])_+|_+(?![^\W_])"  # underscores within a word mean nothing
    return re.sub(odd, lambda found: re.sub("(.)", r"\\\1", found[0]), line)


def _code(text: object) -> str:
    """A name as a span of code, for tables too; a longer fence holds one with backticks."""
    name = printable(" ".join(str(text).split()))
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", name)), default=0))
    blank = " " if "`" in name else ""
    return f"{fence}{blank}{name}{blank}{fence}".replace("|", "\\|")


def _glued(text: str) -> str:
    """Keep numbers and their units on one line."""
    return re.sub(r"(?<=\d) (?=(?:%|ms|s|min|h|MB|kB|bytes|points?)(?!\w))", "\N{NO-BREAK SPACE}", text)


def _breakable(name: str) -> Markup:
    """Let a long path or class name break after its slashes and underscores, before it breaks inside a word."""
    return escape(name).replace("/", Markup("/<wbr>")).replace("_", Markup("_<wbr>"))
