"""How long one image takes."""

import time
from dataclasses import dataclass

import numpy as np

from tfkit.artifacts import InputSpec
from tfkit.inputs import input_of
from tfkit.runtimes import Feed, ModelInputs, Runtime

_SETTLED_SECONDS = 1.0


@dataclass(frozen=True)
class LatencyResult:
    """The time of one run, over many runs.

    Attributes:
        latency_ms_p50: Median in milliseconds.
        latency_ms_p95: 95th percentile in milliseconds.
        latency_ms_mean: Mean in milliseconds.
        runs: Runs that were timed.
        warmup_runs: Runs before them that were not.
        threads: CPU threads, None where the library chose.
        batch_size: Images in a run, 1.
        measures: What was timed.
    """

    latency_ms_p50: float
    latency_ms_p95: float
    latency_ms_mean: float
    runs: int
    warmup_runs: int
    threads: int | None
    batch_size: int
    measures: str


def measure_latency(
    runtime: Runtime,
    inputs: ModelInputs,
    *,
    warmup_runs: int = 10,
    min_runs: int = 50,
    max_seconds: float = 5.0,
) -> LatencyResult:
    """Time single runs one after another.

    Runs go on until there are `min_runs` and one second has passed, and stop at `max_seconds` in any case.

    Args:
        runtime: What runs the model.
        inputs: One image or text, as `Runtime.scores` takes them.
        warmup_runs: Runs before the timed ones.
        min_runs: Timed runs to reach, time allowing.
        max_seconds: When to stop, in seconds of timed runs; at least one run is timed.

    Returns:
        The latencies.

    Example:
        >>> with open_runtime(Path("model_int8.tflite")) as runtime:
        ...     measure_latency(runtime, pixels[:1]).latency_ms_p95 > 0
        True
    """
    run = runtime.prepare(inputs)
    for _ in range(warmup_runs):
        run()
    times_ms: list[float] = []
    started = time.perf_counter()
    ended = started
    while not times_ms or (
        ended - started < max_seconds and (len(times_ms) < min_runs or ended - started < _SETTLED_SECONDS)
    ):
        began = time.perf_counter()
        took = run()
        ended = time.perf_counter()
        times_ms.append((ended - began if took is None else took) * 1000)
    return LatencyResult(
        latency_ms_p50=float(np.percentile(times_ms, 50)),
        latency_ms_p95=float(np.percentile(times_ms, 95)),
        latency_ms_mean=float(np.mean(times_ms)),
        runs=len(times_ms),
        warmup_runs=warmup_runs,
        threads=runtime.threads,
        batch_size=1,
        measures=runtime.measures,
    )


def noise(spec: InputSpec) -> Feed:
    """One image of noise, or one text of full length: latency does not depend on what it shows or says."""
    return input_of(spec).noise(spec, 1)
