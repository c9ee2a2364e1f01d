"""What to reply to each label, and texts that no label fits."""

import csv
from collections.abc import Sequence
from pathlib import Path

from tfkit.data.text.normalizing import replace_unusable
from tfkit.errors import DataError
from tfkit.files import read_regular_file

_BUILT_IN = Path(__file__).parent / "built_in"
BUILT_IN_ANSWERS = _BUILT_IN / "answers_small.csv"
BUILT_IN_OUT_OF_SCOPE = _BUILT_IN / "out_of_scope_small.txt"


def read_answers(path: Path, class_names: Sequence[str]) -> dict[str, str]:
    """Read what is replied to each label.

    Args:
        path: A CSV in UTF-8 with the columns `label` and `answer`.
        class_names: The labels there are; each may have one answer.

    Returns:
        Answers by label, in the order of the file.

    Raises:
        DataError: When the file cannot be read, or a row names no label, one twice, or has no answer; tells all rows.

    Example:
        >>> read_answers(Path("answers.csv"), splits.class_names)["refund_status"]  # doctest: +SKIP
        'Refunds are paid within five working days ...'
    """
    rows = list(csv.DictReader(_read(path, "answers").splitlines()))
    if not rows or not {"label", "answer"} <= set(rows[0]):
        found = ", ".join(rows[0]) if rows else "nothing"
        raise DataError(f"'{path}' must have the columns label and answer; it has {found}")
    answers: dict[str, str] = {}
    faults = []
    for number, row in enumerate(rows, start=2):
        label, answer = ((row[name] or "").strip() for name in ("label", "answer"))
        if label not in class_names:
            faults.append(f"  {path.name}:{number}: '{label}' is none of the {len(class_names)} labels")
        elif label in answers:
            faults.append(f"  {path.name}:{number}: '{label}' has an answer already")
        elif not answer:
            faults.append(f"  {path.name}:{number}: '{label}' has no answer")
        answers[label] = answer
    if faults:
        raise DataError("the answers cannot be used:\n" + "\n".join(faults), hint="mend search.answers")
    return answers


def read_lines(path: Path) -> tuple[str, ...]:
    """Read texts of one line each, such as those that no label fits.

    Raises:
        DataError: When the file cannot be read, or holds no text.
    """
    lines = tuple(replace_unusable(line).strip() for line in _read(path, "texts").splitlines() if line.strip())
    if not lines:
        raise DataError(f"there is no text in '{path}'", hint="one text a line, in UTF-8")
    return lines


def _read(path: Path, what: str) -> str:
    try:
        return read_regular_file(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8 text"
        raise DataError(f"cannot read the {what} '{path}': {reason}", hint="name a file in UTF-8") from None
