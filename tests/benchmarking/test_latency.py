"""Latency of single runs."""

from types import SimpleNamespace

import numpy as np
import pytest

from tfkit.benchmarking import latency, measure_latency
from tfkit.exporters import export_tflite
from tfkit.runtimes import KerasRuntime, LiteRTRuntime, Runtime


class _Sleeper(Runtime):
    """A model that takes two milliseconds, and ten every tenth time, by a clock of its own."""

    name, threads, measures = "sleeper", 3, "a nap"

    def __init__(self):
        self.runs = 0
        self.clock = 0.0

    def prepare(self, pixels):
        def run():
            self.runs += 1
            self.clock += 0.01 if self.runs % 10 == 0 else 0.002

        return run


@pytest.fixture
def sleeper(monkeypatch):
    sleeper = _Sleeper()
    monkeypatch.setattr(latency, "time", SimpleNamespace(perf_counter=lambda: sleeper.clock))
    return sleeper


@pytest.fixture
def one_image():
    return np.zeros((1, 32, 32, 3), np.uint8)


def test_percentiles_are_those_of_single_runs(sleeper, one_image):
    result = measure_latency(sleeper, one_image, warmup_runs=5, min_runs=100, max_seconds=3)
    assert result.runs >= 100
    assert (result.latency_ms_p50, result.latency_ms_p95) == pytest.approx((2, 10))
    assert (result.warmup_runs, result.threads, result.batch_size, result.measures) == (5, 3, 1, "a nap")


def test_warm_up_runs_are_not_counted(sleeper, one_image):
    result = measure_latency(sleeper, one_image, warmup_runs=4, min_runs=10, max_seconds=0.1)
    assert sleeper.runs == result.runs + 4


def test_slow_model_stops_at_the_time_limit(sleeper, one_image):
    result = measure_latency(sleeper, one_image, warmup_runs=0, min_runs=10_000, max_seconds=0.2)
    assert sleeper.clock == pytest.approx(0.2, abs=0.011)
    assert result.runs == sleeper.runs


def test_real_runtimes_are_measured(small_classifier, image, class_names, one_image, tmp_path):
    path = tmp_path / "model.tflite"
    export_tflite(small_classifier, path, quantization="none", spec=image, class_names=class_names)
    with LiteRTRuntime(path, threads=2) as runtime:
        result = measure_latency(runtime, one_image, max_seconds=0.2)
    assert 0 < result.latency_ms_p50 <= result.latency_ms_p95
    assert result.threads == 2
    assert measure_latency(KerasRuntime(small_classifier), one_image, max_seconds=0.2).threads is None
