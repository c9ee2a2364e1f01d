"""Several processes train as one under JAX; one that dies ends the others in words, and the training goes on."""

from pathlib import Path

import numpy as np
import pytest

from tfkit.errors import TrainingError
from tfkit.training import join_processes

from .processes_apart import one_killed, start


def test_processes_need_jax() -> None:
    with pytest.raises(TrainingError, match="train on the JAX backend") as fault:
        join_processes()
    assert "KERAS_BACKEND=jax" in fault.value.hint


@pytest.mark.slow
def test_two_processes_train_as_one_and_go_on(tmp_path: Path) -> None:
    (alone,) = start(tmp_path / "alone")
    together = start(tmp_path / "together", count=2, stop_after=8)
    one_killed(together, after=8)
    assert f"process 0 of 2 cannot reach the others: one of them has stopped\nhint: {''}" in together[0].told
    assert f"goes on from '{tmp_path / 'together' / 'state.npz'}'" in together[0].told
    before = together[0].losses
    (again,) = start(tmp_path / "together")  # as one process: the state does not say how many trained
    whole, rest = alone.found(), again.found()
    assert len(before) >= 8
    assert np.allclose(before, whole["losses"][: len(before)], atol=1e-5)
    assert 0 < len(rest["losses"]) < 12, "it went on, and did not begin anew"
    assert np.allclose(rest["losses"], whole["losses"][-len(rest["losses"]) :], atol=1e-5)
    assert np.allclose(rest["history"]["val_loss"], whole["history"]["val_loss"], atol=1e-5)
    for one, other in zip(rest["weights"], whole["weights"], strict=True):
        assert np.allclose(one, other, atol=1e-5)
