"""A report speaks of a made-up input, rows of numbers, in that input's own words."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import pytest

from tfkit import inputs
from tfkit.inputs import IMAGES, Prose
from tfkit.reports import RunReport
from tfkit.reports.files import render_model_card, report_document
from tfkit.reports.page import render_page


@dataclass(frozen=True)
class TableSpec:
    """So many columns of numbers."""

    columns: int


TABLES = replace(
    IMAGES,
    spec=TableSpec,
    noun="row",
    told=lambda table: f"{table.columns} numbers",
    explained=lambda table: f"rows of {table.columns} numbers.",
    document=asdict,
    prose=Prose(
        piece="line",
        unclear="odd rows",
        of_none="a row of",
        of_others="rows of",
        made="measured",
        show="hold",
        tell_of="tell of",
        people="in them",
        depends_on="the laboratory.",
        alike="Two measurements of one patient may lie in both.",
    ),
)


def test_page_card_and_document_speak_of_rows(
    make_report: Callable[..., RunReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "INPUTS", (*inputs.INPUTS, TABLES))
    report = replace(make_report(77), input=TableSpec(6))
    page = render_page(report, misclassified=lambda chosen: ["0.25, 0.50"] * len(chosen))
    assert "6 numbers ·" in page and "odd rows" in page and "0.25, 0.50" in page
    card = render_model_card(report)
    assert "| Input | rows of 6 numbers. |" in card and "depends on the laboratory." in card
    assert "who measured and labelled them" in card and "camera" not in card
    assert report_document(report)["model"]["row"] == {"columns": 6}
