"""How far figures can be trusted: each statement is checked on answers whose truth is known."""

import numpy as np
import pytest

from tfkit.errors import DataError
from tfkit.reports.findings import Evaluation
from tfkit.reports.trust import covering, group_rows, intervals_of, trust_in, trust_view
from tfkit.tasks import CLASSIFICATION


def _answers(count: int, *, seed: int, classes: int = 2, sharper: float = 1.0) -> Evaluation:
    """A model that knows the chances, and tells them as they are or too sharply."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (count, classes))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([random.choice(classes, p=row) for row in chances], np.int32)
    told = np.exp(sharper * logits) / np.exp(sharper * logits).sum(1, keepdims=True)
    names = tuple(f"{place}.png" for place in range(count))
    return Evaluation(tuple("abcde"[:classes]), labels, told.astype(np.float32), names)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    truth = {one.name: one.value for one in intervals_of(_answers(40_000, seed=0), resamples=2)}
    held = {name: 0 for name in truth}
    for seed in range(1, 41):
        for one in intervals_of(_answers(300, seed=seed), resamples=200):
            held[one.name] += one.low <= truth[one.name] <= one.high
    assert set(truth) == {"accuracy", "sensitivity", "specificity", "roc_auc"}
    assert all(34 <= count <= 40 for count in held.values()), held


def test_a_temperature_mends_scores_that_are_too_sure() -> None:
    told = trust_in(_answers(3000, seed=0, sharper=3.0), _answers(3000, seed=1, sharper=3.0))
    assert told.temperature == pytest.approx(3.0, rel=0.15)
    assert told.error_before > 0.08 > 0.03 > told.error_after
    right = trust_in(_answers(3000, seed=0), None)
    assert right.temperature is None and "without a validation split" in right.notes[0]


@pytest.mark.parametrize("asked", [0.8, 0.95])
def test_sets_hold_the_class_as_often_as_asked(asked: float) -> None:
    pytest.importorskip("mapie", reason="the extra tfkit[trust] is not installed")
    found = covering(_answers(4000, seed=0, classes=5), _answers(2000, seed=1, classes=5), asked)
    assert found.reached == pytest.approx(asked, abs=0.03)
    assert 1 <= found.size <= 5 and 0 < found.single < 1
    assert found.luck > 0.001


def test_a_test_split_of_another_kind_is_told() -> None:
    """Sets for 90 % held 71 % of X-rays from elsewhere, and the report said so without a warning."""
    pytest.importorskip("mapie", reason="the extra tfkit[trust] is not installed")
    alike, other = _answers(300, seed=0, classes=2), _answers(200, seed=1, classes=2)
    scores = other.scores.copy()
    scores[:60] = np.eye(2)[1 - other.labels[:60]]  # sure and wrong
    other = Evaluation(other.class_names, other.labels, scores, other.names)
    told = trust_in(other, alike, coverage=0.9)
    assert told.coverage is not None and told.coverage.luck < 0.001
    assert "of another kind than the validation images" in trust_view(told, CLASSIFICATION, noun="image").coverage
    honest = [covering(_answers(200, seed=s, classes=3), _answers(150, seed=s + 50, classes=3), 0.9) for s in range(40)]
    assert min(one.luck for one in honest) > 0.001


def test_groups_are_told_apart(tmp_path) -> None:
    pytest.importorskip("fairlearn", reason="the extra tfkit[trust] is not installed")
    evaluation = _answers(400, seed=0)
    wrong = np.arange(400) % 4 == 0
    scores = evaluation.scores.copy()
    scores[:] = np.eye(2)[evaluation.labels]
    scores[wrong] = scores[wrong][:, ::-1]
    evaluation = Evaluation(evaluation.class_names, evaluation.labels, scores, evaluation.names)
    table = tmp_path / "groups.csv"
    rows = [f"{name},{'old' if wrong[place] else 'young'},x" for place, name in enumerate(evaluation.names[:395])]
    table.write_text("name,age,clinic\n" + "\n".join(rows) + "\n396.png,rare,x\n")
    found = {(row.attribute, row.group): row for row in group_rows(evaluation, table)}
    assert found["age", "old"].figures["accuracy"] == 0.0 and found["age", "young"].figures["accuracy"] == 1.0
    assert found["age", "rare"].examples == 1 and found["age", "rare"].figures["accuracy"] is None
    assert found["clinic", "x"].examples == 396


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("name\n1.png\n", "tells no groups"),
        ("name,sex\nother.png,f\n", "names no evaluation example"),
        ("name,sex\n1.png,f,2\n", "rows of another length than its header: 2"),
    ],
)
def test_a_table_that_says_nothing_is_refused(content: str, told: str, tmp_path) -> None:
    pytest.importorskip("fairlearn", reason="the extra tfkit[trust] is not installed")
    (tmp_path / "groups.csv").write_text(content)
    with pytest.raises(DataError, match=told):
        group_rows(_answers(20, seed=0), tmp_path / "groups.csv")
