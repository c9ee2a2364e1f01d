import keras
import numpy as np
import pytest

from tfkit.training import Optimization
from tfkit.training.optimization import build_optimizer


def rates(plan: Optimization, steps: int) -> list[float]:
    schedule = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(build_optimizer(plan, steps=steps)._learning_rate)
    )
    return [float(schedule(step)) for step in range(steps + 2)]


@pytest.mark.parametrize("warmup", [0.0, 0.2])
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero(schedule, warmup):
    found = rates(Optimization(epochs=1, learning_rate=0.1, schedule=schedule, warmup=warmup), 20)
    peak = round(20 * warmup)
    assert found[peak] == pytest.approx(0.1) == max(found)
    assert found[:peak] == pytest.approx(np.linspace(0, 0.1, peak, endpoint=False))
    assert found[20:] == pytest.approx([0.0, 0.0], abs=1e-7)
    assert all(before > after for before, after in zip(found[peak:20], found[peak + 1 : 21], strict=True))


def test_a_linear_schedule_falls_in_a_straight_line_and_comes_back_from_a_file(tmp_path):
    plan = Optimization(epochs=1, learning_rate=0.1, schedule="linear", warmup=0.2)
    assert rates(plan, 20)[4:21] == pytest.approx(np.linspace(0.1, 0.0, 17), abs=1e-7)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(build_optimizer(plan, steps=20), "mse")
    model.fit(np.ones((8, 3)), np.ones((8, 2)), batch_size=1, verbose=0)
    model.save(tmp_path / "model.keras")
    back = keras.saving.load_model(tmp_path / "model.keras")
    assert float(back.optimizer.learning_rate) == pytest.approx(0.1 * 12 / 16)
