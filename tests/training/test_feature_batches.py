"""Batches of features take the memory of their array once."""

import numpy as np
import psutil
import pytest

from tfkit.training.features import Features

_MB = 1 << 20


def resident() -> float:
    return float(psutil.Process().memory_info().rss) / _MB


def test_features_are_in_memory_once() -> None:
    features = Features(np.ones((4_000, 8_192), np.float32), np.ones((4_000, 2), np.float32))  # 125 MiB
    warm = Features(features.values[:8], features.targets[:8])
    for _ in warm.batches(4, shuffle_seed=0):
        pass
    before = resident()
    assert sum(len(values) for values, _ in features.batches(32, shuffle_seed=0)) == 4_000
    assert resident() - before < 60


@pytest.mark.parametrize("seed", [None, 3])
def test_each_feature_comes_once_an_epoch_in_an_order_of_its_own(seed: int | None) -> None:
    rows = np.arange(100, dtype=np.float32)[:, None]
    epochs = [
        np.concatenate([values.numpy().ravel() for values, targets in batches if np.array_equal(values, targets)])
        for batches in [Features(rows, rows).batches(16, shuffle_seed=seed)]
        for _ in range(2)
    ]
    assert all(np.array_equal(np.sort(epoch), rows.ravel()) for epoch in epochs)
    assert np.array_equal(*epochs) == (seed is None)
