"""Write a run's report: report.json for programs, report.html and MODEL_CARD.md for people."""

from __future__ import annotations

import json
from pathlib import Path

from tfkit.artifacts import RunDirectory
from tfkit.errors import RunError
from tfkit.files import write_whole
from tfkit.reports.document import report_document
from tfkit.reports.gallery import Misclassified
from tfkit.reports.model_card import render_model_card
from tfkit.reports.page import render_page
from tfkit.reports.run_report import RunReport


def write_run_report(report: RunReport, run: RunDirectory, *, misclassified: Misclassified) -> None:
    """Write `report.json`, `MODEL_CARD.md` and `report.html` into the run's folder.

    Args:
        report: The run.
        run: Where.
        misclassified: Gives uint8 (m, h, w, c) pixels, or m texts, for int64 (m,) positions in the evaluation
            split (`pixels_of`, `texts_of`); asked at most once, for at most 12.

    Raises:
        RunError: When a file cannot be written. What was there before stays whole.

    Example:
        >>> write_run_report(report, run, misclassified=lambda positions: pixels[positions])  # doctest: +SKIP
    """
    document = json.dumps(report_document(report), indent=2, ensure_ascii=False, allow_nan=False)
    _write(run.report_json, document + "\n")
    _write(run.model_card, render_model_card(report))
    _write(run.report, render_page(report, misclassified=misclassified))


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as fault:
        raise RunError(
            f"cannot write '{path}': {fault.strerror}", hint="make room or mend its permissions; the models are kept"
        ) from None
