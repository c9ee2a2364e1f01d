"""Change points of a stream: found soon after they came, and not where nothing changed."""

import numpy as np
import pytest

from tfkit.monitoring import Profile, change_points

pytest.importorskip("river", reason="the extra tfkit[stream] is not installed")


def _profile(random: np.random.Generator, count: int, *, light: float = 0.0, bees: float = 0.5, far: float = 0.0):
    given = random.random(count) < bees
    return Profile(
        "image",
        "",
        {"brightness": random.normal(light, 1, count).astype(np.float32)},
        np.stack([~given, given], 1),
        ("ant", "bee"),
        vectors=random.normal(far, 1, (count, 8)).astype(np.float32),
    )


def _joined(*parts: Profile) -> Profile:
    return Profile(
        "image",
        "",
        {"brightness": np.concatenate([part.numbers["brightness"] for part in parts])},
        np.concatenate([part.answers for part in parts]),
        ("ant", "bee"),
        vectors=np.concatenate([part.vectors for part in parts]),
    )


def _found(new: Profile, seed: int = 0):
    reference = _profile(np.random.default_rng(1000 + seed), 400)
    return change_points(reference, new, [f"{place}.jpg" for place in range(new.count)])


def test_a_stream_that_stays_raises_no_alarm() -> None:
    alarms = [_found(_profile(np.random.default_rng(seed), 500), seed) for seed in range(40)]
    assert sum(map(bool, alarms)) <= 1


@pytest.mark.parametrize(
    ("changed", "name"), [({"light": 1.0}, "brightness"), ({"bees": 0.95}, "answer: bee"), ({"far": 1.5}, "features")]
)
def test_what_changed_and_when(changed, name) -> None:
    random = np.random.default_rng(0)
    points = _found(_joined(_profile(random, 300), _profile(random, 300, **changed)))
    point = next(point for point in points if point.name == name)
    assert 300 <= point.noticed < 420 and 200 <= point.began <= point.noticed
    assert point.example == f"{point.began}.jpg" and point.after > point.before


def test_a_change_back_is_a_change_too() -> None:
    random = np.random.default_rng(0)
    parts = (_profile(random, 300), _profile(random, 300, light=2.0), _profile(random, 300))
    points = [point for point in _found(_joined(*parts)) if point.name == "brightness"]
    assert points[0].after > points[0].before and points[-1].noticed >= 600
