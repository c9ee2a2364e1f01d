"""A table of who took what: read, checked, and split by user."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from tfkit.arguments import takes_text
from tfkit.data.examples import DataReport, DatasetSplits, LeftOut
from tfkit.data.histories.catalogue import Catalogue, catalogue_of
from tfkit.data.histories.examples import UserExamples
from tfkit.data.histories.shop import shop
from tfkit.data.loading import check_fractions
from tfkit.data.target_kinds.kind import CELLS
from tfkit.data.text.reading import FileSource, TextFormat, read_file
from tfkit.errors import DataError

HistorySource = Literal["csv", "tsv", "jsonl", "shop"]
_SHOWN, _MOST_ITEMS = 10, 20_000  # weights of each item for each other one: 1.6 GB as float32


@dataclass(frozen=True)
class _Event:
    """One row: who took what, and when; rows without a time are in the order of the file."""

    user: str
    item: str
    time: float


@takes_text
def load_history_splits(
    *,
    source: HistorySource,
    directory: Path | None = None,
    ratings: Path | None = None,
    items: Path | None = None,
    user_column: str | int | None = None,
    item_column: str | int | None = None,
    time_column: str | int | None = None,
    rating_column: str | int | None = None,
    min_rating: float | None = None,
    name_column: str | int | None = None,
    text_columns: Sequence[str | int] = (),
    header: bool = True,
    separator: str | None = None,
    encoding: str = "utf-8",
    min_items: int = 5,
    next_fraction: float = 0.2,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
    bad_rows: Literal["error", "skip"] = "error",
) -> DatasetSplits[UserExamples]:
    """Read who took what, and share out the users: nobody who is judged on was learned from.

    Of each user that is judged on, the latest items are to be found from those before (Liang et al. 2018,
    arXiv:1802.05814, section 4: "strong generalization"; there the items are drawn, here the latest are wanted).

    Args:
        source: `csv`, `tsv` or `jsonl`, a row for each time that somebody took something; or `shop`, which is made up.
        directory: Where relative files start.
        ratings: The file of the rows.
        items: A table of the items of the same source; those that nobody took yet are known by their texts. None: what
            occurs in the rows.
        user_column: Its name, or its number from 0; `user`, or 0 without a header.
        item_column: Likewise, `item` or 1; also in the table of items, where it is 0 without a header.
        time_column: A number that grows with time; None: the rows are in order.
        rating_column: A number; None: every row counts.
        min_rating: Rows with a smaller rating do not count.
        name_column: In the table of items: what people call it; None: its key.
        text_columns: In the table of items: what tells of it in words.
        header: Whether the first line of each csv or tsv names the columns.
        separator: One character; None for `,` in csv and a tab in tsv.
        encoding: Of the files.
        min_items: Users with fewer different items are left out.
        next_fraction: Of the items of each user that is judged on, the share that is to be found; one at least.
        validation_fraction: Share of the users on which settings are chosen, in [0, 1).
        test_fraction: Share of the users that the model is judged on, in (0, 1).
        seed: The same seed shares out the same users.
        bad_rows: What a row that cannot be used does: `error` stops with a list of all, `skip` leaves it out.

    Returns:
        The splits; the wanted items of the training split are its histories.

    Raises:
        DataError: When data is missing or damaged, or too little to share out.

    Example:
        >>> splits = load_history_splits(source="shop")
        >>> len(splits.train), len(splits.test), len(splits.test.catalogue)
        (420, 120, 180)
    """
    check_fractions(validation_fraction=validation_fraction, test_fraction=test_fraction)
    if source == "shop":
        catalogue, rows = shop()
        events, notes = [_Event(user, item, place) for place, (user, item) in enumerate(rows)], ["The shop is made up."]
        left_out: list[LeftOut] = []
    else:
        if ratings is None:
            raise DataError(
                f"source {source} needs a table of who took what", hint=f"set data.ratings to a .{source} file"
            )
        root = (directory or Path()).expanduser()
        layout = TextFormat(header=header, separator=separator, encoding=encoding)
        events, left_out = _read_events(
            root / ratings, source, layout,
            (user_column, item_column, time_column, rating_column), min_rating=min_rating, bad_rows=bad_rows,
        )  # fmt: skip
        notes = []
        if items is None:
            keys = dict.fromkeys(event.item for event in events)
            catalogue = catalogue_of([(key, key, "") for key in keys])
        else:
            catalogue, more = _read_items(
                root / items, source, layout, item_column, name_column, text_columns, [one.item for one in events]
            )
            notes += more
    if len(catalogue) > _MOST_ITEMS:
        raise DataError(
            f"there are {len(catalogue):,} items; a weight for each pair of more than {_MOST_ITEMS:,} takes too much "
            "memory", hint="leave out what is hardly ever taken, or keep one kind of items",
        )  # fmt: skip
    histories, few = _histories(events, catalogue, min_items)
    if few:
        notes.append(f"{few:,} users with fewer than {min_items} different items were left out.")
    if len(histories) < _SHOWN:
        raise DataError(
            f"{len(histories)} users are left of {len(histories) + few:,}; 10 are needed at least",
            hint="lower data.min_items or data.min_rating, or bring more rows",
        )
    users = sorted(histories)
    order = np.random.default_rng(seed).permutation(len(users))
    judged = max(1, round(test_fraction * len(users)))
    chosen = max(1, round(validation_fraction * len(users))) if validation_fraction else 0
    parts = {
        "test": [users[place] for place in order[:judged]],
        "validation": [users[place] for place in order[judged : judged + chosen]],
        "train": [users[place] for place in order[judged + chosen :]],
    }
    if not parts["train"]:
        raise DataError(f"no user is left to learn from: there are {len(users)}", hint="lower data.test_fraction")
    splits = {
        name: _examples(part, histories, catalogue, 0.0 if name == "train" else next_fraction)
        for name, part in parts.items()
    }
    notes.append(
        f"{sum(map(len, histories.values())):,} items were taken by {len(users):,} users; of each user that is judged "
        f"on, the latest {100 * next_fraction:g} % are to be found from those before."
    )
    taken = np.asarray(splits["train"].taken().sum(axis=0)).ravel()
    if missing := int((taken == 0).sum()):
        notes.append(f"{missing:,} of {len(catalogue):,} items were taken by no user to learn from.")
    report = DataReport(
        kept={name: splits[name].class_counts() for name in ("train", "validation", "test")},
        left_out=tuple(left_out), duplicates=(), leakage=(), notes=tuple(notes),
        examples={name: len(splits[name]) for name in ("train", "validation", "test")},
    )  # fmt: skip
    return DatasetSplits(splits["train"], splits["validation"], splits["test"], report)


@takes_text
def load_history_examples(
    path: Path,
    catalogue: Catalogue,
    *,
    user_column: str | int | None = None,
    item_column: str | int | None = None,
    time_column: str | int | None = None,
    header: bool = True,
    separator: str | None = None,
    encoding: str = "utf-8",
    next_fraction: float = 0.2,
) -> UserExamples:
    """Read who took what as it is, to judge a model that exists already.

    Args:
        path: A .jsonl, a .csv, or any other file, which is read as tsv is.
        catalogue: The model's items; rows of others are passed over.
        user_column: As for `load_history_splits`, and so are the options that follow.
        item_column: See there.
        time_column: See there.
        header: See there.
        separator: See there.
        encoding: See there.
        next_fraction: See there.

    Raises:
        DataError: When rows cannot be used, or no user has two items of the model.
    """
    sources: dict[str, Literal["csv", "jsonl"]] = {".csv": "csv", ".jsonl": "jsonl"}
    layout = TextFormat(header=header, separator=separator, encoding=encoding)
    events, _ = _read_events(
        path, sources.get(path.suffix.lower(), "tsv"), layout, (user_column, item_column, time_column, None)
    )
    known = set(catalogue.keys)
    histories, _ = _histories([event for event in events if event.item in known], catalogue, 2)
    if not histories:
        raise DataError(f"no user in '{path}' has two items that the model knows", hint="check data.item_column")
    return _examples(sorted(histories), histories, catalogue, next_fraction)


def _read_events(
    path: Path,
    source: FileSource,
    layout: TextFormat,
    columns: tuple[str | int | None, str | int | None, str | int | None, str | int | None],
    *,
    min_rating: float | None = None,
    bad_rows: Literal["error", "skip"] = "error",
) -> tuple[list[_Event], list[LeftOut]]:
    user, item, time, rating = columns
    named = layout.header or source == "jsonl"
    item = item if item is not None else ("item" if named else 1)
    further = [column for column in (time, rating) if column is not None]
    rows, bad = _rows(path, source, layout, user if user is not None else ("user" if named else 0), [item, *further])
    events, total = [], len(rows) + len(bad)
    for place, (name, who, cells) in enumerate(rows):
        numbers, fault = [], "" if who and cells[0] else "its user or its item is empty"
        for cell, column in zip(cells[1:], further, strict=True):
            try:
                numbers.append(float(cell))
            except ValueError:
                fault = fault or f"its {column} is '{cell[:40]}', expected a number"
        if fault:
            bad.append(LeftOut(name, fault))
        elif rating is None or min_rating is None or numbers[-1] >= min_rating:
            events.append(_Event(who, cells[0], numbers[0] if time is not None else float(place)))
    if bad and bad_rows == "error":
        listed = "\n".join(f"  {one.name}: {one.reason}" for one in bad[:_SHOWN])
        more = f"\n  and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise DataError(
            f"{len(bad)} of {total} rows cannot be used:\n{listed}{more}",
            hint="mend or remove them, or leave them out with data.bad_rows=skip",
        )
    return events, bad


def _read_items(
    path: Path,
    source: FileSource,
    layout: TextFormat,
    item_column: str | int | None,
    name_column: str | int | None,
    text_columns: Sequence[str | int],
    taken: Sequence[str],
) -> tuple[Catalogue, list[str]]:
    named = layout.header or source == "jsonl"
    key = item_column if named and item_column is not None else ("item" if named else 0)
    wanted = [*([name_column] if name_column is not None else []), *text_columns]
    rows, bad = _rows(path, source, layout, key, wanted or [key])
    if bad:
        listed = "\n".join(f"  {one.name}: {one.reason}" for one in bad[:_SHOWN])
        raise DataError(f"items cannot be used:\n{listed}", hint="mend or remove these lines")
    found = {
        item: (item, cells[0] if name_column is not None else item, " ".join(cells[len(cells) - len(text_columns) :]))
        for _, item, cells in rows
        if item
    }
    if len(found) < len(rows):
        twice = [item for item, count in Counter(item for _, item, _ in rows).items() if count > 1 or not item]
        raise DataError(
            f"items stand twice or are empty in '{path}': {', '.join(twice[:_SHOWN])}", hint="keep one line"
        )
    unknown = [item for item in dict.fromkeys(taken) if item not in found]
    if len(unknown) == len(set(taken)):
        raise DataError(
            f"no item that was taken stands in '{path}': {unknown[0]!r} is none of {next(iter(found))!r}, …",
            hint="check data.item_column: it names the same column in both tables",
        )
    more = [f"{len(unknown):,} items are not in the table of items, and are known by what is taken alone."]
    return catalogue_of([*found.values(), *((key, key, "") for key in unknown)]), more if unknown else []


def _rows(
    path: Path, source: FileSource, layout: TextFormat, first: str | int, further: Sequence[str | int]
) -> tuple[list[tuple[str, str, list[str]]], list[LeftOut]]:
    """Rows as their place, their first cell and the further ones."""
    wanted = replace(layout, text_column=first, labelled=False, cells=tuple(further))
    reading = read_file(path, source, wanted, as_part="all")["all"]
    bad = [LeftOut(one.name, one.reason.replace("its text", f"its {first}")) for one in reading.bad]
    return [(row.name, row.text, row.label.split(CELLS)) for row in reading.rows], bad


def _histories(events: Sequence[_Event], catalogue: Catalogue, least: int) -> tuple[dict[str, np.ndarray], int]:
    """Each user's items, oldest first, each where it was taken last; and how many users have too few."""
    ids = {key: number for number, key in enumerate(catalogue.keys, start=1)}
    taken: dict[str, dict[int, None]] = {}
    for event in sorted(events, key=lambda one: one.time):
        own = taken.setdefault(event.user, {})
        own.pop(ids[event.item], None)
        own[ids[event.item]] = None
    kept = {user: np.array(list(items), np.int32) for user, items in taken.items() if len(items) >= least}
    return kept, len(taken) - len(kept)


def _examples(
    users: Sequence[str], histories: dict[str, np.ndarray], catalogue: Catalogue, next_fraction: float
) -> UserExamples:
    before, wanted = [], []
    for user in users:
        items = histories[user]
        count = max(1, min(len(items) - 1, round(next_fraction * len(items)))) if next_fraction else 0
        before.append(items[: len(items) - count])
        wanted.append(items[len(items) - count :] if count else items)
    return UserExamples(tuple(before), tuple(wanted), tuple(users), catalogue)
