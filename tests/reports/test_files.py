"""Writing the report, and what loading it costs."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfkit.artifacts import create_run_directory
from tfkit.errors import RunError
from tfkit.reports import RunReport, write_run_report

MakeReport = Callable[..., RunReport]
Pixels = Callable[[np.ndarray], np.ndarray]


def test_three_files_are_written(make_report: MakeReport, pixels: Pixels, report_folder: Path) -> None:
    run = create_run_directory(report_folder)

    write_run_report(make_report(12), run, misclassified=pixels)

    written = {file.name for file in report_folder.iterdir()} - {".lock"}
    assert written == {"MODEL_CARD.md", "report.html", "report.json"}
    assert json.loads(run.report_json.read_text())["accepted"] is False


def test_file_that_cannot_be_written_is_a_run_error_and_leaves_nothing_half(
    make_report: MakeReport, pixels: Pixels, report_folder: Path
) -> None:
    run = create_run_directory(report_folder)
    run.report_json.mkdir()

    with pytest.raises(RunError, match=r"cannot write '.*report\.json'"):
        write_run_report(make_report(12), run, misclassified=pixels)

    assert {file.name for file in report_folder.iterdir()} - {".lock"} == {"report.json"}


def test_importing_reports_loads_neither_tensorflow_nor_keras_nor_matplotlib() -> None:
    check = (
        "import sys, tfkit.reports; print(sorted({'tensorflow', 'keras', 'matplotlib', 'sklearn'} & set(sys.modules)))"
    )

    finished = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)

    assert finished.stdout.strip() == "[]"
