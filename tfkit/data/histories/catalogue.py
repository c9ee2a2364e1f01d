"""The items that a recommender knows: their ids, names and texts."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfkit.errors import DataError, is_printable, printable
from tfkit.files import read_regular_file

NOTHING = "(none)"  # what stands at id 0, which is no item: it fills up short histories
_COLUMNS = ("item", "name", "text")


@dataclass(frozen=True)
class Catalogue:
    """Items in the order of their ids, which begin with 1.

    Attributes:
        keys: What each is called in the data, such as a number.
        names: What it is called for people.
        texts: What is known of it in words; empty where nothing is.

    Example:
        >>> Catalogue(("a7",), ("Green tea",), ("tea, loose, 100 g",)).id_of("Green tea")
        1
    """

    keys: tuple[str, ...]
    names: tuple[str, ...]
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names in the order of a model's scores; the first is no item."""
        return (NOTHING, *self.names)

    def id_of(self, said: str) -> int | None:
        """The id of an item that is named by its key or its name; None for one that is unknown."""
        for known in (self.keys, self.names):
            if said in known:
                return known.index(said) + 1
        return None

    def save(self, path: Path) -> None:
        """Write it as CSV, an item a line: the first is id 1."""
        content = io.StringIO(newline="")
        writer = csv.writer(content, lineterminator="\n")
        writer.writerows([_COLUMNS, *zip(self.keys, self.names, self.texts, strict=True)])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.getvalue(), encoding="utf-8", newline="")


def read_catalogue(path: Path) -> Catalogue:
    """Read what `Catalogue.save` wrote.

    Raises:
        DataError: When it cannot be read, or is no such table.

    Example:
        >>> Catalogue(("a7",), ("Green tea",), ("loose",)).save(Path("items.csv"))
        >>> read_catalogue(Path("items.csv")).names
        ('Green tea',)
    """
    try:
        rows = list(csv.reader(io.StringIO(read_regular_file(path).decode("utf-8"), newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise DataError(f"the table of items '{path}' cannot be read: {fault}") from None
    if not rows or tuple(rows[0]) != _COLUMNS or any(len(row) != len(_COLUMNS) for row in rows):
        raise DataError(f"'{path}' is no table of items: it has no columns {', '.join(_COLUMNS)}")
    return catalogue_of(rows[1:])


def catalogue_of(rows: Sequence[Sequence[str]]) -> Catalogue:
    """A catalogue of rows of key, name and text; of items with one name each gets its key behind it.

    Raises:
        DataError: When a key stands twice, a name is no line of text, or there is no item.
    """
    keys = tuple(row[0] for row in rows)
    if not keys:
        raise DataError("there is no item", hint="check data.items and data.ratings")
    if twice := sorted({key for key in keys if keys.count(key) > 1} if len(set(keys)) < len(keys) else set()):
        raise DataError(f"items stand twice in the table of items: {', '.join(twice[:10])}", hint="keep one line each")
    told = [name.strip() or key for key, name, _ in rows]
    if odd := [printable(f"{key}: {name}") for key, name in zip(keys, told, strict=True) if not is_printable(name)]:
        raise DataError(
            f"names of items hold line breaks or control characters: {', '.join(odd[:10])}",
            hint="clean data.name_column, or leave it out",
        )
    counts = Counter(told)
    names = tuple(
        name if counts[name] == 1 and name != NOTHING else f"{name} ({key})"
        for key, name in zip(keys, told, strict=True)
    )
    return Catalogue(keys, names, tuple(row[2] for row in rows))
