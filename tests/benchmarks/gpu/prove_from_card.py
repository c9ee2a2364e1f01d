"""The models of fine_tune_on_card.py, trained under JAX on a GPU: exported under TensorFlow here, and proved.

    python -m tests.benchmarks.gpu.prove_from_card DATA OUT [--seed 0]

DATA as for the other half, OUT what it wrote. Each quantisation-aware model is opened by TensorFlow and answers the
whole test split; its int8 file is written, and LiteRT answers the same pictures. Accuracy of all three, how often they
name the same class, and how far the scores lie apart.
"""

import argparse
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"


import numpy as np

from tests.benchmarks.gpu.fine_tune_on_card import IMAGE, load_splits, pixels_of
from tfkit import benchmarking, exporters, models
from tfkit.runtimes import LiteRTRuntime

_STEP = 1 / 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    splits = load_splits(options.data, options.seed)
    test, labels = pixels_of(splits.test), splits.test.labels
    seen = pixels_of(splits.train.select(np.arange(8)))
    print("\n| trained on the card | float there | QAT there | QAT in TensorFlow | int8 file | size |", end="")
    print(" file as QAT there | file as QAT here | furthest score, steps of 1/256 |")
    print("| --- " * 9 + "|")
    for path in sorted(options.out.glob("*.keras")):
        there = np.load(path.with_suffix(".npz"))
        student = models.load_model_file(path)
        here = student.predict(test.astype(np.float32), batch_size=32, verbose=0)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model_int8.tflite"
            exporters.export_tflite(
                student, file, quantization="int8", spec=IMAGE, class_names=splits.class_names, calibration=seen
            )
            shipped, size = LiteRTRuntime(file, threads=2).scores(test), file.stat().st_size
        answers = [there["float_scores"], there["scores"], here, shipped]
        right = [f"{np.mean(one.argmax(1) == labels):.3f}" for one in answers]
        same = [f"{np.mean(one.argmax(1) == shipped.argmax(1)):.3f}" for one in (there["scores"], here)]
        apart = max(float(np.abs(one - shipped).max()) / _STEP for one in (there["scores"], here))
        cells = [*right, f"{size:,} bytes", *same, f"{apart:.1f}"]
        print(f"| {path.stem} | {' | '.join(cells)} |", flush=True)
    host = asdict(benchmarking.describe_host())
    print(f"\n{len(test)} test photos, all of them. Proved on {host['cpu']} ({host['instruction_set']}),", end=" ")
    print(f"{host['cores']} cores, 2 threads, {host['versions']}.")


if __name__ == "__main__":
    main()
