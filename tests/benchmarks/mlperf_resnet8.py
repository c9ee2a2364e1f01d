"""MLPerf Tiny's ResNet-8 through `tfkit export` and `tfkit verify`, beside MLPerf's own int8 file, as Markdown.

    python tests/benchmarks/mlperf_resnet8.py DATA

DATA holds mlperf_tiny/pretrainedResnet.h5 and pretrainedResnet_quant.tflite, and cifar10/train10k.npz, of which 200
images calibrate, and test2k.npz. Nothing is trained. Both files are run over all test images and compared with the
Keras model.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measured import measured_on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    data: Path = parser.parse_args().data
    model, images = data / "mlperf_tiny" / "pretrainedResnet.h5", data / "cifar10"
    with tempfile.TemporaryDirectory() as folder:
        ours = Path(folder) / "exported"
        _tfkit("export", model, "--format", "tflite_int8", "--calibration", images / "train10k.npz", "--output", ours)
        files = {
            "tfkit int8": ours / "model_int8.tflite",
            "MLPerf's int8": model.with_name(f"{model.stem}_quant.tflite"),
        }
        found = {
            name: json.loads(_tfkit("verify", path, "--data", images / "test2k.npz", "--reference", model, "--json"))
            for name, path in files.items()
        }
    evaluation = next(iter(found.values()))["evaluation"]
    print(f"\n{evaluation['examples']} test images\n\n| file | accuracy | same answer as Keras | bytes | one image |")
    print(f"{'| --- ' * 5}|\n| Keras | {evaluation['keras']:.4f} | | | |")
    for name, answer in found.items():
        row: dict[str, Any] = answer["artifacts"][0]
        cells = f"{row['accuracy']:.4f} | {row['agreement']:.4f} | {row['bytes']:,} | {row['latency_ms_p50']:.3f} ms"
        print(f"| {name} | {cells} |")
    print(f"\nTimes: each file's median, one thread, one file after the other. {measured_on()}")


def _tfkit(*words: str | Path) -> str:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("tfkit")), *map(str, words)], capture_output=True, text=True
    )
    if done.returncode not in (0, 3):  # 3: a file missed a limit, which the table shows
        sys.exit(done.stdout + done.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
