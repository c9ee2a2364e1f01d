"""What to label next: the choice of `tfkit label-queue` beside a random one, on sets whose labels are known.

    python tests/benchmarks/label_queue.py DATA --minilm FOLDER [--sets oxford12 banking77] [--seeds 0 1 2 3 4]
        [--rounds 4]

DATA and FOLDER are as for `head_solvers.py`. A head learns from a few examples of each class; in each round as many
more as there are classes are chosen out of the rest of the training examples, and get their labels. Chosen are: those
of `choose_to_label` (BADGE), those with the least margin between the two likeliest classes, and any. The head is
tfkit's, fitted anew in each round; its penalty is chosen on a part of what is labelled. Test examples judge alone.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from head_solvers import Labelled, photo_features, text_features
from measured import measured_on
from scipy.special import softmax
from threadpoolctl import threadpool_limits

from tfkit.data.splitting import keep_per_class
from tfkit.data.targets import dense_targets
from tfkit.monitoring import choose_to_label
from tfkit.tasks import CLASSIFICATION
from tfkit.training import Features, LinearTask, fit_linear_head
from tfkit.training.linear_head import held_out_share

_FIRST = 2  # labels of each class to begin with
Choice = Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]


def main() -> None:
    """Print a row for each set and way to choose: test accuracy after each round."""
    options = _options()
    rounds = range(options.rounds + 1)
    print(f"| set | chosen | {' | '.join(f'round {number}' for number in rounds)} |\n|{' --- |' * (len(rounds) + 2)}")
    for name in options.sets:
        began = time.monotonic()
        read = (
            text_features(options.data, options.minilm) if name == "banking77" else photo_features(options.data, name)
        )
        for chosen_by, choose in CHOICES.items():
            with threadpool_limits(1):
                curves = np.array([_curve(*read, choose, options.rounds, seed) for seed in options.seeds])
            told = [f"{np.median(one):.3f} ({one.min():.3f} to {one.max():.3f})" for one in curves.T]
            print(f"| {name} | {chosen_by} | {' | '.join(told)} |", flush=True)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(f"\nSeeds {options.seeds}: median (lowest to highest). {measured_on()}")


def _curve(train: Labelled, test: Labelled, choose: Choice, rounds: int, seed: int) -> list[float]:
    values, labels = train
    width = int(labels.max()) + 1
    known = keep_per_class(labels, per_class=_FIRST, class_count=width, seed=seed)
    curve = []
    for number in range(rounds + 1):
        kernel, bias = _head(values[known], labels[known], width, seed)
        curve.append(float(np.mean((test[0] @ kernel + bias).argmax(axis=1) == test[1])))
        if number < rounds:
            rest = np.setdiff1d(np.arange(len(labels)), known)
            scores = softmax(values[rest] @ kernel + bias, axis=1)
            known = np.concatenate([known, rest[choose(values[rest], scores, width, seed + number)]])
    return curve


def _head(values: np.ndarray, labels: np.ndarray, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    kept, others = held_out_share(labels, seed=seed)
    whole = Features(values, dense_targets(labels, width))
    parts = [Features(values[chosen], dense_targets(labels[chosen], width)) for chosen in (kept, others)]
    head = fit_linear_head(*parts, LinearTask(task=CLASSIFICATION), everything=whole)
    return head.kernel, head.bias


def _badge(values: np.ndarray, scores: np.ndarray, count: int, seed: int) -> np.ndarray:
    doubts = scores - np.eye(scores.shape[1], dtype=np.float32)[scores.argmax(axis=1)]
    return choose_to_label(values, doubts.astype(np.float32), count=count, seed=seed)


def _least_margin(values: np.ndarray, scores: np.ndarray, count: int, seed: int) -> np.ndarray:
    likeliest = np.sort(scores, axis=1)[:, -2:]
    return np.argsort(likeliest[:, 1] - likeliest[:, 0], kind="stable")[:count]


def _any(values: np.ndarray, scores: np.ndarray, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(len(values), count, replace=False)


CHOICES: dict[str, Choice] = {"label-queue": _badge, "least margin": _least_margin, "random": _any}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--minilm", type=Path)
    parser.add_argument("--sets", nargs="+", default=["oxford12", "banking77"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--rounds", type=int, default=4)
    return parser.parse_args()


if __name__ == "__main__":
    main()
