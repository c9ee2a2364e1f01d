"""Streams of texts: lines that are read once, windows that close, and what is unusual in them."""

import json
from pathlib import Path

import numpy as np
import pytest

from tfkit.errors import DataError
from tfkit.monitoring import Alarm, Feed, Fields, Line, Tally, Watch, Window, parsed

HOUR = 3600.0


def line(time: object, text: str = "my parcel") -> Line:
    told = parsed(json.dumps({"text": text, "time": time}).encode(), Fields())
    assert isinstance(told, Line)
    return told


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"{", "it is no JSON"),
        (b"[1]", "it is no JSON object"),
        (b"[" * 100_000, "it is no JSON"),
        (b'{"text": "a"}', "it has no field 'time'; it has text"),
        (b'{"text": 3, "time": 3}', "its field 'text' is no text"),
        (b'{"text": "  ", "time": 3}', "its field 'text' is no text"),
        (b'{"text": "a", "time": "soon"}', "its field 'time' is 'soon', no time such as 2026-11-30T10:00:00Z"),
        (b'{"text": "a", "time": 1796032800000}', "its field 'time' is 1.79603e+12: milliseconds?"),
        (b'{"text": "a", "time": NaN}', "its field 'time' is neither a time nor seconds since 1970"),
        (b'{"text": "a", "time": true}', "its field 'time' is neither a time nor seconds since 1970"),
        (b"{" + b" " * (1 << 20) + b"}", "it has 1,048,578 bytes; at most 1,048,576 are read"),
    ],
)
def test_lines_of_no_use_are_told_in_words(raw: bytes, told: str) -> None:
    found = parsed(raw, Fields())
    assert isinstance(found, str) and found.startswith(told)


def test_times_are_of_utc_unless_they_say_another_zone() -> None:
    times = ("2026-11-30T10:00:00", "2026-11-30T10:00:00Z", "2026-11-30T11:00:00+01:00", 1796032800)
    assert {line(time).time for time in times} == {1796032800.0}
    keyed = [parsed(json.dumps({"t": "a", "at": 1, "id": key}).encode(), Fields("t", "at", "id")) for key in (7, 8)]
    assert isinstance(keyed[0], Line) and isinstance(keyed[1], Line) and keyed[0].key != keyed[1].key
    assert isinstance(parsed(rb'{"text": "half a letter \ud800", "time": 1}', Fields()), Line)


def test_a_file_is_read_on_where_one_stopped(tmp_path: Path) -> None:
    file = tmp_path / "chats.jsonl"
    file.write_bytes(b"one\ntwo\nthr")
    feed = Feed(file)
    assert list(feed.lines(ended=False)) == [b"one\n", b"two\n"]
    with file.open("ab") as more:
        more.write(b"ee\n")
    again = Feed(file, places=feed.places)
    assert list(again.lines(ended=False)) == [b"three\n"] and list(again.lines(ended=True)) == []
    file.write_bytes(b"new\n")  # a log that was begun anew is shorter
    assert list(again.lines(ended=True)) == [b"new\n"]


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_bytes(b"2\n")
    (tmp_path / "a.jsonl").write_bytes(b"1")
    (tmp_path / "a.txt").write_bytes(b"0\n")
    feed = Feed(tmp_path)
    assert list(feed.lines(ended=True)) == [b"1", b"2\n"] and feed.places == {"a.jsonl": 1, "b.jsonl": 2}
    with pytest.raises(DataError, match="there is no"):
        Feed(tmp_path / "c.jsonl")


def counted(tally: Tally, lines: list[Line]) -> None:
    for one in lines:
        if tally.is_new(one):
            tally.count(one, ["parcel"], "")


def test_windows_close_when_nothing_more_is_expected() -> None:
    tally = Tally(HOUR, 600.0)
    counted(tally, [line(10), line(20), line(10), line(HOUR + 500), line(3599)])
    assert tally.close() == [] and (tally.repeated, tally.late, tally.counted) == (1, 0, 4), "10 minutes are waited for"
    counted(tally, [line(HOUR + 601), line(30)])
    assert tally.close() == [Window(0, 3, {"parcel": {"": 3}})] and tally.late == 1
    counted(tally, [line(4 * HOUR)])
    assert [window.number for window in tally.close(ended=True)] == [1, 2, 3, 4]
    assert tally.closed[2] == Window(2) and tally.keys == {}


def test_a_text_is_late_by_the_lines_before_it_alone() -> None:
    """Not by when windows were closed: a monitor that was killed reads on in other batches."""
    lines = [line(10), line(2 * HOUR), line(20, "late"), line(10), line(2 * HOUR + 1), line(9 * HOUR), line(2 * HOUR)]
    once, often = Tally(HOUR, 600.0), Tally(HOUR, 600.0)
    counted(once, lines)
    once.close()
    for one in lines:
        counted(often, [one])
        often.close()
        often = Tally.from_json(json.loads(json.dumps(often.to_json())))
    assert once.to_json() == often.to_json() and once.late == 3 and once.counted == 4


Counts = dict[str, dict[str, int]]


def windows(counts: list[Counts]) -> list[Window]:
    totals = [sum(sum(moods.values()) for moods in topics.values()) for topics in counts]
    return [Window(number, total, topics) for number, (total, topics) in enumerate(zip(totals, counts, strict=True))]


def alarms(counts: list[Counts], *, season: int = 1) -> list[Alarm]:
    pytest.importorskip("river", reason="the extra tfkit[stream] is not installed")
    watch = Watch(0.001, season, ("fees", "parcel"), ("bad", "good"))
    return [alarm for window in windows(counts) for alarm in watch.look(window)]


def drawn(random: np.random.Generator, fees: float, parcel: float, bad: float = 0.3) -> Counts:
    told = {}
    for topic, mean in (("fees", fees), ("parcel", parcel)):
        count = int(random.poisson(mean))
        told[topic] = {"bad": (worse := int(random.binomial(count, bad))), "good": count - worse}
    return told


def test_streams_that_stay_raise_few_alarms() -> None:
    found = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        found.append(alarms([drawn(random, 8, 20) for _ in range(60)]))
    assert sum(map(bool, found)) <= 3  # 1,200 windows, of which one in a thousand may have one


def test_a_spike_is_found_in_its_window_and_does_not_become_usual() -> None:
    random = np.random.default_rng(0)
    counts = [drawn(random, 8, 20) for _ in range(40)]
    counts[30], counts[34] = drawn(random, 60, 20), drawn(random, 60, 20)
    found = [(alarm.window, alarm.topic) for alarm in alarms(counts) if alarm.kind == "spike" and alarm.topic]
    assert {(30, "fees"), (34, "fees")} <= set(found) and {topic for _, topic in found} == {"fees"}


def test_a_share_that_changes_for_good_is_found() -> None:
    random = np.random.default_rng(0)
    counts = [drawn(random, 20, 20) for _ in range(40)] + [drawn(random, 20, 20, bad=0.8) for _ in range(40)]
    changes = [alarm for alarm in alarms(counts) if alarm.kind == "change"]
    assert {alarm.mood for alarm in changes} <= {"bad", "good"} and changes[0].window >= 40
    bad = next(alarm for alarm in changes if alarm.mood == "bad")
    assert bad.value > bad.usual and bad.window < 55


def test_the_same_hour_of_other_days_is_what_is_usual() -> None:
    random = np.random.default_rng(0)
    days = [drawn(random, 40 if hour == 9 else 2, 5) for _ in range(14) for hour in range(24)]
    spikes = [alarm for alarm in alarms(days, season=24) if alarm.kind == "spike"]
    assert len(spikes) <= 2
    days[13 * 24 + 3] = drawn(random, 40, 5)
    assert any(alarm.window == 13 * 24 + 3 for alarm in alarms(days, season=24) if alarm.kind == "spike")


def test_alarms_are_the_same_after_a_restart() -> None:
    pytest.importorskip("river", reason="the extra tfkit[stream] is not installed")
    random = np.random.default_rng(1)
    made = windows([drawn(random, 8, 20) for _ in range(30)] + [drawn(random, 40, 20) for _ in range(30)])
    whole = Watch(0.001, 1, ("fees", "parcel"), ("bad", "good"))
    expected = [whole.look(window) for window in made]
    again = Watch(0.001, 1, ("fees", "parcel"), ("bad", "good"))
    for window in made[:35]:
        again.look(window)
    assert [again.look(window) for window in made[35:]] == expected[35:] and any(expected)
