"""What a budget allows, and how it says what is missed."""

from dataclasses import dataclass

import pytest

from tfkit.errors import ModelError
from tfkit.search import Budget, SearchTraining


@dataclass(frozen=True)
class Figures:
    accuracy: float = 0.9
    bytes: int = 100_000
    latency_ms: float = 1.0
    float_ops: int = 0


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(
        ModelError, match=r"max_accuracy_drop must be .* got 1\.5; max_bytes must be .*; max_latency_ms"
    ):
        Budget(max_accuracy_drop=1.5, max_bytes=0, max_latency_ms=-1.0)
    with pytest.raises(ModelError, match=r"qat_epochs must be 1 or more; temperature must be more than 0"):
        SearchTraining(qat_epochs=0, temperature=0)


def test_a_file_within_every_limit_misses_none() -> None:
    budget = Budget(max_accuracy_drop=0.01, max_bytes=100_000, max_latency_ms=1.0, integer_only=True)
    assert budget.misses(Figures(), float_accuracy=0.91) == ()
    assert len(budget.limits) == 4


def test_each_missed_limit_is_told_with_both_figures() -> None:
    budget = Budget(max_accuracy_drop=0.005, max_bytes=90_000, max_latency_ms=0.5, integer_only=True)
    told = budget.misses(Figures(float_ops=3), float_accuracy=0.91)
    assert [miss.split()[0] for miss in told] == ["accuracy", "it", "an", "3"]
    assert "1.00 points below" in told[0] and "0.50 are allowed" in told[0]
    assert "100,000 bytes; 90,000 are allowed" in told[1]


def test_slack_lets_a_near_miss_be_tried() -> None:
    budget = Budget(max_accuracy_drop=0.0, max_bytes=100, max_latency_ms=1.0)
    assert not budget.fits_size_and_speed(size=104, milliseconds=0.9, slack=(0.0, 0.0))
    assert budget.fits_size_and_speed(size=104, milliseconds=1.09, slack=(0.05, 0.1))
    assert not budget.fits_size_and_speed(size=90, milliseconds=1.2, slack=(0.05, 0.1))


def test_the_nearest_file_is_the_one_least_above_its_limits() -> None:
    budget = Budget(max_accuracy_drop=0.01, max_bytes=50_000, max_latency_ms=1.0)
    excess = [
        budget.excess(Figures(accuracy=accuracy, bytes=size), float_accuracy=0.91)
        for accuracy, size in ((0.9, 50_000), (0.9, 100_000), (0.89, 50_000), (0.9, 53_000))
    ]
    assert excess == pytest.approx([0.0, 1.0, 0.1, 0.06])
