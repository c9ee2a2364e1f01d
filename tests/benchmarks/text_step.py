"""Fine-tuning a BERT with tfkit beside keras-hub's `BertTextClassifier.fit`, on the same texts, in one process.

    python tests/benchmarks/text_step.py DATA --backbone MINILM [--texts 2000] [--epochs 3] [--rounds 1] [--seed 0]
        [--hub-jit auto] [--length 64]

DATA holds banking77/; MINILM is a Hugging Face folder of all-MiniLM-L6-v2; without --texts all 10,003 are trained on.
Both train everything with the same optimizer, schedule, batch size and longest text. keras-hub tokenises in `fit` and
pads each text to the longest; tfkit puts texts of like length together. An epoch's seconds leave out the first, which
traces; with --rounds the two take turns. Accuracy is that on the whole test set, after the last epoch.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np
from measured import measured_on

from tfkit import data
from tfkit.data.text import load_text_splits, open_tokenizer, token_arrays
from tfkit.models.text import build_text_backbone, build_text_classifier
from tfkit.training import Optimization
from tfkit.training.fine_tune_text import fine_tune_text
from tfkit.training.optimization import build_optimizer


class EpochSeconds(keras.callbacks.Callback):
    """How long each epoch took."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.seconds.append(time.perf_counter() - self._began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--texts", type=int, help="training texts; all when left out")
    parser.add_argument("--length", type=int, default=64, help="tokens of a text at most")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument(
        "--hub-jit", choices=["auto", "true", "false"], default="auto", help="jit_compile of keras-hub's"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    splits = banking77(options.data, seed=options.seed)
    if options.texts:
        chosen = np.random.default_rng(options.seed).permutation(len(splits.train))[: options.texts]
        splits = data.DatasetSplits(splits.train.select(chosen), splits.validation, splits.test, splits.report)
    plan = Optimization(
        epochs=options.epochs,
        learning_rate=3e-4,
        optimizer="adamw",
        weight_decay=0.01,
        schedule="cosine",
        warmup=0.1,
    )
    ways = {"keras-hub": train_with_hub, "tfkit": train_with_tfkit}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    accuracy: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way, train in ways.items():
            keras.utils.set_random_seed(options.seed)
            taken, reached = train(splits, plan, options)
            seconds[way] += taken[1:] or taken
            accuracy[way].append(reached)
            print(f"{way}: {', '.join(f'{each:.1f}' for each in taken)} s, accuracy {reached:.4f}", flush=True)
    print_table(splits, seconds, accuracy, options)


def banking77(folder: Path, *, seed: int) -> data.DatasetSplits:
    """All training and test texts; none are kept for validation."""
    return load_text_splits(
        source="csv",
        directory=folder / "banking77",
        train=Path("train.csv"),
        test=Path("test.csv"),
        label_column="category",
        validation_fraction=0.0,
        seed=seed,
    )


def train_with_hub(splits: Any, plan: Optimization, options: argparse.Namespace) -> tuple[list[float], float]:
    """Seconds of each epoch, and accuracy on the test texts."""
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor.from_preset(
        options.backbone, sequence_length=options.length
    )
    model = keras_hub.models.BertTextClassifier(
        backbone=keras_hub.models.BertBackbone.from_preset(options.backbone),
        preprocessor=preprocessor,
        num_classes=len(splits.class_names),
    )
    steps = plan.epochs * -(-len(splits.train) // options.batch_size)
    model.compile(
        build_optimizer(plan, steps=steps),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile={"auto": "auto", "true": True, "false": False}[options.hub_jit],
    )
    timed = EpochSeconds()
    texts, labels = np.array(splits.train.texts), splits.train.labels
    model.fit(texts, labels, batch_size=options.batch_size, epochs=plan.epochs, callbacks=[timed], verbose=0)
    scores = model.predict(np.array(splits.test.texts), batch_size=64, verbose=0)
    return timed.seconds, float((scores.argmax(axis=1) == splits.test.labels).mean())


def train_with_tfkit(splits: Any, plan: Optimization, options: argparse.Namespace) -> tuple[list[float], float]:
    """The same."""
    tokenizer = open_tokenizer(options.backbone)
    model = build_text_classifier(
        build_text_backbone(options.backbone), classes=len(splits.class_names), pooling="mean"
    )
    timed = EpochSeconds()
    trained = fine_tune_text(
        model,
        splits.train,
        splits.validation,
        tokenizer,
        sequence_length=options.length,
        optimization=plan,
        batch_size=options.batch_size,
        seed=options.seed,
        callbacks=(timed,),
    )
    tokens = token_arrays(splits.test, tokenizer, sequence_length=options.length)
    scores = trained.model.predict(tokens, batch_size=64, verbose=0)
    return timed.seconds, float((scores.argmax(axis=1) == splits.test.labels).mean())


def print_table(splits: Any, seconds: Any, accuracy: Any, options: argparse.Namespace) -> None:
    print("\n| | seconds an epoch, median (spread) | accuracy |\n| --- | --- | --- |")
    for way, taken in seconds.items():
        spread = f"{statistics.median(taken):.1f} ({min(taken):.1f} to {max(taken):.1f})"
        print(f"| {way} | {spread} | {statistics.mean(accuracy[way]):.4f} |")
    ratio = statistics.median(seconds["keras-hub"]) / statistics.median(seconds["tfkit"])
    print(
        f"\ntfkit is {ratio:.2f}x as fast: {len(splits.train):,} texts of at most {options.length} tokens in batches of"
    )
    print(f"{options.batch_size}, jit_compile={options.hub_jit} in keras-hub's, seed {options.seed}.", end=" ")
    print(measured_on())


if __name__ == "__main__":
    main()
