"""Figures as people read them."""

import pytest

from tfkit.reports.quantities import counted, duration, file_size, milliseconds, percent, points, small_difference


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.4 s"), (59.6, "1 min 0 s"), (72.4, "1 min 12 s"), (7384, "2 h 3 min")]
)
def test_durations_use_the_units_people_use(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(512, "512 bytes"), (81_300, "81 kB"), (999_900, "1.0 MB"), (8_905_000, "8.9 MB")]
)
def test_sizes_are_decimal(size: int, text: str) -> None:
    assert file_size(size) == text


def test_what_was_not_measured_is_a_dash() -> None:
    assert {percent(None), milliseconds(None), points(None), small_difference(None), percent(float("nan"))} == {"–"}


def test_points_carry_a_sign_and_no_negative_zero() -> None:
    assert [points(value) for value in (0.012, -0.0125, -0.00001)] == ["+1.2", "−1.2", "±0.0"]


def test_nouns_agree_with_their_number() -> None:
    assert (counted(1, "class", "classes"), counted(1200, "image")) == ("1 class", "1,200 images")
