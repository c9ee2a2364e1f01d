"""Whether a model's weights are numbers: neither NaN nor infinite."""

from typing import TYPE_CHECKING

import keras
import numpy as np

if TYPE_CHECKING:
    import tf_keras


def weight_that_is_no_number(model: "keras.Model | tf_keras.Model") -> str | None:
    """Find the first weight of a model that holds NaN or infinity.

    Args:
        model: A `keras.Model`, or one of tf-keras.

    Returns:
        Its path, such as `stem/kernel`; None when all values are finite.

    Example:
        >>> weight_that_is_no_number(model)
    """
    for weight in model.weights:
        values = np.asarray(keras.ops.convert_to_numpy(weight))
        if values.dtype.kind not in "iub" and not np.isfinite(values.astype(np.float32, copy=False)).all():
            return str(getattr(weight, "path", weight.name))
    return None
