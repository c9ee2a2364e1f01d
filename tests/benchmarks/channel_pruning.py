"""The recipe `oxford_flowers_small` beside the same recipe without pruning: accuracy, and speed promised and measured.

    python tests/benchmarks/channel_pruning.py DATA [--seeds 0 1 2]

DATA holds oxford12/ and weights/mobilenet_v2_1.0_224_deq.weights.h5. Both runs fine-tune with the same seed and train
quantisation-aware taught by their own float model; the time to expect is what the pruned run's report said before it
trained. The int8 files of a seed are timed beside each other, in turns.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
from image_recipes import run_recipe
from measured import measured_on

from tfkit import benchmarking
from tfkit.runtimes import LiteRTRuntime

RECIPE = "oxford_flowers_small"
WHOLE = {"pruning": "null", "distillation.feature_maps": 0}
HEADING = (
    "seed | Keras, whole | int8, whole | Keras, pruned | int8, pruned | whole, ms | pruned, ms | faster | "
    "expected, ms | kB | weights"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    print(f"\n{RECIPE}, 240 test images\n\n| {HEADING} |\n" + "| --- " * (HEADING.count("|") + 1) + "|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for seed in options.seeds:
            print(_row(options.data, seed, Path(folder)), flush=True)
    print("\nTimes: median of 7 medians, one thread, one image.", end=" ")
    print(measured_on())


def _row(data: Path, seed: int, folder: Path) -> str:
    reports = {}
    for name, changes in (("whole", WHOLE), ("pruned", {})):
        reports[name] = run_recipe(RECIPE, data, seed, folder / name, **changes)
    paths = {name: folder / name / f"{RECIPE}-{seed}" / "artifacts" / "model_int8.tflite" for name in reports}
    image = np.random.default_rng(seed).integers(0, 256, (1, 224, 224, 3), np.uint8)
    times: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(7):
        for name, path in paths.items():
            measured = benchmarking.measure_latency(LiteRTRuntime(path), image, max_seconds=2)
            times[name].append(measured.latency_ms_p50)
    whole, pruned = (statistics.median(times[name]) for name in ("whole", "pruned"))
    channels = reports["pruned"]["compression"]["channels"]
    expected = channels["expected_latency_ms"]
    accuracies = [
        f"{value:.4f}"
        for report in reports.values()
        for value in (report["evaluation"]["keras"], report["artifacts"][0]["accuracy"])
    ]
    sizes = " to ".join(f"{path.stat().st_size / 1000:,.0f}" for path in paths.values())
    weights = f"{channels['parameters_before']:,} to {channels['parameters_after']:,}"
    speed = f"{whole:.2f} | {pruned:.2f} | {whole / pruned:.2f}x | {expected:.2f} ({expected / pruned - 1:+.0%})"
    return f"| {seed} | {' | '.join(accuracies)} | {speed} | {sizes} | {weights} |"


if __name__ == "__main__":
    main()
