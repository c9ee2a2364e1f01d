"""A head fitted by tfkit beside scikit-learn's logistic regression on the same features, both chosen on validation.

    python tests/benchmarks/head_solvers.py DATA [--minilm FOLDER] [--sets hymenoptera oxford12 banking77]
        [--seeds 0 1 2]

DATA holds hymenoptera/, oxford12/, banking77/ and weights/mobilenet_v2_1.0_224_deq.weights.h5; FOLDER, for banking77,
is all-MiniLM-L6-v2 as Hugging Face saved it. A seed says which fifth of the training examples (of banking77 a tenth)
chooses.
Scikit-learn tries nine penalties from 1e-4 to 1e4 on standardised features. Both compute on one thread.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from image_recipes import WEIGHTS
from measured import measured_on
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from tfkit.artifacts import ImageSpec
from tfkit.data import load_image_splits
from tfkit.data.splitting import stratified_holdout
from tfkit.data.targets import dense_targets
from tfkit.data.text import load_text_splits, open_tokenizer, token_arrays
from tfkit.models import build_backbone, build_classifier
from tfkit.models.text import build_text_backbone, build_text_classifier, pooled_features
from tfkit.tasks import CLASSIFICATION
from tfkit.training import Features, LinearTask, cache_features, fit_linear_head, frozen_features

Labelled = tuple[np.ndarray, np.ndarray]  # features, labels
PENALTIES = np.logspace(-4, 4, 9)


def main() -> None:
    options = _options()
    print("| set | training examples | tfkit: test accuracy | scikit-learn's | tfkit: CPU seconds | scikit-learn's |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in options.sets:
        began = time.process_time()
        train, test = (
            text_features(options.data, options.minilm) if name == "banking77" else photo_features(options.data, name)
        )
        print(f"{name}: features in {time.process_time() - began:.0f} CPU s", file=sys.stderr, flush=True)
        rows = []
        for seed in options.seeds:
            fraction = 0.1 if name == "banking77" else 0.2
            names, contents = tuple(map(str, np.unique(train[1]))), [str(row).encode() for row in range(len(train[1]))]
            kept, held_out = stratified_holdout(
                train[1], contents, fraction=fraction, seed=seed, class_names=names, what="validation"
            )
            parts = [(train[0][chosen], train[1][chosen]) for chosen in (kept, held_out)]
            with threadpool_limits(1):
                rows.append([*_tfkit(*parts, test), *_scikit_learn(*parts, test)])
            told = [f"{value:.4g}" for value in rows[-1]]
            print(f"{name}, seed {seed}: {', '.join(told)}", file=sys.stderr, flush=True)
        ours, our_seconds, theirs, their_seconds = (_spread(column) for column in zip(*rows, strict=True))
        print(f"| {name} | {len(kept)} | {ours} | {theirs} | {our_seconds} | {their_seconds} |", flush=True)
    print(f"\nSeeds {options.seeds}: mean (lowest to highest). {measured_on()}")


def _tfkit(seen: Labelled, held_out: Labelled, test: Labelled) -> tuple[float, float]:
    began, width = time.process_time(), int(seen[1].max()) + 1
    features = [Features(values, dense_targets(labels, width)) for values, labels in (seen, held_out)]
    head = fit_linear_head(*features, LinearTask(task=CLASSIFICATION))
    seconds = time.process_time() - began
    return float(np.mean((test[0] @ head.kernel + head.bias).argmax(axis=1) == test[1])), seconds


def _scikit_learn(seen: Labelled, held_out: Labelled, test: Labelled) -> tuple[float, float]:
    began = time.process_time()
    scaler = StandardScaler().fit(seen[0])
    scaled = scaler.transform(seen[0])
    models = [LogisticRegression(C=penalty, max_iter=1000).fit(scaled, seen[1]) for penalty in PENALTIES]
    chosen = max(models, key=lambda model: model.score(scaler.transform(held_out[0]), held_out[1]))
    seconds = time.process_time() - began
    return float(chosen.score(scaler.transform(test[0]), test[1])), seconds


def photo_features(data: Path, name: str) -> tuple[Labelled, Labelled]:
    """Training and test photos of class folders in DATA, as MobileNetV2 sees them."""
    image = ImageSpec(224, 224)
    splits = load_image_splits(source="image_folder", directory=data / name, validation_fraction=0.0)
    backbone = build_backbone("mobilenet_v2", image=image, weights=data / WEIGHTS)
    extractor = frozen_features(build_classifier(backbone, classes=len(splits.class_names)))
    train, test = (
        (cache_features(extractor, part, image, batch_size=32).values, part.labels)
        for part in (splits.train, splits.test)
    )
    return train, test


def text_features(data: Path, minilm: Path) -> tuple[Labelled, Labelled]:
    """Training and test texts of banking77 in DATA, as MiniLM sees them."""
    folder = data / "banking77"
    files = {"train": folder / "train.csv", "test": folder / "test.csv", "label_column": "category"}
    splits = load_text_splits(source="csv", **files, validation_fraction=0.0)
    tokenizer = open_tokenizer(minilm)
    backbone = build_text_backbone(str(minilm))
    model = build_text_classifier(backbone, classes=len(splits.class_names), pooling="mean")
    train, test = (
        (pooled_features(model, token_arrays(part, tokenizer, sequence_length=64)), part.labels)
        for part in (splits.train, splits.test)
    )
    return train, test


def _spread(values: tuple[float, ...]) -> str:
    form = ".3f" if max(values) <= 1 and min(values) > 0.5 else ".2f"
    return f"{statistics.mean(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--minilm", type=Path)
    parser.add_argument("--sets", nargs="+", default=["hymenoptera", "oxford12", "banking77"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    return parser.parse_args()


if __name__ == "__main__":
    main()
