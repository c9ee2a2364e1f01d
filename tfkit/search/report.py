"""Write a search's report: report.json for programs, report.html for people."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from tfkit.benchmarking import Host, describe_host
from tfkit.errors import RunError
from tfkit.files import write_whole
from tfkit.reports.drawing import inline_svg
from tfkit.reports.page import template
from tfkit.reports.phrases import date
from tfkit.reports.quantities import counted, file_size, percent
from tfkit.search.figures import MOST_LAYERS, pareto_drawings, sensitivity_drawing
from tfkit.search.result import SearchResult
from tfkit.search.words import described, headline, latency, points, times
from tfkit.version import __version__

_DOCUMENT_VERSION = 2


@dataclass(frozen=True)
class SearchReport:
    """A search with what its report says beside it.

    Attributes:
        name: Of the model.
        result: How it ended.
        created: When, ISO 8601 with its time zone.
        host: The machine that everything was measured on.
    """

    name: str
    result: SearchResult
    created: str
    host: Host


def write_search_report(result: SearchResult, directory: Path, *, name: str) -> Path:
    """Write `report.json` and `report.html`.

    Args:
        result: The search.
        directory: Its folder.
        name: What was searched, such as the model's file name.

    Returns:
        The page's path.

    Raises:
        RunError: When a file cannot be written; what was there before stays whole.
    """
    created = datetime.now(UTC).isoformat(timespec="seconds")
    report = SearchReport(name, result, created, describe_host())
    text = json.dumps(search_document(report), indent=2, ensure_ascii=False, allow_nan=False)
    _write(directory / "report.json", text + "\n")
    _write(directory / "report.html", render_search_page(report))
    return directory / "report.html"


def search_document(report: SearchReport) -> dict[str, object]:
    """Everything in the report as plain JSON values.

    Args:
        report: The search.

    Returns:
        A dict of dicts, lists, strings, numbers, booleans and None only.
    """
    result = report.result
    return {
        "version": _DOCUMENT_VERSION,
        "task": "budget search",
        "accepted": result.accepted is not None,
        "accepted_candidate": result.accepted.name if result.accepted else None,
        "chosen_candidate": result.chosen.name if result.chosen else None,
        "nearest_candidate": result.nearest.name if result.nearest else None,
        "misses": list(result.misses),
        "name": report.name,
        "created": report.created,
        "tfkit_version": __version__,
        "budget": asdict(result.budget),
        "reference": asdict(result.reference),
        "chosen_on": result.chosen_on,
        "candidates": [
            {"name": file.name, "title": file.title, **asdict(file), "within_budget": file.within}
            for file in result.candidates
        ],
        "pareto": [file.name for file in result.pareto],
        "test": None if result.test is None else {**asdict(result.test), "drop": result.test.drop},
        "failed": [{"name": one.variant.name, "title": one.variant.title, **asdict(one)} for one in result.failed],
        "ended": result.ended,
        "sensitivity": [asdict(layer) for layer in result.sensitivity],
        "sensitivity_images": result.sensitivity_images,
        "training": dict(result.training),
        "host": asdict(report.host),
    }


def render_search_page(report: SearchReport) -> str:
    """Write the page.

    Args:
        report: The search.

    Returns:
        HTML with its pictures and styles inside; it names no address.
    """
    result = report.result
    in_float = [layer.name for candidate in result.candidates for layer in candidate.float_layers]
    shown = result.nearest
    return template("search.html.j2").render(
        report=report,
        result=result,
        created=date(report.created),
        tfkit_version=__version__,
        headline=headline(result),
        sentence=described(shown, result) if shown else "",
        tiles=_tiles(result),
        pareto=[Markup(inline_svg(drawing)) for drawing in pareto_drawings(result)],
        sensitivity=Markup(inline_svg(sensitivity_drawing(result.sensitivity, in_float=in_float))),
        ranked=sorted(result.sensitivity, key=lambda layer: -layer.divergence),
        most_layers=MOST_LAYERS,
        in_float=in_float,
        pareto_names={file.name for file in result.pareto},
        latency=latency,
        signed_points=points,
        environment=_environment(report.host),
    )


def _tiles(result: SearchResult) -> list[tuple[str, str, str]]:
    """Title, figure and remark of the few figures to remember."""
    reference, shown = result.reference, result.nearest
    tiles = [
        (
            "Float model",
            percent(reference.accuracy, decimals=2),
            f"{file_size(reference.bytes)} and {latency(reference.latency_ms)} as a float32 file",
        )
    ]
    if shown is None:
        return tiles
    budget = result.budget
    most_bytes = f"; {file_size(budget.max_bytes)} allowed" if budget.max_bytes else ""
    most_time = f"; {budget.max_latency_ms:g} ms allowed" if budget.max_latency_ms else ""
    test = result.test
    accuracy, lost = (
        (shown.accuracy, shown.accuracy - reference.accuracy) if test is None else (test.accuracy, -test.drop)
    )
    where = f"on {result.chosen_on}" if test is None else "on the test images"
    allowed = f"{points(lost)} points; −{100 * budget.max_accuracy_drop:.2f} allowed; {where}"
    return [
        *tiles,
        ("Accuracy", percent(accuracy, decimals=2), allowed),
        ("Size", file_size(shown.bytes), f"{times(reference.bytes, shown.bytes)} smaller{most_bytes}"),
        (
            "Time for one image",
            latency(shown.latency_ms),
            f"{times(reference.latency_ms, shown.latency_ms)} as quick{most_time}",
        ),
    ]


def _environment(host: Host) -> list[tuple[str, str]]:
    return [
        (
            "Processor",
            f"{host.cpu} ({host.instruction_set}), {counted(host.cores, 'core')}; latencies on one thread",
        ),
        ("Memory", f"{host.memory_gib:.1f} GiB"),
        ("Operating system", host.operating_system),
        ("Python", host.python),
        ("Packages", ", ".join(f"{name} {version}" for name, version in host.versions.items())),
    ]


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as fault:
        raise RunError(f"cannot write '{path}': {fault.strerror}", hint="make room, or mend its permissions") from None
