"""The table of labels that look wrong, and the line about them."""

import csv
from pathlib import Path

import numpy as np

from tfkit.data.suspicious_labels import SuspiciousLabel, SuspiciousLabels
from tfkit.data.text import TextExamples
from tfkit.reports import suspicious_labels_told, write_suspicious_labels

FOUND = tuple(SuspiciousLabel(row, f"train.csv:{row}", "praise", "complaint", 0.02, 0.96) for row in range(5))
TEXTS = ('so, "good"', "bad\nworse", "good", "fine", "=cmd()")


def test_the_table_holds_each_with_its_text(tmp_path: Path) -> None:
    names = tuple(one.name for one in FOUND)
    train = TextExamples(TEXTS, np.zeros(5, np.int32), names, ("praise", "complaint"))
    write_suspicious_labels(SuspiciousLabels(100, FOUND), tmp_path / "table.csv", train)
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == list(TEXTS)
    assert rows[1] | {"text": ""} == {
        "name": "train.csv:1", "text": "", "given": "praise", "likely": "complaint",
        "given_score": "0.0200", "likely_score": "0.9600",
    }  # fmt: skip
    write_suspicious_labels(SuspiciousLabels(100, ()), tmp_path / "none.csv", train)
    assert not (tmp_path / "none.csv").exists()


def test_the_first_are_told_with_the_count() -> None:
    (line,) = suspicious_labels_told(SuspiciousLabels(1234, FOUND), "table.csv")
    assert line.startswith("5 training labels look wrong, of 1,234: train.csv:0 (praise, looks like complaint); ")
    assert line.count("looks like") == 3 and "all are in table.csv" in line
    assert suspicious_labels_told(SuspiciousLabels(1234, FOUND[:1]), "table.csv")[0].startswith(
        "1 training label looks"
    )
    assert suspicious_labels_told(SuspiciousLabels(1234, ()), "table.csv") == ()
    (unsure,) = suspicious_labels_told(SuspiciousLabels(1234, FOUND, agreement=0.79), "table.csv")
    assert unsure.startswith(line) and "agree with only 79 % of all labels" in unsure
    (not_told,) = suspicious_labels_told(SuspiciousLabels(1234, (), agreement=0.3), "table.csv")
    assert not_told.endswith("cannot be told: heads on these features agree with only 30 % of them.")
