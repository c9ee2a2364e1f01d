"""MODEL_CARD.md."""

import re
from collections.abc import Callable
from dataclasses import replace

from tfkit.reports import RunReport
from tfkit.reports.files import render_model_card

MakeReport = Callable[..., RunReport]
HEADINGS = [
    "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
    "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
]  # fmt: skip


def section(card: str, heading: str) -> str:
    """The text under one heading."""
    return card.split(f"## {heading}\n")[1].split("\n## ")[0]


def test_card_has_the_headings_of_mitchell_et_al_in_order(make_report: MakeReport) -> None:
    assert re.findall(r"^## (.+)$", render_model_card(make_report(12)), re.MULTILINE) == HEADINGS


def test_card_says_what_is_not_known_where_it_belongs(make_report: MakeReport) -> None:
    card = render_model_card(make_report(12))

    for heading in (
        "Model details",
        "Intended use",
        "Factors",
        "Evaluation data",
        "Training data",
        "Ethical considerations",
    ):
        assert "**Not known" in section(card, heading), heading


def test_card_opens_with_the_verdict_and_its_reasons(make_report: MakeReport) -> None:
    opening = render_model_card(make_report(12)).split("## Model details")[0]

    assert "**Refused: 1 of 5 files must not be shipped.**" in opening
    assert "max_accuracy_drop allows 1.00" in opening


def test_card_tables_have_as_many_cells_as_their_heads(make_report: MakeReport) -> None:
    report = make_report(12)
    evaluation = replace(report.evaluation, class_names=("a|b", *report.evaluation.class_names[1:]))
    card = render_model_card(replace(report, evaluation=evaluation))

    tables = re.findall(r"(?:^\|.*\|$\n?)+", card, re.MULTILINE)
    assert len(tables) == 5
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.strip().splitlines()}) == 1


def test_card_without_files_or_limits_does_not_speak_of_them(make_report: MakeReport) -> None:
    card = render_model_card(replace(make_report(12), artifacts=(), policy={}))

    assert "A file is accepted" not in card
    assert "Files:" not in card


def test_card_obeys_nothing_that_stands_in_names(make_report: MakeReport) -> None:
    report = make_report(12)
    odd = ("<script>alert(1)</script>", "![t](http://evil.example/t.png)", "two\n\n# Owned", "`x`|__init__")
    names = (*odd, *report.evaluation.class_names[4:])
    kept = {split: dict(zip(names, counts.values(), strict=True)) for split, counts in report.data["kept"].items()}
    data = {**report.data, "kept": kept, "notes": [f"Only '{name}'." for name in odd]}
    evaluation = replace(report.evaluation, class_names=names)
    card = render_model_card(replace(report, name="x<img src=x>", evaluation=evaluation, data=data))

    for raw in ("<script", "<img", "![t](", "\n# Owned", "[t](", "`x`"):
        assert raw not in card
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in card and r"\`x\`\|\_\_init\_\_" in card
