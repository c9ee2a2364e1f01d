"""Training under JAX: the host prepares steps while the device computes, and nothing else comes out for it."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs the jax extra: pip install tfkit[jax]"),
]


@pytest.fixture(scope="module")
def results() -> Any:
    script = Path(__file__).with_name("jax_steps.py")
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("where", "step"), [("second", 2), ("last", 6)])
def test_a_loss_that_is_no_number_is_named_and_the_weights_come_back(results: Any, where: str, step: int) -> None:
    assert f"at step {step} of epoch 1" in results[where]["fault"]
    assert results[where]["restored"]


def test_the_end_of_a_step_is_learned_in_another_thread_and_told_in_the_thread_of_fit(results: Any) -> None:
    trained = results["trained"]
    assert trained["elsewhere"], "else the device waits for the host after each step"
    assert trained["told_here"]
    assert trained["done"] == sorted(trained["done"])
    assert trained["done"][-1] == 12


def test_one_pass_over_the_maps_gives_keras_weights_and_statistics(results: Any) -> None:
    assert results["trained"]["apart"] < 1e-3
    assert results["trained"]["own_again"]


@pytest.mark.parametrize(("precision", "apart"), [("float32", 1e-6), ("mixed_bfloat16", 1e-3)])
def test_rows_of_a_small_table_are_the_same_to_the_bit_and_learn_the_same(
    results: Any, precision: str, apart: float
) -> None:
    assert results["looked_up"][precision]["equal"]
    assert results["looked_up"][precision]["apart"] < apart
