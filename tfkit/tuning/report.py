"""A sweep's report: report.json for programs, report.html for people."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

from markupsafe import Markup

from tfkit.benchmarking import Host, describe_host
from tfkit.errors import RunError
from tfkit.files import write_whole
from tfkit.reports.drawing import inline_svg
from tfkit.reports.page import template
from tfkit.reports.phrases import date
from tfkit.reports.quantities import counted, points
from tfkit.tuning.figures import history_drawing, importance_drawing
from tfkit.tuning.result import SweepResult
from tfkit.tuning.words import headline, told_value
from tfkit.version import __version__

_DOCUMENT_VERSION = 1


def write_report(result: SweepResult) -> None:
    """Write `report.json` and `report.html` into the sweep's folder.

    Args:
        result: The sweep.

    Raises:
        RunError: When a file cannot be written; what was there before stays whole.
    """
    created, host = datetime.now(UTC).isoformat(timespec="seconds"), describe_host()
    document = {**sweep_document(result), "created": created, "host": asdict(host)}
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    for path, content in (
        (result.report.with_suffix(".json"), text),
        (result.report, render_page(result, created=created, host=host)),
    ):
        try:
            write_whole(path, content)
        except OSError as fault:
            raise RunError(f"cannot write '{path}': {fault.strerror}", hint="make room") from None


def sweep_document(result: SweepResult) -> dict[str, object]:
    """Everything in the report as plain JSON values, but when and where it was made.

    Args:
        result: The sweep.
    """
    best, recipe = result.best, result.recipe
    return {
        "version": _DOCUMENT_VERSION,
        "task": "sweep",
        "name": result.name,
        "tfkit_version": __version__,
        "metric": f"validation_{result.task.metric}",
        "chosen_on": result.chosen_on,
        "best_trial": None if best is None else best.number,
        "best_figure": None if best is None else best.figure,
        "best_values": None if best is None else dict(best.values),
        "recipe_figure": None if recipe is None else recipe.figure,
        "space": dict(result.keys),
        "importance": dict(result.importance),
        "compression_ran": result.compresses,
        "trials_asked_for": result.asked,
        "ended": result.ended,
        "trials": [asdict(trial) for trial in result.trials],
    }


def render_page(result: SweepResult, *, created: str, host: Host) -> str:
    """Write the page.

    Args:
        result: The sweep.
        created: When, ISO 8601 with its time zone.
        host: The machine.

    Returns:
        HTML with its pictures and styles inside; it names no address.
    """
    pictures = [history_drawing(result)] if result.finished else []
    pictures += [importance_drawing(result)] if result.importance else []
    processor = f"{host.cpu} ({host.instruction_set}), {counted(host.cores, 'core')}"
    packages = ", ".join(f"{name} {version}" for name, version in host.versions.items())
    return template("sweep.html.j2").render(
        result=result,
        headline=headline(result),
        created=date(created),
        tfkit_version=__version__,
        pictures=[Markup(inline_svg(picture)) for picture in pictures],
        tiles=_tiles(result),
        told=told_value,
        environment=[("Processor", processor), ("Python", host.python), ("Packages", packages)],
    )


def _tiles(result: SweepResult) -> list[tuple[str, str, str]]:
    """Title, figure and remark of the few figures to remember."""
    best, recipe, task = result.best, result.recipe, result.task
    counts = {state: sum(trial.state == state for trial in result.trials) for state in ("stopped", "failed")}
    told = f"{counts['stopped']} stopped early, {counts['failed']} failed"
    tiles = [("Trials", f"{len(result.trials)} of {result.asked}", told)]
    if best is None or best.figure is None:
        return tiles
    gained = ""
    if recipe is not None and recipe.figure is not None:
        difference = best.figure - recipe.figure
        gained = f"{points(difference)} points" if task.is_share else f"{difference:+.3f}"
        tiles.insert(0, ("The recipe as it is", task.told(recipe.figure), f"on {result.chosen_on}"))
    return [("Best trial", task.told(best.figure), f"number {best.number}{'; ' + gained if gained else ''}"), *tiles]
