"""Drift of plain numbers: what differs is found, what does not raises no more alarms than was asked for."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from tfkit.errors import ConfigError, DataError
from tfkit.monitoring import Profile, compare, read_profile, words_of

_NAMES = ("ant", "bee", "cat")


def _profile(
    count: int, seed: int, *, moved: float = 0.0, chances: tuple[float, ...] = (0.5, 0.3, 0.2), word: str = "card"
) -> Profile:
    random = np.random.default_rng(seed)
    texts = [f"my {word} {thing}" for thing in random.choice(["lost", "broken", "late", "new"], count)]
    return Profile(
        "text",
        "model",
        {name: random.normal(moved, 1, count).astype(np.float32) for name in ("words", "confidence")},
        np.eye(3, dtype=bool)[random.choice(3, count, p=chances)],
        _NAMES,
        True,
        random.normal(0, 1, (count, 8)).astype(np.float32),
        tuple(map(words_of, texts)),
    )


def test_alike_sets_raise_no_more_alarms_than_were_asked_for() -> None:
    alarms = [
        compare(_profile(120, 2 * seed), _profile(80, 2 * seed + 1), alpha=0.1, permutations=499).alarm
        for seed in range(100)
    ]
    assert sum(alarms) <= 18  # of 100 with a chance of .1 each, as many are reached once in 150 trials


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"moved": 0.5}, "words"),
        ({"chances": (0.2, 0.3, 0.5)}, "answers"),
        ({"word": "plastic"}, "vocabulary"),
    ],
)
def test_what_differs_is_found_and_named(change: dict[str, object], name: str) -> None:
    found = compare(_profile(400, 0), _profile(300, 1, **change))  # type: ignore[arg-type]
    differing = {shift.name for shift in found.shifts if shift.alarm}
    assert name in differing and found.alarm
    assert differing <= {name, "confidence"}
    for shift in found.shifts:
        assert shift.alarm == (shift.value > shift.threshold), shift
        assert 0 <= shift.p_value <= 1


def test_vectors_that_differ_in_their_spread_alone_are_found() -> None:
    random = np.random.default_rng(0)
    still, wide = (random.normal(0, spread, (300, 8)).astype(np.float32) for spread in (1, 1.4))
    same = np.zeros(300, np.float32)
    profiles = [Profile("image", "", {"brightness": same}, vectors=vectors) for vectors in (still, wide)]
    found = {shift.name: shift for shift in compare(*profiles).shifts}
    assert found["features"].alarm and not found["brightness"].alarm
    assert found["brightness"].value == 0 and found["brightness"].psi == pytest.approx(0)


def test_answers_alone_are_compared_where_nothing_is_measured(tmp_path) -> None:
    random = np.random.default_rng(0)
    first, second = (
        Profile("row", "", {}, np.eye(3, dtype=bool)[random.choice(3, 200, p=chances)], _NAMES)
        for chances in ((0.5, 0.3, 0.2), (0.2, 0.3, 0.5))
    )
    first.save(tmp_path / "first.npz")
    assert [shift.name for shift in compare(read_profile(tmp_path / "first.npz"), second).shifts] == ["answers"]
    assert compare(first, second).alarm


def test_the_largest_difference_of_shares_is_scipys() -> None:
    random = np.random.default_rng(0)
    first, second = (random.integers(0, 9, count).astype(np.float32) for count in (61, 47))  # with ties
    shift = compare(Profile("image", "", {"n": first}), Profile("image", "", {"n": second})).shifts[0]
    assert shift.value == pytest.approx(ks_2samp(first, second).statistic, abs=1e-6)


def test_several_labels_are_compared_one_by_one() -> None:
    random = np.random.default_rng(0)

    def labelled(share: float) -> Profile:
        given = np.stack([random.random(400) < chance for chance in (0.5, share)], 1)
        return Profile("image", "", {"light": np.zeros(400, np.float32)}, given, ("sky", "sea"), exclusive=False)

    answers = next(shift for shift in compare(labelled(0.2), labelled(0.4)).shifts if shift.name == "answers")
    assert answers.alarm and answers.changes[0].name == "sea" and answers.psi is None


def test_a_profile_is_kept_whole(tmp_path) -> None:
    profile = _profile(40, 0)
    profile.save(tmp_path / "reference.npz")
    kept = read_profile(tmp_path / "reference.npz")
    assert kept.words == profile.words and kept.answer_names == _NAMES and kept.count == 40
    assert all(np.array_equal(kept.numbers[name], profile.numbers[name]) for name in profile.numbers)
    assert np.array_equal(kept.answers, profile.answers) and np.array_equal(kept.vectors, profile.vectors)
    assert "broken card my" in kept.words  # words without their order, each once


def test_what_cannot_be_compared_is_told(tmp_path) -> None:
    few, many = _profile(19, 0), _profile(40, 1)
    with pytest.raises(DataError, match="there are 19 texts; at least 20"):
        compare(many, few)
    with pytest.raises(DataError, match="another model"):
        compare(many, Profile("text", "other", many.numbers, many.answers, many.answer_names))
    with pytest.raises(ConfigError, match="alpha is 1e-05"):
        compare(many, many, alpha=1e-5)
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(DataError, match="no drift profile"):
        read_profile(broken)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(DataError, match="no drift profile"):
        read_profile(tmp_path / "other.npz")
    with pytest.raises(DataError, match="cannot be read"):
        read_profile(tmp_path / "missing.npz")
