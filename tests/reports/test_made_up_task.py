"""A report speaks of a made-up task, how many of each thing there are, in that task's own words and figures."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tfkit.reports import Evaluation, RunReport
from tfkit.reports.files import render_model_card, report_document
from tfkit.reports.page import render_page
from tfkit.tasks import REGRESSION, Decision, Quality
from tfkit.tasks.task import AnswerTable


def right_counts(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The share of examples of which each count is right."""
    return np.asarray((np.round(scores) == labels).mean(axis=0))


def counted_answers(labels: np.ndarray, scores: np.ndarray, names: tuple[str, ...], decision: Decision) -> AnswerTable:
    """A row for each thing that is counted."""
    right = right_counts(labels, scores)
    return AnswerTable(
        title="How often each count is right",
        columns=(("Thing", "text"), ("Counted", "count"), ("Right", "share"), ("Median", "number")),
        rows=tuple(
            (name, float(labels[:, place].sum()), float(right[place]), None) for place, name in enumerate(names)
        ),
        explained="A count is right when it rounds to the true one.",
        output="how many there are of each thing",
        same="gives the same counts",
        bars=("Right", tuple(right.tolist())),
    )


COUNTING = replace(
    REGRESSION,
    title="counting",
    noun="counter",
    metric="right",
    unit="right counts",
    is_share=True,
    figures={"right": "right counts"},
    quality=lambda labels, scores, decision: Quality({"right": float(right_counts(labels, scores).mean())}),
    answers=counted_answers,
)


def test_page_card_and_document_speak_of_counts(make_report: Callable[..., RunReport]) -> None:
    labels = np.array([[1, 2], [3, 0], [2, 2], [0, 1]], np.float32)
    names = tuple(f"shelf_{place}.jpg" for place in range(4))
    scores = labels + np.array([[0.1, 0.9]], np.float32)
    counted = Evaluation(("apples", "pears"), labels, scores, names, asked=COUNTING)
    report = replace(make_report(2), evaluation=counted)
    page = render_page(report, misclassified=lambda chosen: np.zeros((len(chosen), 8, 8, 3), np.uint8))
    assert "How often each count is right" in page and "right counts, on 4 images</div>" in page
    assert ">apples<" in page and ">100.0 %</td>" in page and "Right (%), the weakest first" in page
    card = render_model_card(report)
    assert "how many there are of each thing" in card and "| pears | 5 | 0.0 % | – |" in card
    answers = report_document(report)["per_output"]
    assert answers[0] == {"thing": "apples", "counted": "6", "right": "100.0 %", "median": "–"}
