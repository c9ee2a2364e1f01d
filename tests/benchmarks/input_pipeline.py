"""Images a second of tfkit's input pipeline beside Keras's own and a hand-written one, and its memory for much data.

    python tests/benchmarks/input_pipeline.py --data hymenoptera/train [--copies 8]
    python tests/benchmarks/input_pipeline.py --memory

Speed: `training_batches(augmentation="light")` against `keras.utils.image_dataset_from_directory` with Keras's
RandomFlip, RandomCrop-and-resize (RandomZoom), RandomBrightness and RandomContrast mapped over its batches, and against
`tf.data` written by hand for speed: fast DCT, bilinear resizing, crops, flips and colours on whole batches of uint8
pixels. All at 224 px, batch 32, with and without a cache of the decoded images. Each of `--rounds` rounds builds every
pipeline anew, in turn, and runs 3 epochs; the table gives medians over the rounds, and how many times better than each
opponent every round was. The first epoch includes building the pipeline and decoding the images. CPU time over all 3
epochs is given too: it tells more on a busy host. With `--copies` each photo stands there so many times (links), as
in a larger set, of whose epochs the building of a pipeline is a smaller part.

Memory: resident memory of a fresh process that streams (cache_bytes=0) 1k, 10k and 50k examples, which are repeats of
64 synthetic photos on disk.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import psutil
import tensorflow as tf
from measured import measured_on

from tfkit.artifacts import ImageSpec
from tfkit.data import FileSource, ImageExamples, evaluation_batches, training_batches

_SIZE = 224
_BATCH_SIZE = 32
_EPOCHS = 3


def keras_pipeline(directory: Path, *, cache: bool) -> tf.data.Dataset:
    """What the Keras guide on transfer learning tells people to write."""
    batches = keras.utils.image_dataset_from_directory(
        directory,
        label_mode="categorical",
        image_size=(_SIZE, _SIZE),
        batch_size=_BATCH_SIZE,
        crop_to_aspect_ratio=True,
        seed=0,
        verbose=False,
    )
    if cache:
        batches = batches.cache()
    augment = keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal", seed=1),
            keras.layers.RandomZoom((-0.16, 0.0), (-0.16, 0.0), seed=2),
            keras.layers.RandomBrightness(0.1, seed=3),
            keras.layers.RandomContrast(0.2, seed=4),
        ]
    )
    return batches.map(
        lambda pixels, targets: (augment(pixels, training=True), targets), num_parallel_calls=tf.data.AUTOTUNE
    ).prefetch(tf.data.AUTOTUNE)


def hand_written_pipeline(directory: Path, *, cache: bool) -> tf.data.Dataset:
    """What somebody writes who knows `tf.data` and wants speed: nothing is the same in serving."""
    classes, paths, labels = _photos(directory)

    def decode(path: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_FAST")
        side = tf.reduce_min(tf.shape(pixels)[:2])
        square = tf.image.resize_with_crop_or_pad(pixels, side, side)
        small = tf.cast(tf.image.resize(square, (_SIZE, _SIZE), method="bilinear"), tf.uint8)
        return tf.ensure_shape(small, (_SIZE, _SIZE, 3)), tf.one_hot(label, len(classes))

    def augment(pixels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        count = tf.shape(pixels)[0]
        side = tf.random.uniform((count,), 0.84, 1.0)
        top, left = tf.random.uniform((count,)) * (1 - side), tf.random.uniform((count,)) * (1 - side)
        right = left + side
        flip = tf.random.uniform((count,)) < 0.5
        boxes = tf.stack([top, tf.where(flip, right, left), top + side, tf.where(flip, left, right)], axis=1)
        views = tf.image.crop_and_resize(tf.cast(pixels, tf.float32), boxes, tf.range(count), (_SIZE, _SIZE))
        mean = tf.reduce_mean(views, axis=(1, 2), keepdims=True)
        contrast = tf.random.uniform((count, 1, 1, 1), 0.8, 1.2)
        shift = tf.random.uniform((count, 1, 1, 1), -25.5, 25.5)
        return tf.clip_by_value((views - mean) * contrast + mean + shift, 0, 255), targets

    files = tf.data.Dataset.from_tensor_slices(([str(path) for path in paths], labels))
    if cache:
        decoded = files.map(decode, num_parallel_calls=tf.data.AUTOTUNE).cache().shuffle(len(paths))
    else:
        decoded = files.shuffle(len(paths)).map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    return decoded.batch(_BATCH_SIZE).map(augment, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _copies(directory: Path, folder: Path, copies: int) -> Path:
    if copies == 1:
        return directory
    for path, copy in itertools.product(directory.glob("*/*"), range(copies)):
        (folder / path.parent.name).mkdir(exist_ok=True)
        (folder / path.parent.name / f"{copy}_{path.name}").symlink_to(path.resolve())
    return folder


def _photos(directory: Path) -> tuple[list[str], list[Path], np.ndarray]:
    classes = sorted(path.name for path in directory.iterdir() if path.is_dir())
    paths = [path for name in classes for path in sorted((directory / name).iterdir())]
    return classes, paths, np.array([classes.index(path.parent.name) for path in paths], np.int32)


def tfkit_pipeline(directory: Path, *, cache: bool) -> tf.data.Dataset:
    """The same images and labels through tfkit."""
    classes, paths, labels = _photos(directory)
    examples = ImageExamples(
        source=FileSource(paths, channels=3),
        indices=np.arange(len(paths)),
        labels=labels,
        names=tuple(path.name for path in paths),
        class_names=tuple(classes),
    )
    image = ImageSpec(_SIZE, _SIZE)
    return training_batches(examples, image, batch_size=_BATCH_SIZE, cache_bytes=(1 << 32) if cache else 0)


def measure_run(build: Callable[[], tf.data.Dataset]) -> tuple[float, float, float, float]:
    """Images a second of the first epoch (with building the pipeline), the later ones, all; CPU ms an image of all."""
    cpu, marks = time.process_time(), [time.perf_counter()]
    batches = build()
    for _ in range(_EPOCHS):
        count = sum(int(pixels.shape[0]) for pixels, _ in batches)
        marks.append(time.perf_counter())
    cpu = time.process_time() - cpu
    first, later, whole = marks[1] - marks[0], marks[-1] - marks[1], marks[-1] - marks[0]
    seen = _EPOCHS * count
    return count / first, (seen - count) / later, seen / whole, 1e3 * cpu / seen


def compare_speed(directory: Path, rounds: int) -> None:
    """Run all pipelines in turn, so that a busy host slows all of them alike, and print medians and ratios."""
    pipelines: dict[str, Callable[[], tf.data.Dataset]] = {
        f"{name}, {kind}": lambda build=build, cache=kind == "cached": build(directory, cache=cache)
        for kind in ("decoded anew", "cached")
        for name, build in (
            ("keras", keras_pipeline),
            ("hand-written", hand_written_pipeline),
            ("tfkit", tfkit_pipeline),
        )
    }
    runs: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in pipelines}
    for _ in range(rounds):
        for name, build in pipelines.items():
            runs[name].append(measure_run(build))
    print(f"\n{_SIZE} px, batch {_BATCH_SIZE}, {rounds} rounds of {_EPOCHS} epochs\n")
    print(f"| images/s | first epoch | later | all {_EPOCHS} | CPU ms an image |\n{'| --- ' * 5}|")
    for name, rows in runs.items():
        cells = [f"{statistics.median(column):,.1f}" for column in zip(*rows, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")
    for opponent, kind in itertools.product(("keras", "hand-written"), ("decoded anew", "cached")):
        pairs = zip(runs[f"tfkit, {kind}"], runs[f"{opponent}, {kind}"], strict=True)
        ratios = [
            [*(own / other for own, other in zip(mine[:3], theirs[:3], strict=True)), theirs[3] / mine[3]]
            for mine, theirs in pairs
        ]
        cells = [_spread(list(column)) for column in zip(*ratios, strict=True)]
        print(f"| times better than {opponent}, {kind} | {' | '.join(cells)} |")
    print(f"\nMedians; ratios are taken within a round (lowest to highest). {measured_on()}")


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def measure_memory(counts: tuple[int, ...] = (1_000, 10_000, 50_000)) -> None:
    """One fresh process for each size, for both kinds of batches."""
    print("\nResident memory, streamed, MiB: before reading, its peak, and what it grew by\n")
    print(f"| examples | before | peak | growth | images/s |\n{'| --- ' * 5}|")
    with tempfile.TemporaryDirectory() as folder:
        _write_photos(Path(folder), 64)
        for count in counts:
            command = [sys.executable, __file__, "--memory-of", str(count), "--data", folder]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            before, peak, speed = map(float, answer[-3:])
            growth = peak - before
            print(f"| {count:,} | {before:,.0f} | {peak:,.0f} | {growth:,.0f} | {speed:,.0f} |", flush=True)
    print(f"\n{measured_on()}")


def stream_and_watch(directory: Path, count: int) -> None:
    """Stream `count` repeats of the photos through training and evaluation batches; print before, peak, images/s."""
    paths = sorted(directory.iterdir())
    examples = ImageExamples(
        source=FileSource(paths, channels=3),
        indices=np.arange(count) % len(paths),
        labels=np.arange(count, dtype=np.int32) % 2,
        names=tuple(f"photo[{index}]" for index in range(count)),
        class_names=("even", "odd"),
    )
    image = ImageSpec(96, 96)
    process = psutil.Process()
    for pixels, _ in training_batches(examples.select(np.arange(64)), image, batch_size=32, cache_bytes=0):
        del pixels  # warms up threads and kernels, which are no part of the question
    before = peak = process.memory_info().rss
    start = time.perf_counter()
    for batches in (
        training_batches(examples, image, batch_size=_BATCH_SIZE, cache_bytes=0),
        evaluation_batches(examples.select(np.arange(count // 10)), image, batch_size=_BATCH_SIZE),
    ):
        for step, _ in enumerate(batches):
            if step % 8 == 0:
                peak = max(peak, process.memory_info().rss)
    speed = (count + count // 10) / (time.perf_counter() - start)
    print(before / 2**20, peak / 2**20, speed)


def _write_photos(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    for index in range(count):
        coarse = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
        pixels = tf.cast(tf.image.resize(coarse, (240, 320), method="bicubic"), tf.uint8)
        tf.io.write_file(str(folder / f"{index:03}.jpg"), tf.io.encode_jpeg(tf.clip_by_value(pixels, 0, 255)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of class folders of photos, such as hymenoptera/train")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--memory", action="store_true", help="measure memory instead of speed")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        stream_and_watch(arguments.data, arguments.memory_of)
    elif arguments.memory:
        measure_memory()
    elif arguments.data is None:
        parser.error("--data is needed: a folder of class folders of photos")
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare_speed(_copies(arguments.data, Path(folder), arguments.copies), arguments.rounds)


if __name__ == "__main__":
    main()
