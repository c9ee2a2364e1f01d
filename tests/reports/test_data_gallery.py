"""What of a data set the page shows: examples of classes, of doubted labels and of twins; small and escaped."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from tfkit.artifacts import ImageSpec, TextSpec
from tfkit.data import ArraySource, DataReport, DatasetSplits, ImageExamples, LeftOut
from tfkit.data.suspicious_labels import SuspiciousLabel, SuspiciousLabels
from tfkit.data.text import TextExamples
from tfkit.reports import RunReport, data_gallery
from tfkit.reports.page import render_page

CLASSES = tuple(f"class <{number}>" for number in range(10))
DOUBTS = tuple(SuspiciousLabel(row, f"train/{row}<b>.jpg", CLASSES[0], CLASSES[1], 0.1, 0.9) for row in range(3, 23, 2))


def report_of(*leakage: tuple[str, ...]) -> DataReport:
    return DataReport({}, (), (*leakage, ("train/1<b>.jpg", "train/2<b>.jpg")), leakage, (), {})


def photos(split: str, first: int, count: int) -> ImageExamples:
    """Rough photos: what one frequency of waves looks like, in colour."""
    waves = np.sin(np.add.outer(np.arange(224), np.arange(224)) / (3 + np.arange(count)[:, None, None]))
    noise = np.random.default_rng(first).normal(0, 12, (count, 224, 224, 3))
    pixels = np.clip(128 + 90 * waves[..., None] + noise, 0, 255).astype(np.uint8)
    names = tuple(f"{split}/{row}<b>.jpg" for row in range(count))
    return ImageExamples(ArraySource(pixels, channels=3), np.arange(count), np.arange(count) % 10, names, CLASSES)


def test_a_page_of_photos_shows_them_and_stays_small(make_report: Callable[..., RunReport], pixels: Callable) -> None:
    train, test = photos("train", 0, 60), photos("test", 1, 10)
    splits = DatasetSplits(train, test.select(np.arange(0)), test, report_of(("train/5<b>.jpg", "test/3<b>.jpg")))
    shown = data_gallery(splits, ImageSpec(224, 224), SuspiciousLabels(60, DOUBTS))
    assert [name for name, _, _ in shown.classes] == list(CLASSES)
    assert all(count == 6 and len(samples) == 4 for _, count, samples in shown.classes)
    assert [(one.name, one.likely) for one in shown.doubts] == [(one.name, one.likely) for one in DOUBTS]
    assert [[(one.name, one.split) for one in group] for group in shown.leaked] == [
        [("train/5<b>.jpg", "train"), ("test/3<b>.jpg", "test")]
    ]
    assert [[one.name for one in group] for group in shown.twins] == [["train/1<b>.jpg", "train/2<b>.jpg"]]
    plain, stage = make_report(12), make_report(12).stages[-1]
    looked = replace(stage, suspicious_labels=SuspiciousLabels(60, DOUBTS))
    report = replace(plain, data_gallery=shown, stages=(*plain.stages, looked))
    page = render_page(report, misclassified=pixels)
    assert len(page) - len(render_page(plain, misclassified=pixels)) < 800_000 and "<b>.jpg" not in page
    assert page.count("<img src") >= 40 + 10 + 2 + 2 and "train/&lt;wbr&gt;" not in page


def test_texts_are_shown_as_lines(make_text_report: Callable[..., RunReport], texts: Callable) -> None:
    lines = tuple(f"<script>text {row}</script>\n and more" for row in range(30))
    names = tuple(f"train.csv:{row}" for row in range(30))
    train = TextExamples(lines, np.arange(30, dtype=np.int32) % 20, names, tuple(f"intent {row}" for row in range(20)))
    splits = DatasetSplits(train, train.select(np.arange(0)), train.select(np.arange(5)), report_of())
    shown = data_gallery(splits, TextSpec(16, Path()), SuspiciousLabels(30, DOUBTS[:2]))
    assert len(shown.classes) == 12 and shown.of_classes == 20 and not shown.leaked and not shown.twins
    assert shown.doubts[0].quotation == "<script>text 3</script> and more" and not shown.doubts[0].picture
    page = render_page(replace(make_text_report(), data_gallery=shown), misclassified=texts)
    assert "<script>text" not in page and "&lt;script&gt;text 0&lt;/script&gt; and more" in page
    assert "the first 12 of 20 classes" in page


def test_of_what_was_left_out_a_page_shows_what_can_be_seen(
    make_report: Callable[..., RunReport], pixels: Callable, tmp_path: Path
) -> None:
    train = photos("train", 0, 20)
    encoded = io.BytesIO()
    Image.fromarray(train.source.array[0]).save(encoded, format="JPEG")
    half, empty, plain = tmp_path / "half.jpg", tmp_path / "empty.jpg", tmp_path / "plain.png"
    half.write_bytes(encoded.getvalue()[: len(encoded.getvalue()) // 2])
    empty.touch()
    Image.new("RGB", (200, 200)).save(plain)
    left_out = tuple(LeftOut(f"train/<i>{path.name}", "its <data> ends", path) for path in (empty, half, plain))
    account = replace(report_of(), left_out=(*left_out, LeftOut("a record", "nothing to see"), left_out[1]))
    shown = data_gallery(DatasetSplits(train, train, train, account), ImageSpec(224, 224))
    assert [one.name for one in shown.left_out] == ["train/<i>half.jpg"] * 2
    page = render_page(replace(make_report(12), data_gallery=shown), misclassified=pixels)
    assert "its &lt;data&gt; ends" in page and "<i>half" not in page and "left out</h3>" in page


def test_of_numbers_no_classes_are_shown() -> None:
    train = replace(photos("train", 0, 4), labels=np.ones((4, 1), np.float32), class_names=("age",))
    shown = data_gallery(DatasetSplits(train, train, train, report_of()), ImageSpec(224, 224))
    assert not shown.classes and not shown.doubts
