"""What each operator of a `.tflite` file costs on this machine."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkit.errors import ModelError
from tfkit.runtimes import Operator, read_operators

_SECONDS = 300
_MATRIX_OPERATORS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL"})
_MATRIX_KERNELS = ("Convolution", "Deconvolution", "Fully Connected", "Batch Matrix")


@dataclass(frozen=True)
class OperatorTime:
    """The time of one operator.

    Attributes:
        name: The file's operator (`CONV_2D`).
        kernel: What ran for it: XNNPACK's kernel (`Fully Connected (NC, QS8, QC8W) GEMM`) or LiteRT's own.
        layer: The name of its first output tensor, which holds the Keras layer's name.
        output_shape: The shape of that tensor.
        milliseconds: Its mean time in one run, without the fastest and the slowest quarter of the runs.
    """

    name: str
    kernel: str
    layer: str
    output_shape: tuple[int, ...]
    milliseconds: float


@dataclass(frozen=True)
class OpProfile:
    """The times of a file's operators.

    Attributes:
        operators: One per kernel that ran, in running order. An operator that XNNPACK fused into another has none.
        beside_ms: What a run takes beside its operators.
        latency_ms: Median of whole runs with the profiler off.
        threads: CPU threads.
        runs: Profiled runs.
    """

    operators: tuple[OperatorTime, ...]
    beside_ms: float
    latency_ms: float
    threads: int
    runs: int


def profile_operators(path: Path, *, threads: int = 1, runs: int = 50) -> OpProfile:
    """Time each operator of a `.tflite` file on this machine, XNNPACK's among them.

    The profiler is that of LiteRT's C library, run in a process of its own: a crash or what it writes to the
    terminal does not reach this one. Pixels are zeros, ids and masks ones. XNNPACK's kernels are told apart by their
    order, which is the file's: `layer` is exact for convolutions and dense layers, and the nearest operator for what
    lies between.

    Args:
        path: The file, with fixed shapes.
        threads: CPU threads.
        runs: Profiled runs, and as many with the profiler off.

    Returns:
        The times.

    Raises:
        ModelError: When the file cannot be read or run, or the installed LiteRT has no such profiler.

    Example:
        >>> profile = profile_operators(Path("model_int8.tflite"))
        >>> slowest = max(profile.operators, key=lambda operator: operator.milliseconds).layer
    """
    if threads < 1 or runs < 1:
        raise ModelError(f"threads and runs must be at least 1; got threads={threads}, runs={runs}")
    operators = read_operators(path)
    answer = _ask_worker(path, threads=threads, runs=runs)
    single = np.array(answer["microseconds"], np.float64) / 1000
    milliseconds = _middle_mean(single)
    places = _place_kernels(answer["events"], operators)
    return OpProfile(
        operators=tuple(
            OperatorTime(
                name=operators[place].name,
                kernel=kernel,
                layer=operators[place].layer,
                output_shape=operators[place].shapes[0] if operators[place].shapes else (),
                milliseconds=float(time),
            )
            for (kernel, _, _), place, time in zip(answer["events"], places, milliseconds, strict=True)
        ),
        beside_ms=_beside(answer, single, float(milliseconds.sum())),
        latency_ms=float(np.median(answer["plain_ms"])),
        threads=threads,
        runs=runs,
    )


def _ask_worker(path: Path, *, threads: int, runs: int) -> Any:
    command = [sys.executable, "-m", "tfkit.benchmarking.op_profile_worker", str(path), str(threads), str(runs)]
    try:
        process = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            # A GPU that a training process holds must not be asked for a second time.
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"profiling '{path}' took longer than {_SECONDS} s", hint="ask for fewer runs") from None
    if process.returncode:
        last_words = process.stderr.strip().splitlines()[-3:]
        raise ModelError(
            "\n".join([f"LiteRT's profiler ended with status {process.returncode} on '{path}'", *last_words]),
            hint="tfkit benchmark gives the file's whole latency without it",
        )
    return json.loads(process.stdout.strip().splitlines()[-1])


def _middle_mean(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of the middle half: the clock ticks in microseconds, and another process costs one run milliseconds."""
    ordered = np.sort(times, axis=0)
    cut = len(ordered) // 4
    mean: NDArray[np.float64] = ordered[cut : len(ordered) - cut].mean(axis=0)
    return mean


def _beside(answer: Any, single: NDArray[np.float64], operators_ms: float) -> float:
    """A run's time beside its operators, by the smaller of two bounds: the machine is seldom quiet.

    A profiled run holds the profiler's own work as well; a plain run may have been held up where its operators,
    timed in other runs, were not.
    """
    profiled = float(np.median(np.array(answer["profiled_ms"]) - single.sum(axis=1)))
    plain = float(np.percentile(answer["plain_ms"], 25)) - operators_ms
    return max(min(profiled, plain), 0.0)


def _place_kernels(events: Sequence[tuple[str, int, bool]], operators: tuple[Operator, ...]) -> list[int]:
    """For each kernel that ran, the place of the file's operator that it ran for."""
    places: list[int] = []
    reached = -1  # the operator that the last kernel ran for
    for kernel, index, in_delegate in events:
        if not in_delegate and index < len(operators):
            reached = index
        elif kernel.startswith(_MATRIX_KERNELS):
            after = (place for place in range(reached + 1, len(operators)))
            reached = next((place for place in after if operators[place].name in _MATRIX_OPERATORS), reached)
        else:
            reached = _nearest(kernel, reached, operators)
        places.append(max(reached, 0))
    return places


def _nearest(kernel: str, reached: int, operators: tuple[Operator, ...]) -> int:
    """The next operator named like the kernel, or the next one at all; never beyond the next matrix operator."""
    free = []
    for place in range(reached + 1, len(operators)):
        if operators[place].name in _MATRIX_OPERATORS:
            break
        free.append(place)
    words = [word.lower()[:4] for word in re.findall(r"[A-Za-z]{3,}", kernel)]
    for place in free:
        if any(part.lower()[:4] in words for part in operators[place].name.split("_")):
            return place
    return free[0] if free else reached
