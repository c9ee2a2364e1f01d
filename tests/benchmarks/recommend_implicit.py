"""implicit's side of recommend.py, in an environment of its own: recommend_implicit.py users.npz SEED.

Writes scores.npz beside it: of the best settings on the validation users, a score for each test user and item.
"""

import itertools
import sys
from pathlib import Path

import implicit
import numpy as np
from scipy import sparse


def main() -> None:
    file, seed = Path(sys.argv[1]), int(sys.argv[2])
    users = np.load(file)
    train = sparse.csr_matrix(users["train_taken"])
    found = {}
    for name, settings in (("implicit, least squares", least_squares(seed)), ("implicit, cosine", cosine())):
        best = -1.0
        for model, label in settings:
            model.fit(train, show_progress=False)
            recall = recall_of(scored(model, users["validation_taken"]), users, "validation")
            if recall > best:
                best, found[name] = recall, scored(model, users["test_taken"])
                print(name, label, recall, file=sys.stderr)
    np.savez(file.with_name("scores.npz"), **found)


def least_squares(seed: int):
    for factors, ridge, alpha, rounds in itertools.product((16, 32, 64), (0.1, 1.0, 5.0, 10.0), (1.0, 5.0), (15,)):
        model = implicit.als.AlternatingLeastSquares(
            factors=factors, regularization=ridge, alpha=alpha, iterations=rounds, random_state=seed, num_threads=1
        )
        yield model, (factors, ridge, alpha)


def cosine():
    for neighbours in (20, 50, 100, 200):
        yield implicit.nearest_neighbours.CosineRecommender(K=neighbours, num_threads=1), neighbours


def scored(model, taken: np.ndarray) -> np.ndarray:
    rows = sparse.csr_matrix(taken)
    if hasattr(model, "item_factors"):
        factors = model.recalculate_user(np.arange(len(taken)), rows)
        return np.asarray(factors) @ np.asarray(model.item_factors).T
    return np.asarray((rows @ model.similarity.T.tocsr()).todense())


def recall_of(scores: np.ndarray, users: np.lib.npyio.NpzFile, part: str) -> float:
    wanted = users[f"{part}_wanted"] > 0
    listed = np.argsort(-np.where(users[f"{part}_taken"] > 0, -np.inf, scores), axis=1, kind="stable")[:, :10]
    found = np.take_along_axis(wanted, listed, axis=1).sum(axis=1)
    return float(np.mean(found / np.maximum(1, wanted.sum(axis=1))))


if __name__ == "__main__":
    main()
