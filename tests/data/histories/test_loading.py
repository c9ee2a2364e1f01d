"""Tables of who took what: read in any layout, split by user, and refused with every fault named."""

from pathlib import Path

import numpy as np
import pytest

from tfkit.data.histories import load_history_examples, load_history_splits
from tfkit.errors import DataError


def _ratings(folder: Path, *, users: int = 20, items: int = 12, header: bool = True, separator: str = ",") -> Path:
    """User u takes items u, u+1, ... modulo `items`, six of them; lines are shuffled and times tell the order."""
    rows = [
        [f"u{user}", f"i{(user + step) % items}", str(3 + step % 3), str(100 * user + step)]
        for user in range(users)
        for step in range(6)
    ]
    random = np.random.default_rng(0)
    lines = [separator.join(rows[place]) for place in random.permutation(len(rows))]
    path = folder / "ratings.csv"
    path.write_text("\n".join(([separator.join(["user", "item", "rating", "time"])] if header else []) + lines) + "\n")
    return path


def _items(folder: Path, *, items: int = 14) -> Path:
    path = folder / "items.csv"
    rows = [f'i{number},Item {number},"blue, number {number}"' for number in range(items)]
    path.write_text("\n".join(["item,name,text", *rows]) + "\n")
    return path


def test_the_latest_items_are_to_be_found_and_no_user_is_in_two_splits(tmp_path: Path) -> None:
    splits = load_history_splits(
        source="csv", ratings=_ratings(tmp_path), items=_items(tmp_path), time_column="time", name_column="name",
        text_columns=("text",), next_fraction=0.34,
    )  # fmt: skip
    parts = (splits.train, splits.validation, splits.test)
    assert [len(part) for part in parts] == [14, 2, 4]
    assert len({name for part in parts for name in part.names}) == 20
    catalogue = splits.train.catalogue
    assert len(catalogue) == 14 and catalogue.texts[3] == "blue, number 3", "items that nobody took are known too"
    for name, history, wanted in zip(splits.test.names, splits.test.histories, splits.test.wanted, strict=True):
        user = int(name[1:])
        assert [catalogue.names[item - 1] for item in [*history, *wanted]] == [
            f"Item {(user + step) % 12}" for step in range(6)
        ]
        assert len(wanted) == 2
    assert splits.test.labels.shape == (4, 15) and (splits.test.labels.sum(axis=1) == 2).all()
    again = load_history_splits(source="csv", ratings=_ratings(tmp_path), time_column="time", seed=1)
    assert set(again.test.names) != set(splits.test.names)
    assert any("2 of 14 items were taken by no user" in note for note in splits.report.notes)


def test_columns_by_number_and_jsonl_say_the_same(tmp_path: Path) -> None:
    named = load_history_splits(source="csv", ratings=_ratings(tmp_path), time_column="time")
    bare = load_history_splits(
        source="tsv", ratings=_ratings(tmp_path, header=False, separator="\t"), header=False, time_column=3
    )
    lines = [line.split("\t") for line in (tmp_path / "ratings.csv").read_text().splitlines()]
    (tmp_path / "ratings.jsonl").write_text(
        "\n".join(f'{{"user": "{user}", "item": "{item}", "time": {time}.5}}' for user, item, _, time in lines)
    )
    objects = load_history_splits(source="jsonl", ratings=tmp_path / "ratings.jsonl", time_column="time")
    for other in (bare, objects):
        assert other.test.names == named.test.names
        assert [history.tolist() for history in other.test.histories] == [
            [other.test.catalogue.id_of(named.test.class_names[item]) for item in history]
            for history in named.test.histories
        ]


def test_ratings_below_the_least_do_not_count(tmp_path: Path) -> None:
    splits = load_history_splits(
        source="csv", ratings=_ratings(tmp_path), time_column="time", rating_column="rating", min_rating=4, min_items=2
    )
    assert all(
        len(history) + len(wanted) == 4
        for history, wanted in zip(splits.test.histories, splits.test.wanted, strict=True)
    )


def test_every_bad_row_is_named(tmp_path: Path) -> None:
    path = _ratings(tmp_path)
    path.write_text(path.read_text() + "u1,i1,4,yesterday\nu1,,4,7\n,i1,4,7\n")
    with pytest.raises(DataError, match="3 of 123 rows cannot be used") as told:
        load_history_splits(source="csv", ratings=path, time_column="time")
    assert "its time is 'yesterday', expected a number" in str(told.value)
    assert "its user or its item is empty" in str(told.value) and "its user is empty" in str(told.value)
    splits = load_history_splits(source="csv", ratings=path, time_column="time", bad_rows="skip")
    assert len(splits.report.left_out) == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ratings": None}, "needs a table of who took what"),
        ({"min_items": 7}, "0 users are left of 20; 10 are needed"),
        ({"ratings": Path("missing.csv")}, "does not exist"),
        ({"user_column": "who"}, "has no column 'who'"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    given = {"source": "csv", "ratings": _ratings(tmp_path), "time_column": "time"} | changes
    with pytest.raises(DataError, match=words):
        load_history_splits(**given)  # type: ignore[arg-type]


def test_tables_of_items_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    ratings, items = _ratings(tmp_path), _items(tmp_path)
    items.write_text(items.read_text() + "i1,Another,red\n")
    with pytest.raises(DataError, match=r"items stand twice or are empty in .*: i1"):
        load_history_splits(source="csv", ratings=ratings, items=items)
    items.write_text("item,name,text\nx1,Other,red\n")
    with pytest.raises(DataError, match="no item that was taken stands in"):
        load_history_splits(source="csv", ratings=ratings, items=items)
    items.write_text("item,name,text\ni1,Known,red\n")
    splits = load_history_splits(source="csv", ratings=ratings, items=items, name_column="name")
    assert splits.train.catalogue.names[0] == "Known" and len(splits.train.catalogue) == 12
    assert any("11 items are not in the table" in note for note in splits.report.notes)


def test_new_rows_are_read_for_a_model_that_exists(tmp_path: Path) -> None:
    catalogue = load_history_splits(source="csv", ratings=_ratings(tmp_path), time_column="time").train.catalogue
    new = tmp_path / "new.csv"
    new.write_text("user,item\nann,i1\nann,i2\nann,unheard\nbob,i3\n")
    users = load_history_examples(new, catalogue)
    assert users.names == ("ann",) and users.texts == ("i1",)
    assert users.labels[0].nonzero()[0].tolist() == [catalogue.id_of("i2")]
    new.write_text("user,item\nbob,i3\n")
    with pytest.raises(DataError, match=r"no user .* has two items"):
        load_history_examples(new, catalogue)


def test_names_of_items_are_lines_of_text_and_each_its_own(tmp_path: Path) -> None:
    ratings, items = _ratings(tmp_path), tmp_path / "items.csv"
    rows = ["i0,Same", "i1,Same", "i2,", "i3,(none)"] + [f"i{number},Item {number}" for number in range(4, 12)]
    items.write_text("\n".join(["item,name", *rows]) + "\n")
    given = {"source": "csv", "ratings": ratings, "items": items, "name_column": "name"}
    names = load_history_splits(**given).train.catalogue.names  # type: ignore[arg-type]
    assert names[:4] == ("Same (i0)", "Same (i1)", "i2", "(none) (i3)") and len(set(names)) == 12
    items.write_text(items.read_text() + 'x,"two\nlines"\n')
    with pytest.raises(DataError, match="names of items hold line breaks or control characters: x: two"):
        load_history_splits(**given)  # type: ignore[arg-type]


def test_a_model_sees_the_latest_items_of_a_long_history(tmp_path: Path) -> None:
    users = load_history_splits(source="csv", ratings=_ratings(tmp_path), time_column="time").test
    assert [history.tolist() for history in users.latest(2).histories] == [
        history[-2:].tolist() for history in users.histories
    ]
    assert users.ids(2).tolist() == [history[-2:].tolist() for history in users.histories]
    assert users.latest(2).names == users.names and (users.latest(2).labels == users.labels).all()
