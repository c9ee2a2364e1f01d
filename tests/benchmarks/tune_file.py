"""int8 files of others trained against their float files by `tfkit tune-file`, as Markdown.

    python tests/benchmarks/tune_file.py DATA [--tunner PYTHON] [--epochs 10] [--seed 0]

DATA holds mlperf_tiny/ (ResNet-8 for CIFAR-10 and visual wake words, float and int8 files), cifar10/, hymenoptera/ and
oxford12/. What is trained on are pictures without their labels, of training splits; what is judged on are others.
PYTHON is an interpreter of an environment with litert-tunner, which is asked to read the same files.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from measured import measured_on
from numpy.typing import NDArray

import tfkit
from tfkit.artifacts import ImageSpec, PixelScaling
from tfkit.data import picture_pixels
from tfkit.file_tuning import Tuning
from tfkit.runtimes import LiteRTRuntime

RAW, SHARES = PixelScaling(), PixelScaling.of_range(0, 1)
Pictures = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--tunner", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tiny, cifar = options.data / "mlperf_tiny", options.data / "cifar10"
    print("| file | what | accuracy | answers as the float file |\n| --- | --- | --- | --- |")
    train, test = (np.load(cifar / name) for name in ("train10k.npz", "test2k.npz"))
    resnet = (tiny / "pretrainedResnet_quant.tflite", tiny / "pretrainedResnet.tflite")
    measure("ResNet-8, CIFAR-10", *resnet, train["x"], test["x"], options, labels=test["y"], scaling=RAW)
    wake = (tiny / "vww/vww_96_int8.tflite", tiny / "vww/vww_96_float.tflite")
    photos = {kind: of_folders(options.data, kind, 96) for kind in ("train", "test")}
    measure("Visual wake words", *wake, photos["train"], photos["test"], options, scaling=SHARES)
    print(f"\n{options.epochs} epochs at most, seed {options.seed}. {measured_on()}")
    if options.tunner:
        for file in (resnet[0], wake[0]):
            print(f"- litert-tunner 0.3 on {file.name}: {asked_of_tunner(options.tunner, file)}")


def measure(
    name: str, file: Path, teacher: Path, given: Pictures, judged: Pictures, options: argparse.Namespace, *,
    scaling: PixelScaling, labels: NDArray[np.integer] | None = None,
) -> None:  # fmt: skip
    """Rows of the float file, the int8 file as it came, and as it was trained."""
    with tempfile.TemporaryDirectory() as folder:
        tuned = Path(folder) / "tuned.tflite"
        shown = Path(folder) / "pictures"
        shown.mkdir()
        for number, pixels in enumerate(given):
            keras.utils.save_img(shown / f"{number}.png", pixels, scale=False)
        plan = Tuning(epochs=options.epochs, seed=options.seed)
        told = tfkit.tune_file(file, teacher, shown, tuned, plan=plan, pictures=len(given), teacher_scaling=scaling)
        wanted = answers(teacher, judged, scaling)
        rows: dict[str, Callable[[], NDArray[np.intp]]] = {
            "float": lambda: wanted,
            "int8, as it came": lambda: answers(file, judged, None),
            "int8, trained": lambda: answers(tuned if told.file else file, judged, None),
        }
        for what, asked in rows.items():
            found = asked()
            right = "" if labels is None else f"{(found == labels.ravel()).mean():.4f}"
            print(f"| {name} | {what} | {right} | {(found == wanted).mean():.4f} |", flush=True)
        print(f"| {name} | model that was read, before training | | to the step: {told.as_the_file:.4f} |", flush=True)


def answers(file: Path, pictures: Pictures, scaling: PixelScaling | None) -> NDArray[np.intp]:
    with LiteRTRuntime(file, scaling=scaling) as runtime:
        return np.asarray(runtime.scores(pictures).argmax(axis=-1))


def of_folders(data: Path, kind: str, side: int) -> Pictures:
    """Photos of two sets, from the folders that are to be learned from or judged on."""
    image = ImageSpec(side, side)
    folders = [data / "hymenoptera" / ("train" if kind == "train" else "val"), data / "oxford12" / kind]
    files = [file for folder in folders for file in sorted(folder.glob("*/*.jpg"))]
    return np.stack([picture_pixels(file.read_bytes(), image) for file in files])


def asked_of_tunner(python: Path, file: Path) -> str:
    """Whether it reads a file, in its own words."""
    script = "import sys, litert_tunner as t; t.load_model(sys.argv[1]); print('it is read')"
    done = subprocess.run([python, "-c", script, file], capture_output=True, text=True)
    return (done.stdout if not done.returncode else done.stderr).strip().splitlines()[-1][:200]


if __name__ == "__main__":
    main()
