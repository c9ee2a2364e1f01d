"""What to label next: doubtful examples, unlike each other."""

import numpy as np

from tfkit.monitoring import choose_to_label


def _doubtful(seed: int, *, width: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """300 examples of three groups, of which one in ten is unsure; which ones are; and the groups."""
    random = np.random.default_rng(seed)
    groups = random.integers(0, 3, 300)
    vectors = random.normal(0, 0.1, (300, width)).astype(np.float32)
    vectors[np.arange(300), groups] += 3
    unsure = random.random(300) < 0.1
    doubts = np.zeros((300, classes), np.float32)
    doubts[:, 0], doubts[:, 1] = np.where(unsure, -0.5, -0.02), np.where(unsure, 0.5, 0.02)
    return vectors, doubts, np.where(unsure, groups, -1)


def test_unsure_examples_of_every_group_are_chosen() -> None:
    for width, classes in ((8, 3), (600, 77)):  # written out, and projected
        vectors, doubts, groups = _doubtful(0, width=width, classes=classes)
        chosen = choose_to_label(vectors, doubts, count=12)
        assert len(set(chosen.tolist())) == 12
        assert np.mean(groups[chosen] >= 0) >= 0.7, (width, chosen)  # one in ten are unsure
        assert set(groups[chosen]) >= {0, 1, 2}
        assert groups[chosen[0]] >= 0 and np.array_equal(chosen, choose_to_label(vectors, doubts, count=12))


def test_without_scores_unlike_examples_are_chosen() -> None:
    vectors, _, _ = _doubtful(1, width=8, classes=3)
    assert len({int(vectors[place].argmax()) for place in choose_to_label(vectors, count=3)}) == 3


def test_no_example_is_chosen_twice() -> None:
    same = np.ones((30, 4), np.float32)
    assert len(choose_to_label(same, count=5)) == 1
    assert sorted(choose_to_label(np.eye(4, dtype=np.float32), count=9).tolist()) == [0, 1, 2, 3]
