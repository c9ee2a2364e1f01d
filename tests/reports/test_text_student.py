"""What the reports tell about a text classifier that was made smaller."""

import html as html_text
import json
import re
from collections.abc import Callable
from dataclasses import replace

from tfkit.reports import Compression, RunReport
from tfkit.reports.files import render_model_card, report_document
from tfkit.reports.page import render_page
from tfkit.reports.quantities import MISSING, milliseconds
from tfkit.stages import TransformerPruning, TransformerSize

PRUNING = TransformerPruning(
    before=TransformerSize(6, 12, 1536, 22_600_000, 345_000_000),
    after=TransformerSize(3, 10, 1024, 16_300_000, 120_000_000),
    kept_layers=("transformer_layer_0", "transformer_layer_2", "transformer_layer_5"),
    drop="even",
    criterion="loss",
    latency_ms_before=2.9,
    bytes_before=23_200_000,
)


def student(report: RunReport) -> RunReport:
    return replace(report, compression=Compression(teacher="the run's own float model", transformer=PRUNING))


def told_by(html: str) -> str:
    told = html_text.unescape(re.sub(r"<[^>]+>", " ", html)).replace("\N{NO-BREAK SPACE}", " ")
    return " ".join(told.split())


def test_page_sets_what_is_left_beside_what_was_there(make_text_report: Callable[..., RunReport], texts) -> None:
    report = student(make_text_report(77))
    page = told_by(render_page(report, misclassified=texts))

    assert "Layers 6 3 50 %" in page
    assert "Attention heads in a layer 12 10 83 %" in page
    assert "Feed-forward neurons in a layer 1,536 1,024 67 %" in page
    assert "The layers that stayed are transformer_layer_0, transformer_layer_2, transformer_layer_5" in page
    file = next((file for file in report.artifacts if file.quantization == "dynamic_int8"), None)
    assert file is not None
    assert told_by(f"{milliseconds(2.9)} {milliseconds(file.latency_ms_p50)} ") in page
    assert "Taught by the run's own float model" in page


def test_a_file_that_was_not_made_leaves_its_places_empty(make_text_report: Callable[..., RunReport], texts) -> None:
    report = student(replace(make_text_report(77), artifacts=()))
    page = told_by(render_page(report, misclassified=texts))
    assert told_by(f"Time for one text, dynamic int8 file {milliseconds(2.9)} {MISSING} {MISSING}") in page


def test_card_and_document_tell_of_it(make_text_report: Callable[..., RunReport]) -> None:
    report = student(make_text_report(77))
    assert "3 of 6 layers, 10 of 12 heads in each, 1024 of 1536 feed-forward neurons in each stay" in render_model_card(
        report
    )
    document = report_document(report)["compression"]["transformer"]
    assert document["after"]["layers"] == 3 and json.loads(json.dumps(document)) == document
