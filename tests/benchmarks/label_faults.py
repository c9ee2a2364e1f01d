"""Labels made wrong on real sets: which of them `find_suspicious_labels` finds, beside the plainest rule.

    python tests/benchmarks/label_faults.py DATA --minilm FOLDER [--sets oxford12 sst2] [--shares 0 0.02 0.05 0.1]
        [--seeds 0 1 2] [--most 2000] [--features FOLDER]

DATA holds the sets and weights/mobilenet_v2_1.0_224_deq.weights.h5; FOLDER is all-MiniLM-L6-v2 as Hugging Face saved
it. A share of the labels is turned into another class, evenly by chance. The plainest rule takes the examples whose
given class scores lowest, by the same heads: as many as were made wrong, which nobody knows of his own data, and
as many as tfkit found. Features are kept in the folder of `--features`. The margin was chosen on the sets of TUNED.
"""

import argparse
import csv
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from image_recipes import WEIGHTS
from measured import measured_on
from sklearn.datasets import load_digits

from tfkit.artifacts import ImageSpec
from tfkit.data import ArraySource, ImageExamples, load_image_splits
from tfkit.data.text import TextExamples, load_text_splits, open_tokenizer, token_arrays
from tfkit.models import build_backbone, build_classifier
from tfkit.models.text import build_text_backbone, build_text_classifier, pooled_features
from tfkit.training import cache_features, find_suspicious_labels, frozen_features
from tfkit.training.label_probe import unseen_scores

Labelled = tuple[np.ndarray, np.ndarray]  # float32 (n, d) features, int32 (n,) labels
TUNED = ("digits", "hymenoptera", "oxford12", "chest_xray", "banking77")
_SHOWN = 12  # in the report
OTHERS = ("fashion_mnist", "cifar10", "financial_phrasebank", "sst2", "intents_small")


def main() -> None:
    """Print a row for each set and share."""
    options = _options()
    heads = ("set", "examples, classes", "heads right", "made wrong", "found", "precision", "of the first 12", "recall")
    plain = ("lowest, as many as found: precision", "lowest, as many as made wrong: both")
    print(f"| {' | '.join((*heads, *plain))} |\n|{' --- |' * 10}")
    for name in options.sets:
        values, labels = _kept(options, name)
        width = int(labels.max()) + 1
        for share in options.shares:
            began = time.monotonic()
            rows = np.array(
                [_judged(values, labels, width, share, seed) for seed in options.seeds if share or not seed]
            )
            right, wrong, found, precision, first, recall, lowest, knowing = rows.mean(axis=0)
            told = f"| {name} | {len(labels)}, {width} | {right:.2f} | {wrong:.0f} ({share:.0%}) | {found:.0f} | "
            told += (
                f"{precision:.2f} | {first:.2f} | {recall:.2f} | {lowest:.2f} | {knowing:.2f} |"
                if share
                else "- | " * 4 + "- |"
            )
            print(told, flush=True)
            print(f"{name} {share}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(f"\nSeeds {options.seeds}; of right labels the first. {measured_on()}")


def _judged(values: np.ndarray, labels: np.ndarray, width: int, share: float, seed: int) -> tuple[float, ...]:
    draw, given = np.random.default_rng(seed), labels.copy()
    wrong = draw.choice(len(labels), round(share * len(labels)), replace=False)
    given[wrong] = (given[wrong] + draw.integers(1, width, len(wrong))) % width
    names = tuple(map(str, range(len(labels))))
    looked = find_suspicious_labels(values, given, tuple(map(str, range(width))), names, seed=seed)
    found = np.array([one.position for one in looked.found], np.int64)
    scores = unseen_scores(values, given, width, seed=seed)
    right = np.mean(scores.argmax(axis=1) == labels)
    order = np.argsort(scores[np.arange(len(given)), given], kind="stable")
    hits, first = np.isin(found, wrong).sum(), np.isin(found[:_SHOWN], wrong).mean() if len(found) else 0.0
    as_many, knowing = (np.isin(order[:count], wrong).sum() / max(1, count) for count in (len(found), len(wrong)))
    return right, len(wrong), len(found), hits / max(1, len(found)), first, hits / max(1, len(wrong)), as_many, knowing


def _kept(options: argparse.Namespace, name: str) -> Labelled:
    """Features and labels, from the folder where they are kept if they are there; the first `--most` by chance."""
    file = options.features / f"{name}.npz" if options.features else None
    if file is not None and file.is_file():
        with np.load(file) as arrays:
            return arrays["x"].astype(np.float32), arrays["y"].astype(np.int32)
    values, labels = _READERS[name](options, name)
    if file is not None:
        np.savez(file, x=values, y=labels)
    return values, labels


def _few(count: int, most: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).permutation(count)[:most])


def _digits(options: argparse.Namespace, name: str) -> Labelled:
    pixels, labels = load_digits(return_X_y=True)
    return (pixels / 16).astype(np.float32), labels.astype(np.int32)


def _photos(options: argparse.Namespace, name: str) -> Labelled:
    splits = load_image_splits(source="image_folder", directory=options.data / name, validation_fraction=0.0)
    return _of_images(options, splits.train)


def _arrays(options: argparse.Namespace, name: str) -> Labelled:
    file = options.data / name / "train10k.npz"
    with np.load(file) as arrays:
        pixels, labels = arrays["x"], arrays["y"].astype(np.int32)
    names, classes = tuple(map(str, range(len(labels)))), tuple(map(str, range(int(labels.max()) + 1)))
    examples = ImageExamples(ArraySource(pixels, channels=3), np.arange(len(labels)), labels, names, classes)
    return _of_images(options, examples.select(_few(len(labels), options.most)))


def _of_images(options: argparse.Namespace, train: ImageExamples) -> Labelled:
    image = ImageSpec(224, 224)
    backbone = build_backbone("mobilenet_v2", image=image, weights=options.data / WEIGHTS)
    extractor = frozen_features(build_classifier(backbone, classes=len(train.class_names)))
    return cache_features(extractor, train, image, batch_size=32).values, train.labels


def _table(options: argparse.Namespace, name: str) -> Labelled:
    folder = options.data / name
    given = {"source": "built_in", "label_column": "intent", "test_fraction": 0.1}
    if name == "banking77":
        files = {"train": folder / "train.csv", "test": folder / "test.csv"}
        given = {"source": "csv", **files, "label_column": "category"}
    return _of_texts(options, load_text_splits(**given, validation_fraction=0.0).train)


def _lines(options: argparse.Namespace, name: str) -> Labelled:
    if name == "sst2":
        with (options.data / "sst2/train.tsv").open(newline="") as file:
            rows = [(text, label) for text, label in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    else:
        lines = (options.data / name / "Sentences_AllAgree.txt").read_text(encoding="latin-1").splitlines()
        rows = [tuple(line.rsplit("@", 1)) for line in lines]
    classes = tuple(sorted({label for _, label in rows}))
    labels = np.array([classes.index(label) for _, label in rows], np.int32)
    examples = TextExamples(tuple(text for text, _ in rows), labels, tuple(map(str, range(len(rows)))), classes)
    return _of_texts(options, examples.select(_few(len(rows), options.most)))


def _of_texts(options: argparse.Namespace, train: TextExamples) -> Labelled:
    tokenizer, backbone = open_tokenizer(options.minilm), build_text_backbone(str(options.minilm))
    model = build_text_classifier(backbone, classes=len(train.class_names), pooling="mean")
    return pooled_features(model, token_arrays(train, tokenizer, sequence_length=64)), train.labels


_READERS: dict[str, Callable[[argparse.Namespace, str], Labelled]] = {
    "digits": _digits,
    **dict.fromkeys(("hymenoptera", "oxford12", "chest_xray"), _photos),
    **dict.fromkeys(("fashion_mnist", "cifar10"), _arrays),
    **dict.fromkeys(("banking77", "intents_small"), _table),
    **dict.fromkeys(("financial_phrasebank", "sst2"), _lines),
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--minilm", type=Path)
    parser.add_argument("--sets", nargs="+", default=[*TUNED, *OTHERS], choices=list(_READERS))
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.02, 0.05, 0.1])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--most", type=int, default=2000, help="examples of the larger sets")
    parser.add_argument("--features", type=Path, help="a folder to keep features in")
    return parser.parse_args()


if __name__ == "__main__":
    main()
