"""A data set of 1k to 1M pictures: wall, CPU and memory of the check, of a training epoch's input, and of a proof.

    python tests/benchmarks/data_scale.py [--counts 1000 10000 100000] [--check-also 1000000] [--folder DIR]

The pictures are JPEGs of 48 x 48 pixels, no two alike; those of `--check-also` are hard links to `--links` of them, so
that what is measured there is the listing, hashing, remembering and accounting, not the decoder. Each figure is of a
fresh process. Memory is the most that was resident beyond what the process held when all was imported.

- check: `load_image_splits` of a folder that nobody looked at before; and once more, when it is known.
- epoch: one epoch of `training_batches` of 32 x 32 px, decoding as it goes, nothing kept.
- proof: `verify_artifact` of a small .tflite file on as many pictures, not kept either.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measured import measured_on
from PIL import Image

_CLASSES = 10
_SIDE = 48
_MEASURES = ("check", "check again", "epoch", "proof")


def write_pictures(folder: Path, count: int) -> None:
    """So many pictures of shapes and colours drawn at random, in class folders."""
    rng = np.random.default_rng(0)
    for number in range(count):
        place = folder / f"class_{number % _CLASSES}"
        if number < _CLASSES:
            place.mkdir(parents=True)
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR).save(place / f"{number:07}.jpg", quality=80)


def link_pictures(source: Path, folder: Path, count: int, links: int) -> None:
    """So many hard links to the first `links` pictures of another folder."""
    pictures = sorted(source.rglob("*.jpg"), key=lambda path: path.name)[:links]
    for number in range(count):
        picture = pictures[number % len(pictures)]
        place = folder / picture.parent.name
        place.mkdir(parents=True, exist_ok=True)
        os.link(picture, place / f"{number:07}.jpg")


def check(folder: Path) -> Callable[[], object]:
    """Read a folder, and look at every picture."""
    from tfkit.data import load_image_splits

    return lambda: load_image_splits(source="image_folder", directory=folder)


def epoch(folder: Path) -> Callable[[], object]:
    """The input of one epoch."""
    from tfkit.artifacts import ImageSpec
    from tfkit.data import training_batches

    splits = check(folder)()
    batches = training_batches(splits.train, ImageSpec(32, 32), batch_size=64, cache_bytes=0)
    return lambda: sum(len(targets) for _, targets in batches)


def proof(folder: Path) -> Callable[[], object]:
    """What proves one file, on the training pictures, of which there are the most."""
    import keras

    from tfkit.artifacts import ImageSpec
    from tfkit.exporters import export_tflite
    from tfkit.models import build_backbone, build_classifier
    from tfkit.verification import verify_artifact

    splits, image = check(folder)(), ImageSpec(32, 32)
    keras.utils.set_random_seed(0)
    backbone = build_backbone("resnet8", image=image, weights="random")
    model = build_classifier(backbone, classes=_CLASSES)
    path = folder.parent / "model.tflite"
    artifact = export_tflite(model, path, quantization="none", spec=image, class_names=splits.class_names)
    verify_artifact(artifact, splits.train.select(np.arange(64)), reference=None)  # all is imported and warm
    return lambda: verify_artifact(artifact, splits.train, reference=None)


def measure(name: str, folder: Path) -> None:
    """Print what one measure took, as JSON."""
    import tensorflow as tf  # noqa: F401 - no part of what is measured

    run = {"check": check, "epoch": epoch, "proof": proof}[name.partition(" ")[0]](folder)
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    before, cpu, wall = _resident("VmRSS"), time.process_time(), time.perf_counter()
    run()
    spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps(spent | {"memory": _resident("VmHWM") - before, "before": before}))


def _resident(kind: str) -> float:
    """Resident memory of this process, in MB: now (VmRSS), or the most so far (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(kind)).split()[1]) / 1000


def table(folder: Path, count: int, names: tuple[str, ...], environment: dict[str, str]) -> None:
    """One line for each measure of one folder."""
    for name in names:
        command = [sys.executable, __file__, "--measure", name, "--folder", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr[-2000:]
        spent = json.loads(done.stdout.splitlines()[-1])
        each = 1e6 * spent["cpu"] / count
        memory = f"{spent['memory']:.0f} MB ({1000 * spent['memory'] / count:.1f} kB each)"
        print(
            f"| {name} | {count:,} | {spent['wall']:.1f} s | {spent['cpu']:.1f} s | {each:.0f} us | {memory} |",
            flush=True,
        )


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--check-also", type=int, nargs="*", default=[1_000_000])
    parser.add_argument("--links", type=int, default=100_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--measure", choices=_MEASURES)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.folder)
        return
    print(
        "| what | pictures | wall | CPU | CPU each | most memory |\n| --- | --- | --- | --- | --- | --- |", flush=True
    )
    with tempfile.TemporaryDirectory(prefix="data-scale-", dir=options.folder) as root:
        place = Path(root)
        environment = os.environ | {"TFKIT_CACHE": str(place / "cache"), "TF_CPP_MIN_LOG_LEVEL": "2"}
        for count in options.counts:
            write_pictures(place / str(count) / "pictures", count)
            table(place / str(count) / "pictures", count, _MEASURES, environment)
        most = place / str(max(options.counts)) / "pictures"
        for count in options.check_also:
            link_pictures(most, place / "linked" / str(count), count, options.links)
            fresh = environment | {"TFKIT_CACHE": str(place / "cache_of_links")}
            table(place / "linked" / str(count), count, ("check", "check again"), fresh)
    print(f"\n{measured_on()}")


if __name__ == "__main__":
    main()
