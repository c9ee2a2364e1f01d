"""Training labels that are likely wrong: a few lines for the terminal, and the table beside the report."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from tfkit.data import Examples
from tfkit.data.suspicious_labels import SuspiciousLabels
from tfkit.files import write_whole
from tfkit.reports.quantities import counted, percent

_SHOWN = 3


def suspicious_labels_told(looked: SuspiciousLabels, table: str) -> tuple[str, ...]:
    """What was found, or that it cannot be told, in a few lines; none where nothing was.

    Args:
        looked: What was found.
        table: The name of the table that holds all of it.
    """
    if looked.cannot_tell:
        return (unsure_told(looked),)
    if not looked.found:
        return ()
    shown = "; ".join(doubted_labels(looked)[:_SHOWN])
    more = f"; all are in {table}" if len(looked.found) > _SHOWN else f"; see {table}"
    count = counted(len(looked.found), "training label looks", "training labels look")
    unsure = f" {unsure_told(looked)}" if looked.is_unsure else ""
    return (f"{count} wrong, of {looked.examples:,}: {shown}{more}. Nothing was left out or relabelled.{unsure}",)


def unsure_told(looked: SuspiciousLabels) -> str:
    """A sentence for heads that agree with few of the labels."""
    agreed = percent(looked.agreement, decimals=0)
    if looked.cannot_tell:
        return (
            f"Which training labels are wrong cannot be told: heads on these features agree with only {agreed} of them."
        )
    return f"The heads agree with only {agreed} of all labels, so many of these may be hard to tell, not wrong."


def doubted_labels(looked: SuspiciousLabels | None) -> tuple[str, ...]:
    """Each example with its class and the one that it looks like; empty where nobody looked."""
    return tuple(f"{one.name} ({one.given}, looks like {one.likely})" for one in looked.found) if looked else ()


def write_suspicious_labels(looked: SuspiciousLabels, path: Path, train: Examples) -> None:
    """Write all of them as a table; nothing where none was found.

    Args:
        looked: What was found.
        path: A `.csv` file.
        train: The training examples; of texts the table holds the text.
    """
    if not looked.found:
        return
    texts: tuple[str, ...] | None = getattr(train, "texts", None)
    columns = ["name", *(["text"] if texts else []), "given", "likely", "given_score", "likely_score"]
    lines = io.StringIO()
    rows = csv.DictWriter(lines, columns, lineterminator="\n")
    rows.writeheader()
    for one in looked.found:
        scores = {"given_score": f"{one.given_score:.4f}", "likely_score": f"{one.likely_score:.4f}"}
        text = {"text": texts[one.position]} if texts else {}
        rows.writerow({"name": one.name, **text, "given": one.given, "likely": one.likely, **scores})
    write_whole(path, lines.getvalue())
