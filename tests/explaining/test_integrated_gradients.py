import numpy as np
import pytest

from tfkit.explaining import integrate_gradients


def product(points):
    """x * y, whose two contributions are known to be equal on a path from zero."""
    return points.prod(axis=1).astype(np.float64), points[:, ::-1].astype(np.float64)


def test_contributions_add_up_to_the_change():
    integral = integrate_gradients(product, np.array([3.0, 2.0], np.float32), np.array([1.0, 0.0], np.float32))

    assert integral.contributions.sum() == pytest.approx(6.0)
    assert (integral.baseline, integral.answer) == (0.0, 6.0)
    assert integral.gap == pytest.approx(0.0, abs=1e-6)


def test_value_that_does_not_differ_from_the_baseline_gets_nothing():
    integral = integrate_gradients(product, np.array([3.0, 2.0], np.float32), np.array([3.0, 0.0], np.float32))

    assert integral.contributions.tolist() == pytest.approx([0.0, 6.0])


def steep(points):
    """A steep step in the middle of the path."""
    across = np.tanh(40 * (points[:, 0].astype(np.float64) - 0.5))
    return across, (40 * (1 - across**2))[:, None]


def test_steps_are_doubled_until_the_sum_holds():
    integral = integrate_gradients(steep, np.ones(1, np.float32), np.zeros(1, np.float32), fewest_steps=4)

    assert integral.gap <= 0.01
    assert integral.steps > 16


def test_gap_that_is_left_is_told():
    def rounded(points):
        return np.round(points[:, 0]).astype(np.float64), np.ones((len(points), 1))

    integral = integrate_gradients(rounded, np.full(1, 0.6, np.float32), np.zeros(1, np.float32), most_steps=32)

    assert integral.steps == 32
    assert integral.gap == pytest.approx(0.4 / 0.6, abs=1e-3)


def test_flat_answer_has_no_gap():
    def flat(points):
        return np.zeros(len(points)), np.zeros((len(points), 1))

    assert integrate_gradients(flat, np.ones(1, np.float32), np.zeros(1, np.float32)).gap == 0.0
