"""Tables of texts without personal data, every other column as it was: `tfkit redact`."""

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tfkit.data.text.redacting import Redactor
from tfkit.errors import DataError
from tfkit.files import read_regular_file, write_whole
from tfkit.operations.values import PathLike, TextTable

_KINDS = {".csv": ",", ".tsv": "\t"}
_WANTED = "name a .csv, .tsv, .jsonl or .txt file in UTF-8"


@dataclass(frozen=True)
class RedactedTable:
    """What was found in a table.

    Attributes:
        rows: Texts that were read.
        changed: Those in which anything was found.
        found: How many of each kind.
    """

    rows: int
    changed: int
    found: Counter[str]


def redact(
    source: PathLike,
    output: PathLike,
    *,
    table: TextTable = TextTable(),  # noqa: B008 - a frozen value
    region: str | None = None,
) -> RedactedTable:
    """Write a copy of a table of texts without e-mail addresses, links, phone and account numbers; see `Redactor`.

    Args:
        source: A `.csv` (quoted), `.tsv` (never quoted), `.jsonl`, or `.txt` of a text a line.
        output: The copy, of the same kind; nothing may be there.
        table: Which column holds the texts: `text` when None, or the first one without a header.
        region: The country whose phone numbers are written without `+`.

    Returns:
        What was found.

    Raises:
        ConfigError: When the packages that look for it are not installed.
        DataError: When the table cannot be read, has no such column, or the copy is there already.

    Example:
        >>> tfkit.operations.redact("tickets.csv", "tickets_clean.csv", region="DE").found  # doctest: +SKIP
        Counter({'EMAIL_ADDRESS': 212, 'PHONE_NUMBER': 87, 'IBAN_CODE': 3})
    """
    source, output = Path(source), Path(output)
    if output.exists():
        raise DataError(f"'{output}' exists already", hint="choose another name")
    if output.suffix.lower() != source.suffix.lower():
        raise DataError(f"'{output}' is of another kind than '{source}'", hint=f"let it end in {source.suffix}")
    copying = _Copying(Redactor(region=region))
    content = _content(source)
    suffix = source.suffix.lower()
    if suffix in _KINDS:
        text = copying.table(content, _KINDS[suffix], table, source, quoted=suffix == ".csv")
    elif suffix == ".jsonl":
        text = copying.objects(content, table.text_column or "text", source)
    elif suffix == ".txt":
        text = "".join(copying.redacted(line) for line in content.splitlines(keepends=True))
    else:
        raise DataError(f"'{source}' is no table of texts", hint=_WANTED)
    try:
        write_whole(output, text)
    except OSError as fault:
        raise DataError(f"cannot write '{output}': {fault.strerror or fault}") from None
    return RedactedTable(copying.rows, copying.changed, copying.found)


def _content(source: Path) -> str:
    try:
        return read_regular_file(source).decode("utf-8-sig")
    except OSError as fault:
        raise DataError(f"cannot read '{source}': {fault.strerror}", hint=_WANTED) from None
    except UnicodeDecodeError as fault:
        raise DataError(f"'{source}' is not UTF-8: byte {fault.start} cannot be read", hint=_WANTED) from None


class _Copying:
    def __init__(self, redactor: Redactor) -> None:
        self.redactor = redactor
        self.rows = self.changed = 0
        self.found: Counter[str] = Counter()

    def redacted(self, text: str) -> str:
        told = self.redactor.redact(text)
        self.rows += bool(text.strip())
        self.changed += bool(told.found)
        self.found += told.found
        return told.text

    def table(self, content: str, separator: str, said: TextTable, source: Path, *, quoted: bool) -> str:
        out = io.StringIO()
        rows = _csv_rows(content, source) if quoted else (line.split(separator) for line in content.splitlines())
        writer = csv.writer(out, lineterminator="\r\n" if "\r\n" in content else "\n")
        column: int | None = None
        for number, row in enumerate(rows):
            if column is None:
                column = _column(row, said, source)
                header = said.header is not False
            if row and not (header and number == 0):
                if len(row) <= column:
                    raise DataError(f"row {number + 1} of '{source}' has {len(row)} fields, and no column {column}")
                row[column] = self.redacted(row[column])
            if quoted:
                writer.writerow(row)
            else:
                out.write(separator.join(row) + "\n")
        return out.getvalue()

    def objects(self, content: str, key: str, source: Path) -> str:
        lines = []
        for number, line in enumerate(content.split("\n"), 1):
            if not line.strip():
                continue
            try:
                found = json.loads(line)
            except (ValueError, RecursionError) as fault:
                raise DataError(f"line {number} of '{source}' is not JSON: {fault}") from None
            if not isinstance(found, dict) or not isinstance(found.get(key), str):
                raise DataError(
                    f"line {number} of '{source}' has no text '{key}'", hint="name the column: --text-column"
                )
            lines.append(json.dumps({**found, key: self.redacted(found[key])}, ensure_ascii=False))
        return "".join(f"{line}\n" for line in lines)


def _csv_rows(content: str, source: Path) -> Iterator[list[str]]:
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield from csv.reader(io.StringIO(content, newline=""), strict=True)
    except csv.Error as fault:
        raise DataError(f"'{source}' is not CSV: {fault}") from None
    finally:
        csv.field_size_limit(limit)


def _column(first: list[str], said: TextTable, source: Path) -> int:
    """Where the texts are, by the first row."""
    wanted, named = said.text_column, said.header is not False
    if named:
        wanted = wanted or "text"
        if wanted in (names := [name.strip() for name in first]):
            return names.index(wanted)
    elif wanted is None or wanted.isdecimal():
        return int(wanted or 0)
    if wanted is not None and wanted.isdecimal() and int(wanted) < len(first):
        return int(wanted)
    has = f"it has {', '.join(first)}" if named else "without a header columns are numbers from 0"
    raise DataError(
        f"'{source}' has no column '{wanted}'; {has}", hint="name it with --text-column, or say --no-header"
    )
