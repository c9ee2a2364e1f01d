"""report.html."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tfkit.data.suspicious_labels import SuspiciousLabel, SuspiciousLabels
from tfkit.reports import RunReport, StageSummary
from tfkit.reports.page import render_page

MakeReport = Callable[..., RunReport]
Pixels = Callable[[np.ndarray], np.ndarray]
VOID = {"meta", "img", "br", "wbr", "link", "input", "hr"}


class Page(HTMLParser):
    """Reads a page: attributes of all elements, text, and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += " " + data.replace("\N{NO-BREAK SPACE}", " ")


def render(report: RunReport, pixels: Pixels) -> Page:
    """Render, read, and join the text's spaces."""
    page = Page(render_page(report, misclassified=pixels))
    page.text = " ".join(page.text.split())
    return page


def test_verdict_and_its_reasons_come_before_everything_else(make_report: MakeReport, pixels: Pixels) -> None:
    text = render(make_report(12), pixels).text.split("tfkit run report")[1]

    verdict = text.index("Refused: 1 of 5 files must not be shipped")
    assert verdict < text.index("max_accuracy_drop allows 1.00") < text.index("The exported files")
    assert "The smallest accepted file is artifacts/model_int8.tflite" in text


def test_accepted_run_says_so(make_report: MakeReport, pixels: Pixels) -> None:
    text = render(make_report(2, clean=True), pixels).text

    assert "Accepted: all 4 files answer as the trained model does" in text
    assert "refused" not in text.replace("Refused files are hatched", "")


@pytest.mark.parametrize("classes", [2, 12, 100])
def test_page_is_one_small_well_formed_file_that_names_no_address(
    make_report: MakeReport, pixels: Pixels, classes: int
) -> None:
    html = render_page(make_report(classes), misclassified=pixels)
    page = Page(html)

    assert len(html.encode()) < 1_000_000
    assert not page.open
    without_pictures = re.sub(r"data:image/[a-z]+;base64,[\w+/=\s]+", "", html)
    assert not re.findall(r"https?:|//[a-z]|url\((?!#)|@import", without_pictures)
    links = [value or "" for name, value in page.attributes if name in {"src", "href", "xlink:href"}]
    assert all(link.startswith(("#", "data:image/")) for link in links)
    ids = Counter(value for name, value in page.attributes if name == "id")
    assert not [name for name, times in ids.items() if times > 1]
    assert all(link[1:] in ids for link in links if link.startswith("#"))


def test_at_most_twelve_mistakes_are_shown_and_their_pixels_asked_once(make_report: MakeReport, pixels: Pixels) -> None:
    asked: list[np.ndarray] = []

    def recorded(positions: np.ndarray) -> np.ndarray:
        asked.append(positions)
        return pixels(positions)

    page = render(make_report(100), recorded)

    assert [len(positions) for positions in asked] == [12]
    assert sum(name == "alt" for name, _ in page.attributes) == 12


def test_hundred_classes_are_a_heat_map_with_a_table_of_confused_pairs(make_report: MakeReport, pixels: Pixels) -> None:
    page = render(make_report(100), pixels)

    matrix = next(value for name, value in page.attributes if name == "aria-label" and "Confusion" in (value or ""))
    assert "100 classes" in (matrix or "")
    assert "Most often confused Is was called Images Of the class species" in page.text
    assert "The other 80 classes" in page.text


def test_perfect_run_has_no_mistakes_to_show(make_report: MakeReport) -> None:
    def never(positions: np.ndarray) -> np.ndarray:
        raise AssertionError("no pixels are needed")

    text = render(make_report(12, accuracy=1.0), never).text

    assert "None: every one of the 240 evaluation images was named correctly" in text
    assert "Most often confused" not in text


def test_run_without_export_or_control_has_a_page(make_report: MakeReport, pixels: Pixels) -> None:
    text = render(replace(make_report(12), artifacts=(), control=None), pixels).text

    assert "Trained; no file was exported" in text
    assert "The exported files" not in text
    assert "Gained by transfer" not in text


def test_files_without_latency_or_labels_show_dashes(make_report: MakeReport, pixels: Pixels) -> None:
    report = make_report(12)
    unmeasured: Mapping[str, None] = dict.fromkeys(
        ("quality", "agreement", "max_difference", "mean_difference", "latency_ms_p50", "latency_ms_p95")
    )
    files = tuple(replace(file, **unmeasured) for file in report.artifacts)

    text = render(replace(report, artifacts=files), pixels).text

    assert "SavedModel artifacts/saved_model/1 11.2 MB – – – – – – – ✓ accepted" in text
    assert "Time for one image" not in text


def test_hostile_names_are_text_not_markup(make_report: MakeReport, pixels: Pixels) -> None:
    report = make_report(12)
    evil = "<script>alert(1)</script> $x_2 & 日本"
    evaluation = replace(report.evaluation, class_names=(evil, *report.evaluation.class_names[1:]))
    kept = {split: {evil if name == "bluebell" else name: n for name, n in counts.items()}
            for split, counts in report.data["kept"].items()}  # fmt: skip
    report = replace(report, name=evil, recipe_yaml=evil, evaluation=evaluation, data={**report.data, "kept": kept})

    html = render_page(report, misclassified=pixels)

    assert "<script>alert" not in html
    assert not Page(html).open


def test_reader_is_warned_of_leakage_and_of_few_images(make_report: MakeReport, pixels: Pixels) -> None:
    report = make_report(12)
    few = replace(
        report.evaluation,
        labels=report.evaluation.labels[::6],
        scores=report.evaluation.scores[::6],
        names=report.evaluation.names[::6],
    )

    text = render(replace(report, evaluation=few), pixels).text

    assert "Mind: 1 image lies in two splits at once" in text
    assert "one image more or less moves the accuracy by 2.5 points" in text


def test_tiny_grey_pictures_are_shown_pixel_by_pixel(make_report: MakeReport) -> None:
    html = render_page(make_report(12), misclassified=lambda positions: np.zeros((len(positions), 8, 8, 1), np.uint8))

    assert 'class="pixels"' in html
    assert "data:image/png;base64," in html
    assert "data:image/jpeg" not in html


def test_one_epoch_without_validation_still_has_curves(make_report: MakeReport, pixels: Pixels) -> None:
    stage = StageSummary("head", "Train the head", 3.0, {"loss": [0.7], "accuracy": [0.8]})

    page = render(replace(make_report(12), stages=(stage,)), pixels)

    assert ("aria-label", "Train the head: loss over 1 epoch; training ends at 0.7") in page.attributes


def test_drawing_leaves_the_callers_matplotlib_as_it_was(make_report: MakeReport, pixels: Pixels) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    render_page(make_report(2), misclassified=pixels)

    assert dict(matplotlib.rcParams) == before


def test_gain_by_transfer_compares_what_differs_in_the_backbone_only(make_report: MakeReport, pixels: Pixels) -> None:
    text = render(make_report(12), pixels).text
    assert "+56.0" in text
    assert "the head on the frozen backbone 87.0 %, the same head on a random backbone 31.0 %" in text


def test_labels_that_look_wrong_are_listed(make_report: MakeReport, pixels: Pixels) -> None:
    report = make_report(12)

    def told(*found: SuspiciousLabel, agreement: float = 0.95) -> str:
        looked = SuspiciousLabels(700, found, ("daisy",), agreement)
        stages = (*report.stages, StageSummary("head", "Train the head", 1.0, suspicious_labels=looked))
        return render(replace(report, stages=stages), pixels).text

    one = SuspiciousLabel(3, "train/<b>/5.jpg", "pansy", "iris", 0.01, 0.95)
    text = told(one)
    assert "train/<b>/5.jpg (pansy, looks like iris)" in text and "suspicious_labels.csv" in text
    assert "fewer than twenty images: daisy" in text
    assert "agree with only 70 % of all labels" in told(one, agreement=0.7) and "agree with" not in text
    assert "cannot be told" in told(agreement=0.3) and "None of" not in told(agreement=0.3)
    assert "None of 700 labels looks wrong" in told() and "look wrong" not in render(report, pixels).text
