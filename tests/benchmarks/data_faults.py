"""A folder of photos with faults of 16 kinds: is each named rightly, is nothing good refused, does the run suffer?

    python tests/benchmarks/data_faults.py [--images 2000] [--share 0.05] [--seed 0] [--rounds 3] [--no-training]
        [--photos FOLDER]

All pictures are made, none is fetched. Of `--images` training pictures in 4 classes a `--share` is replaced by faults,
and as many by pictures that look odd and are good (CMYK, 16 bits, other extensions, ...). Printed, as Markdown:

- of each kind of fault how many were made, left out, and named with the right reason; good pictures refused;
- the check's speed beside a bare decode loop (simplejpeg and Pillow in as many threads, files read, nothing else), in
  turn within each round, and the second check of the same folder, which remembers the first;
- accuracy of a small recipe on the faulty and on the clean folder, the same test pictures;
- the cost of an epoch of `training_batches` on the faulty folder and on the same pictures without the faults, nothing
  cached; and once more when one file of a hundred vanishes after the check.

As root the check runs without the right to read everything (`setpriv`), because nothing else is unreadable to root.
"""

import argparse
import contextlib
import io
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import simplejpeg
from measured import measured_on
from PIL import Image

CLASSES = ("circles", "crosses", "stripes", "waves")
_HEIGHT, _WIDTH = 192, 256
_AS_OTHERS = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


@dataclass(frozen=True)
class Fault:
    """One way for a file to be none that can be used.

    Attributes:
        make: Puts it at a path; given a whole JPEG, a whole PNG and random numbers.
        reason: What the reason given for it must say, a regular expression.
        suffix: Of the file's name.
    """

    make: Callable[[Path, bytes, bytes, np.random.Generator], object]
    reason: str
    suffix: str = ".jpg"


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(len(content) * rng.uniform(0.2, 0.9))]


def _with_hole(content: bytes, hole: bytes, rng: np.random.Generator) -> bytes:
    place = int(len(content) * rng.uniform(0.2, 0.8))
    return content[:place] + hole + content[place + len(hole) :]


def _wrong_check_sum(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    start = content.index(b"IDAT") + 4
    changed[start + int(rng.integers(20, 200))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _png_of(height: int, width: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([1, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def _bomb(path: Path, *_: object) -> None:
    path.write_bytes(_png_of(40_000, 40_000, bytes(40_000 * (1 + 5_000))))


def _unreadable(path: Path, jpeg: bytes, *_: object) -> None:
    path.write_bytes(jpeg)
    path.chmod(0)


def _socket(path: Path, *_: object) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


_DAMAGED = r"its (JPEG|image) data is damaged"
FAULTS: dict[str, Fault] = {
    "empty": Fault(lambda path, *_: path.write_bytes(b""), "it is empty"),
    "truncated JPEG": Fault(lambda path, jpeg, png, rng: path.write_bytes(_cut(jpeg, rng)), _DAMAGED),
    "truncated PNG": Fault(
        lambda path, jpeg, png, rng: path.write_bytes(_cut(png, rng)),
        "data (ends within a chunk|has no end)",
        ".png",
    ),
    "zeros in a JPEG's scan": Fault(
        lambda path, jpeg, png, rng: path.write_bytes(_with_hole(jpeg, bytes(400), rng)), _DAMAGED
    ),
    "half overwritten JPEG": Fault(
        lambda path, jpeg, png, rng: path.write_bytes(jpeg[: len(jpeg) // 2] + rng.bytes(len(jpeg) // 2)), _DAMAGED
    ),
    "wrong check sum of a PNG": Fault(
        lambda path, jpeg, png, rng: path.write_bytes(_wrong_check_sum(png, rng)), "check sum of chunk IDAT", ".png"
    ),
    "text": Fault(lambda path, *_: path.write_text("to do: take a photo\n"), "not a JPEG, PNG, BMP, GIF or WebP"),
    "web page": Fault(
        lambda path, *_: path.write_text("<!DOCTYPE html><title>404</title>"), "not a JPEG, PNG, BMP, GIF or WebP"
    ),
    "Git LFS pointer": Fault(
        lambda path, *_: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
        "not a JPEG, PNG, BMP, GIF or WebP",
    ),
    "decompression bomb": Fault(_bomb, "40000 x 40000 pixels, more than data.max_pixels", ".png"),
    "unreadable": Fault(_unreadable, r"cannot be read \(Permission denied\)"),
    "broken link": Fault(lambda path, *_: path.symlink_to("/nowhere/at/all.jpg"), "it is a link to '/nowhere"),
    "pipe": Fault(lambda path, *_: os.mkfifo(path), "it is a pipe"),
    "socket": Fault(_socket, "it is a socket"),
    "folder": Fault(lambda path, *_: path.mkdir(), "it is a folder"),
    "zeros alone": Fault(lambda path, *_: path.write_bytes(bytes(20_000)), "not a JPEG, PNG, BMP, GIF or WebP"),
}


def _encoded(picture: Image.Image, file_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, file_format, **options)
    return stream.getvalue()


def _turned(picture: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return _encoded(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=90, exif=exif)


def _sixteen_bits(picture: Image.Image) -> bytes:
    return _encoded(Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257), "PNG")


def _animated(picture: Image.Image, file_format: str, **options: object) -> bytes:
    return _encoded(picture, file_format, save_all=True, append_images=[picture.rotate(180)], **options)


ODD: dict[str, tuple[Callable[[Image.Image], bytes], str]] = {
    "PNG called .jpg": (lambda picture: _encoded(picture, "PNG"), ".jpg"),
    "JPEG called .png": (lambda picture: _encoded(picture, "JPEG", quality=90), ".png"),
    "JPEG called .dat": (lambda picture: _encoded(picture, "JPEG", quality=90), ".dat"),
    "CMYK": (lambda picture: _encoded(picture.convert("CMYK"), "JPEG", quality=90), ".jpg"),
    "16 bits": (_sixteen_bits, ".png"),
    "palette": (lambda picture: _encoded(picture.quantize(64), "PNG"), ".png"),
    "alpha": (lambda picture: _encoded(picture.convert("RGBA"), "PNG"), ".png"),
    "grey": (lambda picture: _encoded(picture.convert("L"), "JPEG", quality=90), ".jpg"),
    "turned by EXIF": (_turned, ".jpg"),
    "progressive": (lambda picture: _encoded(picture, "JPEG", quality=90, progressive=True), ".jpeg"),
    "animated GIF": (lambda picture: _animated(picture, "GIF"), ".gif"),
    "animated PNG": (lambda picture: _animated(picture, "PNG"), ".png"),
    "animated WebP": (lambda picture: _animated(picture, "WEBP", lossless=True), ".webp"),
    "BMP": (lambda picture: _encoded(picture, "BMP"), ".bmp"),
    "name with blanks, accents, a line break": (lambda p: _encoded(p, "JPEG", quality=90), " ça va\n🐝.JPG"),
    "name that is not UTF-8": (lambda p: _encoded(p, "JPEG", quality=90), os.fsdecode(b"\xff\xfe.jpg")),
}


def picture(kind: int, rng: np.random.Generator) -> Image.Image:
    """A noisy drawing of one of the classes, of random size, place and colours."""
    rows, columns = np.mgrid[:_HEIGHT, :_WIDTH].astype(np.float32)
    row, column, size = rng.uniform(40, 150), rng.uniform(40, 210), rng.uniform(20, 60)
    turn, period = rng.uniform(0, np.pi), rng.uniform(10, 30)
    across = (rows - row) * np.sin(turn) + (columns - column) * np.cos(turn)
    along = (rows - row) * np.cos(turn) - (columns - column) * np.sin(turn)
    near = np.hypot(across, along) < 1.5 * size
    shape = (
        np.abs(np.hypot(across, along) - size) < size / 4,
        near & ((np.abs(across) < size / 5) | (np.abs(along) < size / 5)),
        near & (across % period < period / 2),
        near & ((across + 6 * np.sin(along / 6)) % period < period / 2),
    )[kind]
    ground, ink = rng.uniform(0, 255, (2, 3))
    low = np.asarray(Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((_WIDTH, _HEIGHT)), np.float32)
    pixels = np.where(shape[..., None], ink, 0.6 * ground + 0.4 * low) + rng.normal(0, 12, (_HEIGHT, _WIDTH, 1))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def make_folders(root: Path, images: int, share: float, seed: int) -> tuple[dict[str, str], dict[str, str]]:
    """Write clean/ and faulty/ with train/ and test/; gives the kind of each fault and of each odd picture by name."""
    rng = np.random.default_rng(seed)
    for folder in ("clean", "faulty"):
        for name in CLASSES:
            for split in ("train", "test"):
                (root / folder / split / name).mkdir(parents=True)
    for number in range(max(200, images // 10)):
        content = _encoded(picture(number % 4, rng), "JPEG", quality=90)
        for folder in ("clean", "faulty"):
            (root / folder / "test" / CLASSES[number % 4] / f"{number:05}.jpg").write_bytes(content)
    count = round(images * share)
    chosen = rng.permutation(images)
    fault_of = {int(n): list(FAULTS)[place % len(FAULTS)] for place, n in enumerate(chosen[:count])}
    odd_of = {int(n): list(ODD)[place % len(ODD)] for place, n in enumerate(chosen[count : 2 * count])}
    faults, odd = {}, {}
    for number in range(images):
        name = CLASSES[number % 4]
        drawn = picture(number % 4, rng)
        jpeg = _encoded(drawn, "JPEG", quality=90)
        (root / "clean" / "train" / name / f"{number:05}.jpg").write_bytes(jpeg)
        folder = root / "faulty" / "train" / name
        if number in fault_of:
            fault = FAULTS[fault_of[number]]
            path = folder / f"{number:05}{fault.suffix}"
            fault.make(path, jpeg, _encoded(drawn, "PNG"), rng)
            faults[f"train/{name}/{path.name}"] = fault_of[number]
        elif number in odd_of:
            make, suffix = ODD[odd_of[number]]
            path = folder / f"{number:05}{suffix}"
            path.write_bytes(make(drawn))
            odd[os.fsencode(f"train/{name}/{path.name}").hex()] = odd_of[number]
        else:
            (folder / f"{number:05}.jpg").write_bytes(jpeg)
    return faults, odd


def checked(folder: Path) -> None:
    """In a process of its own: print what loading the folder leaves out and keeps, as JSON."""
    from tfkit.data import load_image_splits

    began = time.perf_counter()
    splits = load_image_splits(source="image_folder", directory=folder, bad_images="skip")
    seconds = time.perf_counter() - began
    parts = (splits.train, splits.validation, splits.test)
    kept = [
        os.fsencode(part.source.path(int(index)).relative_to(folder)).hex() for part in parts for index in part.indices
    ]
    left_out = {item.name: item.reason for item in splits.report.left_out}
    print(json.dumps({"left_out": left_out, "kept": kept, "seconds": seconds, "notes": splits.report.notes}))


def check_in_process(folder: Path, cache: str, *, as_others: bool = False) -> dict:
    """What `checked` prints; of root without the right to read what others may not."""
    command = [*(_AS_OTHERS if as_others and os.geteuid() == 0 else ()), sys.executable, __file__]
    command += ["--check", str(folder)]
    environment = {**os.environ, "TFKIT_CACHE": cache}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(f"crashed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


@contextlib.contextmanager
def timed() -> Iterator[list[float]]:
    """A list that holds the seconds and the processor's seconds of the block after it."""
    cost: list[float] = []
    wall, processor = time.perf_counter(), time.process_time()
    yield cost
    cost += [time.perf_counter() - wall, time.process_time() - processor]


def bare_decode_loop(folder: Path) -> list[float]:
    """What it costs to read and decode every picture of a folder in threads, and do nothing else with them."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())

    def decode(path: Path) -> None:
        content = path.read_bytes()
        if content[:2] == b"\xff\xd8":
            simplejpeg.decode_jpeg(content)
        else:
            np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))

    with timed() as cost, ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(decode, paths):
            pass
    return cost


def check_cost(folder: Path) -> list[float]:
    """What the check of a folder of good pictures costs in this process, nothing remembered."""
    from tfkit.data import load_image_splits

    os.environ["TFKIT_CACHE"] = "off"
    with timed() as cost:
        load_image_splits(source="image_folder", directory=folder)
    return cost


def epoch_costs(folder: Path, rounds: int) -> Iterator[tuple[list[float], int]]:
    """What each epoch of streamed batches costs, and how many pictures it had."""
    from tfkit.artifacts import ImageSpec
    from tfkit.data import load_image_splits, training_batches

    train = load_image_splits(source="image_folder", directory=folder, bad_images="skip").train
    batches = training_batches(train, ImageSpec(96, 96), batch_size=32, cache_bytes=0)
    for _ in batches:  # its graph is made
        pass
    for _ in range(rounds):
        with timed() as cost:
            for _ in batches:
                pass
        yield cost, len(train)


def accuracy(folder: Path, runs: Path, name: str, seed: int) -> float:
    """Of a small network trained from scratch, on the test pictures."""
    recipe = runs / f"{name}.yaml"
    recipe.write_text(
        f"recipe: finetune_image\nrun: {{name: {name}, directory: {runs}, seed: {seed}}}\n"
        f"data: {{source: image_folder, directory: {folder}, image_size: 48, bad_images: skip, batch_size: 32}}\n"
        "model: {backbone: resnet8, weights: random}\n"
        "fine_tune: {epochs: 40, unfreeze: all, learning_rate: 4.0e-3, batch_norm: train}\n"
    )
    command = [str(Path(sys.executable).with_name("tfkit")), "run", str(recipe)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the run on {name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return float(json.loads((runs / name / "report.json").read_text())["evaluation"]["keras"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--training-seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument(
        "--photos", type=Path, nargs="*", default=[], help="folders to measure the check's speed on too"
    )
    parser.add_argument("--no-training", action="store_true")
    parser.add_argument("--check", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.check:
        checked(options.check)
        return
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        root.chmod(0o755)
        faults, odd = make_folders(root, options.images, options.share, options.seed)
        print(f"{options.images} training pictures, {len(faults)} faults, {len(odd)} odd ones, seed {options.seed}.\n")
        show_faults(root / "faulty", faults, odd, options.images)
        show_speed(root, options.rounds, options.photos)
        show_throughput(root, faults, options.rounds)
        if not options.no_training:
            show_accuracy(root, options.training_seeds)
    print(f"\n{measured_on()}")


def show_faults(folder: Path, faults: dict[str, str], odd: dict[str, str], images: int) -> None:
    """Check the faulty folder and print what became of each kind."""
    found = check_in_process(folder, "off", as_others=True)
    reasons, kept = found["left_out"], set(found["kept"])
    print("| fault | made | left out | named rightly |\n| --- | --- | --- | --- |")
    right = 0
    for kind, fault in FAULTS.items():
        names = [name for name, made in faults.items() if made == kind]
        named = [name for name in names if re.search(fault.reason, reasons.get(name, ""))]
        right += len(named)
        print(f"| {kind} | {len(names)} | {sum(name in reasons for name in names)} | {len(named)} |")
        for name in set(names) - set(named):
            print(f"{name} ({kind}): {reasons.get(name, 'kept')}", file=sys.stderr)
    refused = {name: reason for name, reason in reasons.items() if name not in faults}
    lost = {kind for name, kind in odd.items() if name not in kept}
    good = images - len(faults)
    print(f"\nNamed rightly: {right} of {len(faults)}, {right / len(faults):.1%}. Crashes: 0.")
    print(f"Good pictures refused: {len(refused)} of {good}" + (f" ({', '.join(sorted(lost))})" if lost else "") + ".")
    for name, reason in refused.items():
        print(f"{name!r}: {reason}", file=sys.stderr)
    print("Told: " + " ".join(found["notes"]))


def show_speed(root: Path, rounds: int, photos: list[Path]) -> None:
    """Print the speed of the check beside a bare decode loop's, and of the second check."""
    clean = root / "clean"
    for folder in [clean, *photos]:
        count = sum(path.is_file() for path in folder.rglob("*"))
        bare_decode_loop(folder)
        pairs = [(bare_decode_loop(folder), check_cost(folder)) for _ in range(rounds)]
        bare, check = (count / statistics.median(cost[0] for cost in column) for column in zip(*pairs, strict=True))
        what = f"{folder.name}, {count} photos" if folder in photos else f"The {count} made pictures"
        print(f"\n{what}: check {check:.0f} images/s, bare decode loop {bare:.0f}. Speed of the check to the loop's in")
        print(
            f"each of {rounds} rounds: {_spread(pairs, 0)} by the clock, {_spread(pairs, 1)} by the processor's time."
        )
    count = sum(path.is_file() for path in clean.rglob("*"))
    for path in clean.rglob("*.jpg"):
        os.utime(path, (1.7e9, 1.7e9))  # a file changed a moment ago would not be remembered
    first, second = (check_in_process(clean, str(root / "cache"))["seconds"] for _ in range(2))
    print(f"First check of {count} pictures in a process: {first:.2f} s; the second, remembered: {second:.2f} s.")


def show_throughput(root: Path, faults: dict[str, str], rounds: int) -> None:
    """Print the cost of an epoch with faults, without them, and with files that vanished behind the check, in turn."""
    for name in ("good", "vanishing"):
        shutil.copytree(root / "faulty", root / name, ignore=_leave_out({Path(name).name for name in faults}))
    streams = {name: epoch_costs(root / name, rounds) for name in ("good", "faulty", "vanishing")}
    costs: dict[str, list[list[float]]] = {name: [] for name in streams}
    for number in range(rounds):
        for name in list(streams)[:: 1 - 2 * (number % 2)]:  # the order tells nothing
            cost, count = next(streams[name])
            costs[name].append([1000 * seconds / count for seconds in cost])
        if not number:
            files = sorted(path for path in (root / "vanishing" / "train").rglob("*.jpg"))
            for path in files[::100]:  # more than data.max_lost_fraction would stop the epoch
                path.unlink()
    medians = [[statistics.median(kind) for kind in zip(*each, strict=True)] for each in costs.values()]
    wall, processor = zip(*medians, strict=True)
    print("\nAn epoch, streamed, ms an image: " + ", ".join(f"{n} {ms:.2f}" for n, ms in zip(costs, wall, strict=True)))
    print("of the processor's time: " + ", ".join(f"{n} {ms:.2f}" for n, ms in zip(costs, processor, strict=True)))
    for name in ("faulty", "vanishing"):
        pairs = list(zip(costs["good"], costs[name], strict=True))[name == "vanishing" :]
        print(f"Speed on '{name}' to that on 'good' in each round: {_spread(pairs, 0)} by the clock,")
        print(f"{_spread(pairs, 1)} by the processor's time.")


def _leave_out(names: set[str]) -> Callable[[str, list[str]], set[str]]:
    return lambda folder, found: names & set(found)


def _spread(pairs: list[tuple[list[float], list[float]]], kind: int) -> str:
    ratios = [first[kind] / second[kind] for first, second in pairs]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def show_accuracy(root: Path, seeds: list[int]) -> None:
    """Print the accuracy of a small recipe on both folders."""
    runs = root / "runs"
    runs.mkdir()
    figures = {
        name: [accuracy(root / name, runs, f"{name}-{seed}", seed) for seed in seeds] for name in ("clean", "faulty")
    }
    clean, faulty = (statistics.mean(figures[name]) for name in ("clean", "faulty"))
    print(f"\nAccuracy of seeds {seeds}: {clean:.3f} clean, {faulty:.3f} faulty, {100 * (faulty - clean):+.1f} points.")


if __name__ == "__main__":
    main()
