"""A recommender as a Keras model: from the items that a user took to a score for each item."""

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.errors import ModelError
from tfkit.layers.histories import TakenItems
from tfkit.models.classifier import LOGITS, SCORES

# What lies on the score of an item that the user has already: no sum of weights comes near it.
TAKEN = -1e4


def build_recommender(weights: NDArray[np.floating], *, length: int) -> keras.Model:
    """Put weights between items into a model of plain layers.

    The score of an item is the sum of its weights from the items in the history, whatever their order; what is in the
    history itself, and id 0, get a score that is far below all others, so that no runtime lists them.

    Args:
        weights: float (items, items): in row i and column j what item i says for item j.
        length: Items of a history at most.

    Returns:
        A flat model from `item_ids`, int32 (n, length), ids from 1 and 0 behind the last, to `scores`, float32
        (n, items + 1).

    Raises:
        ModelError: When the weights are no square of numbers.

    Example:
        >>> model = build_recommender(np.array([[0.0, 1.0], [0.5, 0.0]]), length=3)
        >>> model.predict(np.int32([[1, 0, 0]]), verbose=0).round(1).tolist()
        [[-20000.0, -10000.0, 1.0]]
    """
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1] or not np.isfinite(weights).all():
        raise ModelError(f"a recommender is made of a square of weights; got {weights.shape}")
    width = len(weights) + 1
    ids = keras.Input((length,), dtype="int32", name="item_ids")
    taken = TakenItems(width, name="taken")(ids)
    given = keras.layers.Dense(width, name=LOGITS)(taken)
    hidden = keras.layers.Rescaling(TAKEN, name="hidden")(taken)
    scores = keras.layers.Add(name=SCORES, dtype="float32")([given, hidden])
    model = keras.Model(ids, scores, name="recommender")
    kernel, bias = np.zeros((width, width), np.float32), np.zeros(width, np.float32)
    kernel[1:, 1:], bias[0] = weights, TAKEN
    model.get_layer(LOGITS).set_weights([kernel, bias])
    return model
