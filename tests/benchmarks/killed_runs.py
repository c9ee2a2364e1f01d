"""Runs killed at random moments and started again, against one that nobody disturbed: equal to the bit or not.

    python tests/benchmarks/killed_runs.py [--images 10] [--photos 5] [--texts 5] [--embeddings 2] [--each 1] [--seed 0]

Each trial sends SIGKILL to `tfkit run` at a moment drawn evenly from the seconds that the undisturbed run took, then
gives the same command again. Compared are the SHA-256 of every exported file, and of the weights of every kept model;
of a SavedModel its variables, because Keras's ExportArchive writes them, and its graph, in the order of their addresses
in memory. The manifest and the report tell times.
"""

import argparse
import hashlib
import random
import re
import signal
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
from commands import Ended, tfkit_command
from measured import measured_on
from PIL import Image
from sklearn.datasets import load_digits

IMAGES = """\
recipe: finetune_image
data:
  {source: digits, classes: ["0", "1", "2"], labels_per_class: 60, image_size: 16, channels: 1, resize: stretch,
   batch_size: 16}
augmentation: {policy: light, mixing: mixup, flip: false}
model: {backbone: resnet8, weights: random, dropout: 0.2}
head: {epochs: 20}
fine_tune: {epochs: 8, learning_rate: 3.0e-3, batch_norm: train, ema: 0.9, early_stopping: 6}
pruning: {sparsity: 0.6, epochs: 6, learning_rate: 1.0e-3}
quantization: {epochs: 4, learning_rate: 3.0e-4}
distillation: {}
export: {formats: [saved_model, tflite_float32, tflite_int8]}
acceptance: {max_accuracy_drop: 1.0, min_agreement: 0.0}
"""
PHOTOS = """\
recipe: finetune_image
data:
  {source: image_folder, directory: photos, test_fraction: 0.3, image_size: 32, resize: stretch, batch_size: 16,
   cache_mb: 1}
augmentation: {policy: light, mixing: mixup, flip: false}
model: {backbone: resnet8, weights: random, dropout: 0.2}
head: {epochs: 10}
fine_tune: {epochs: 4, learning_rate: 3.0e-3, batch_norm: train, ema: 0.9}
pruning: {sparsity: 0.6, epochs: 3, learning_rate: 1.0e-3}
quantization: {epochs: 2, learning_rate: 3.0e-4}
export: {formats: [saved_model, tflite_float32, tflite_int8]}
acceptance: {max_accuracy_drop: 1.0, min_agreement: 0.0}
"""
TEXTS = """\
recipe: finetune_text
data: {source: built_in, label_column: intent, sequence_length: 16, test_fraction: 0.5, batch_size: 16}
model: {backbone: bert_tiny, vocabulary_size: 400, dropout: 0.1}
fine_tune: {epochs: 6, learning_rate: 1.0e-3}
pruning: {layers: 1, heads: 1, feedforward: 128, epochs: 4, learning_rate: 1.0e-3}
quantization: {epochs: 3}
distillation: {hidden_states: 1.0}
export: {formats: [saved_model, tflite_dynamic_int8]}
acceptance: {max_accuracy_drop: 1.0, min_agreement: 0.0}
"""
EMBEDDINGS = """\
recipe: embed_text
data: {source: built_in, label_column: intent, sequence_length: 16, validation_fraction: 0.3, test_fraction: 0.5}
model: {backbone: bert_tiny, vocabulary_size: 400}
fine_tune: {epochs: 8, learning_rate: 1.0e-3}
search: {min_confidence: 0.0}
export: {formats: [saved_model, tflite_dynamic_int8]}
acceptance: {max_accuracy_drop: 1.0, min_agreement: 0.0}
"""
RECIPES = {"images": IMAGES, "photos": PHOTOS, "texts": TEXTS, "embeddings": EMBEDDINGS}


def run(folder: Path, name: str, *, kill_after: float | None = None) -> Ended:
    """Start `tfkit run` on the recipe in a folder, and kill it after so many seconds."""
    return tfkit_command(folder, "run", "recipe.yaml", f"run.name={name}", kill_after=kill_after)


def write_photos(folder: Path) -> None:
    """Pictures of three digits in a folder a class: more than `cache_mb` holds, so that they are kept on disk."""
    digits = load_digits(n_class=3)
    for number, (pixels, digit) in enumerate(zip(digits.images[:400], digits.target, strict=False)):
        (folder / str(digit)).mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15.9).astype(np.uint8)).save(folder / str(digit) / f"{number}.png")


def digests(run_folder: Path) -> dict[str, str]:
    """SHA-256 of the exported files, and of the weights of the kept models."""
    found = {}
    for path in sorted((run_folder / "artifacts").rglob("*")):
        name = path.relative_to(run_folder).as_posix()
        if path.is_file() and "saved_model" not in name and path.name not in ("manifest.json", "SHA256SUMS"):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.name == "variables" and path.is_dir():
            found[name] = variables_digest(path / "variables")
    for path in sorted((run_folder / "models").glob("*.keras")):
        found[path.relative_to(run_folder).as_posix()] = weights_digest(path)
    return found


def variables_digest(prefix: Path) -> str:
    """SHA-256 of a SavedModel's variables."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(prefix))
    digest = hashlib.sha256()
    for name in sorted(reader.get_variable_to_shape_map()):
        if name.startswith("variables/"):
            digest.update(name.encode() + reader.get_tensor(name).tobytes())
    return digest.hexdigest()


def weights_digest(path: Path) -> str:
    """SHA-256 of a Keras file's weights: the file itself holds when it was saved."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as file, h5py.File(file) as weights:

        def add(name: str, item: object) -> None:
            if isinstance(item, h5py.Dataset):
                digest.update(name.encode() + item[()].tobytes())

        weights.visititems(add)
    return digest.hexdigest()


def last_stage(out: str) -> str:
    """The last stage that a run had told of."""
    lines = [line.strip() for line in out.splitlines() if re.match(r"\s+(✓|ok) ", line)]
    return re.split(r"\s{2,}", lines[-1].split(" ", 1)[1].strip())[0] if lines else "-"


def trials(kind: str, count: int, each: int, seed: int, folder: Path) -> None:
    """Kill so many runs of one recipe, each so often, and tell which ended as the undisturbed one did."""
    folder.mkdir()
    (folder / "recipe.yaml").write_text(RECIPES[kind])
    if kind == "photos":
        write_photos(folder / "photos")
    whole = run(folder, "whole")
    assert whole.status == 0, whole.out
    wanted, chosen = digests(folder / "runs/whole"), random.Random(seed)
    kills = equal = runs = 0
    print(f"\n{kind}: {len(wanted)} files, undisturbed in {whole.seconds:.0f} s; seed {seed}\n", flush=True)
    print("| killed after, last stage told of | seconds to the end | equal |\n| --- | --- | --- |", flush=True)
    for number in range(count):
        name, stops, last = f"killed_{number}", list[str](), None
        while last is None or last.status == -signal.SIGKILL:
            moment = chosen.uniform(2.0, whole.seconds) if len(stops) < each else None
            last = run(folder, name, kill_after=moment)
            if last.status == -signal.SIGKILL:
                stops.append(f"{last.seconds:.0f} s, {last_stage(last.out)}")
        whole_already = "holds the finished run of this recipe" in last.out  # the kill met the end of the process
        found = digests(folder / "runs" / name) if last.status == 0 or whole_already else {}
        other = sorted(name for name in wanted if found.get(name) != wanted[name])
        told = f"NO, status {last.status}: {', '.join(other)} {last.out[-600:]!r}" if other else "yes"
        if stops:  # else it had ended before it was to be killed
            runs, kills, equal = runs + 1, kills + len(stops), equal + (not other)
        print(f"| {'; '.join(stops) or 'had ended before'} | {last.seconds:.0f} s | {told} |", flush=True)
    print(f"\n{kills} kills of {runs} runs; {equal} of {runs} equal to the bit.", flush=True)


def main() -> None:
    """Kill what was asked for, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind, count in (("images", 10), ("photos", 5), ("texts", 5), ("embeddings", 2)):
        parser.add_argument(f"--{kind}", type=int, default=count, help=f"runs of the recipe for {kind}")
    parser.add_argument("--each", type=int, default=1, help="kills of each run")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="killed-runs-") as folder:
        for kind in RECIPES:
            if count := getattr(options, kind):
                trials(kind, count, options.each, options.seed, Path(folder) / kind)
    print(f"\n{measured_on()}")


if __name__ == "__main__":
    main()
