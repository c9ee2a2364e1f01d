"""The int8 file is the quantisation-aware model on networks that nobody chose: random graphs, told by their seeds."""

from typing import Any

import pytest

from tests.fuzz.random_networks import measure, random_network
from tfkit.compression import QuantizationPolicy

_QUICK = range(1000, 1006)
_SLOW = range(1006, 1046)


def _compare(seed: int, tmp_path: Any, policy: QuantizationPolicy | None = None) -> None:
    measured = measure(seed, tmp_path, policy)
    wide = policy is not None and policy.activation_bits == 16
    assert wide or not measured.float_operators
    assert measured.mean_steps < 1.5
    assert measured.clear_agreement >= 0.995 and measured.agreement >= 0.97


@pytest.mark.parametrize("seed", _QUICK)
def test_the_file_of_a_random_network_is_the_network(seed: int, tmp_path: Any) -> None:
    _compare(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", _SLOW)
def test_the_file_of_any_random_network_is_the_network(seed: int, tmp_path: Any) -> None:
    _compare(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1046, 1052))
def test_the_16_bit_file_of_a_random_network_is_the_network(seed: int, tmp_path: Any) -> None:
    model, _, _ = random_network(seed)
    if any("hard_silu" in str(layer.get_config()) for layer in model.layers):
        pytest.skip("LiteRT has no 16-bit kernel for it: refused by name")
    _compare(seed, tmp_path, QuantizationPolicy(activation_bits=16))
