"""The reports of a run of texts."""

import html as html_text
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from rich.console import Console

from tfkit.artifacts import TextSpec, create_run_directory
from tfkit.data.text import TextExamples, Tokenizer, learn_word_pieces
from tfkit.reports import RunReport, evaluate, result_table, shown_of, write_run_report, write_tensorboard_texts
from tfkit.reports.files import render_model_card, report_document
from tfkit.reports.gallery import quoted
from tfkit.reports.page import render_page

MakeReport = Callable[..., RunReport]
Texts = Callable[[np.ndarray], list[str]]

EXAMPLES = TextExamples(
    texts=("where is my parcel", "my parcel is late", "cancel my order", "please cancel the order"),
    labels=np.array([0, 0, 1, 1], np.int32),
    names=("test.csv:2", "test.csv:3", "test.csv:4", "test.csv:5"),
    class_names=("delivery", "cancel"),
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """A small one, learned from the examples."""
    return learn_word_pieces(EXAMPLES.texts, size=60)


def page_text(html: str) -> str:
    """What a reader sees of a page or is read aloud: its text and its labels, without pictures and styles."""
    labels = " ".join(re.findall(r'(?:aria-label|alt)="([^"]*)"', html))
    body = re.sub(r"<(style|script|svg).*?</\1>", "", html, flags=re.DOTALL)
    told = html_text.unescape(re.sub(r"<[^>]+>", " ", body.replace("<wbr>", "")) + labels)
    return " ".join(told.replace("\N{NO-BREAK SPACE}", " ").split())


def table_text(report: RunReport) -> str:
    """What the terminal shows."""
    console = Console(width=110)
    with console.capture() as capture:
        console.print(result_table(report))
    return capture.get()


@pytest.mark.parametrize("clean", [True, False])
def test_no_sentence_speaks_of_images(make_text_report: MakeReport, texts: Texts, clean: bool) -> None:
    report = make_text_report(77, clean=clean)

    told = {
        "page": page_text(render_page(report, misclassified=texts)),
        "card": render_model_card(report),
        "terminal": table_text(report),
        "document": json.dumps(report_document(report)),
    }

    assert {name: re.findall(r"(?i).{30}(?:image|photo|pixel|camera).{9}", text) for name, text in told.items()} == {
        "page": [], "card": [], "terminal": [], "document": [],
    }  # fmt: skip


def test_page_and_terminal_count_texts(make_text_report: MakeReport, texts: Texts) -> None:
    report = make_text_report(77)
    page = page_text(render_page(report, misclassified=texts))

    assert "texts of at most 32 tokens" in page
    assert "names 1,432 of 1,540 evaluation texts correctly" in page
    assert "1 text lies in two splits at once" in page
    assert "the same answer as Keras on at least 98.0 % of the texts" in page
    assert "Confusion matrix of 77 classes: 1,432 texts of 1540 right" in page
    assert "1,540 evaluation texts" in table_text(report)


def test_mistaken_texts_are_quoted_as_text_and_not_as_markup(make_text_report: MakeReport) -> None:
    asked: list[np.ndarray] = []

    def hostile(positions: np.ndarray) -> list[str]:
        asked.append(positions)
        return [f"<script>alert({position})</script> & so\non" for position in positions]

    html = render_page(make_text_report(77), misclassified=hostile)

    assert [len(positions) for positions in asked] == [12]
    quotations = re.findall(r'<blockquote dir="auto">(.*?)</blockquote>', html)
    assert quotations == [f"&lt;script&gt;alert({at})&lt;/script&gt; &amp; so on" for at in asked[0]]
    assert "<script>alert" not in html
    assert "<img" not in html


def test_quotation_stands_beside_true_and_predicted_class(make_text_report: MakeReport, texts: Texts) -> None:
    report = make_text_report(77)
    worst = report_document(report)["mistakes"][0]

    page = page_text(render_page(report, misclassified=texts))

    predicted, true = f"✗ {worst['predicted']} 100 %", f"is {worst['true']} 0 % {worst['name']}"
    assert f"{quoted(texts([worst['position']])[0])} {predicted} {true}" in page


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("short\tand\n\n simple", "short and simple"),
        ("x" * 200, "x" * 200),
        ("word " * 60, "word " * 38 + "word…"),
        ("字" * 500, "字" * 199 + "…"),
    ],
)
def test_long_texts_are_cut_at_a_space_where_there_is_one(text: str, expected: str) -> None:
    assert quoted(text) == expected
    assert len(quoted(text)) <= 200


def test_long_class_names_may_break_at_underscores(make_text_report: MakeReport, texts: Texts) -> None:
    html = render_page(make_text_report(77), misclassified=texts)

    assert "<td>exchange_<wbr>rate_<wbr>not_<wbr>recognised_<wbr>by_<wbr>the_<wbr>customer</td>" in html


def test_document_tells_length_and_tokeniser(
    make_text_report: MakeReport, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path)
    report = make_text_report(77)

    document = report_document(replace(report, input=TextSpec(32, tmp_path)))

    known = {"sequence_length": 32, "tokenizer": "artifacts/tokenizer", "tokenizer_kind": "word_piece"}
    assert document["model"]["text"] == known
    assert report_document(report)["model"]["text"] == {**known, "tokenizer_kind": None}
    assert set(document["most_confused"][0]) == {"true", "predicted", "texts", "of"}
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_card_says_what_to_feed_and_how(make_text_report: MakeReport, tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    card = render_model_card(replace(make_text_report(77), input=TextSpec(32, tmp_path)))

    assert "texts in UTF-8 of at most 32 tokens" in card
    assert "The tokeniser (word piece) is in `artifacts/tokenizer`" in card
    assert 'tf.saved_model.load("artifacts/saved_model/1")' in card
    assert "`token_ids` and `padding_mask`, int32 (1, 32)" in card
    for table in re.findall(r"(?:^\|.*\|$\n?)+", card, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.strip().splitlines()}) == 1


def test_card_tells_only_of_files_that_were_exported(make_text_report: MakeReport) -> None:
    report = make_text_report(77)
    saved_model, *tflite = report.artifacts

    only_tflite = render_model_card(replace(report, artifacts=tuple(tflite)))
    only_saved_model = render_model_card(replace(report, artifacts=(saved_model,)))

    assert "serving_default" not in only_tflite and "The TFLite files take" in only_tflite
    assert "serving_default" in only_saved_model and "The TFLite files take" not in only_saved_model
    assert "How to use them" not in render_model_card(replace(report, artifacts=()))


def test_text_classifier_is_evaluated_and_its_report_written(
    make_text_report: MakeReport, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    run = create_run_directory(tmp_path / "run")
    tokenizer.save(run.tokenizer)
    spec = TextSpec(8, run.tokenizer)
    ids, mask = (keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask"))
    pooled = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(60, 4)(ids), mask=mask)
    classifier = keras.Model(
        {"token_ids": ids, "padding_mask": mask}, keras.layers.Dense(2, activation="softmax")(pooled)
    )
    classifier.layers[-1].bias.assign([0.0, 50.0])  # always sure that it is the second class

    evaluation = evaluate(classifier, EXAMPLES, spec)
    kept = {split: EXAMPLES.class_counts() for split in ("train", "test")}
    report = replace(make_text_report(77), input=spec, evaluation=evaluation)
    report = replace(report, artifacts=(), data={**report.data, "kept": kept})
    write_run_report(report, run, misclassified=shown_of(EXAMPLES, spec))

    assert (evaluation.scores.shape, evaluation.keras, evaluation.names) == ((4, 2), 0.5, EXAMPLES.names)
    page = page_text(run.report.read_text(encoding="utf-8"))
    assert "where is my parcel ✗ cancel 100 % is delivery 0 % test.csv:2" in page
    assert "with 4 evaluation texts one text more or less moves the accuracy by 25.0 points" in page
    assert json.loads(run.report_json.read_text(encoding="utf-8"))["model"]["text"]["tokenizer_kind"] == "word_piece"


def test_tensorboard_gets_the_confusion_matrix_and_a_table_of_mistakes(
    make_text_report: MakeReport, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    evaluation = make_text_report(77).evaluation
    write_tensorboard_texts(
        tmp_path, evaluation=evaluation, misclassified=lambda chosen: ["a|b <i>c</i>"] * len(chosen), step=3
    )

    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert set(events.Tags()["tensors"]) == {"confusion matrix", "most confident mistakes"}
    (event,) = events.Tensors("most confident mistakes")
    head, _, *rows = event.tensor_proto.string_val[0].decode().splitlines()
    assert (event.step, head, len(rows)) == (3, "text|was called|confidence|is", 16)
    assert all(row.startswith(r"a\|b &lt;i&gt;c&lt;/i&gt;|") for row in rows)
