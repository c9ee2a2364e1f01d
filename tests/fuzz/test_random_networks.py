"""The int8 file is the quantisation-aware model on networks that nobody chose: random graphs, told by their seeds."""

from typing import Any

import pytest

from tests.fuzz.random_networks import measure, pruned_network, random_network
from tfkit.compression import QuantizationPolicy

_QUICK = range(1000, 1006)
# More seeds are tried by `python -m tests.fuzz.random_networks FIRST LAST`.
_SLOW = range(1006, 1026)
_PRUNED = range(1000, 1030)


def _compare(network: Any, tmp_path: Any, policy: QuantizationPolicy | None = None) -> None:
    measured = measure(network, tmp_path, policy)
    wide = policy is not None and policy.activation_bits == 16
    assert wide or not measured.float_operators
    assert measured.mean_steps < 1.5
    assert measured.clear_agreement >= 0.995 and measured.agreement >= 0.97
    assert measured.stored_zeros >= measured.masked


@pytest.mark.parametrize("seed", _QUICK)
def test_the_file_of_a_random_network_is_the_network(seed: int, tmp_path: Any) -> None:
    _compare(random_network(seed), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", _SLOW)
def test_the_file_of_any_random_network_is_the_network(seed: int, tmp_path: Any) -> None:
    _compare(random_network(seed), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", _PRUNED)
def test_the_file_of_a_random_network_that_was_pruned_is_the_network(seed: int, tmp_path: Any) -> None:
    _compare(pruned_network(seed), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1046, 1050))
def test_the_16_bit_file_of_a_random_network_is_the_network(seed: int, tmp_path: Any) -> None:
    network = random_network(seed)
    if any("hard_silu" in str(layer.get_config()) for layer in network[0].layers):
        pytest.skip("LiteRT has no 16-bit kernel for it: refused by name")
    _compare(network, tmp_path, QuantizationPolicy(activation_bits=16))
