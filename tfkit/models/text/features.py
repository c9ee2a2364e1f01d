"""Pooled features of texts, computed once: what a head is trained on while the encoder is frozen."""

from collections.abc import Callable, Mapping

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.errors import ModelError
from tfkit.models.classifier import feature_extractor
from tfkit.models.text.classifier import PADDING, TOKENS

# done, total, what is being done
Progress = Callable[[int, int, str], None]

_STEP = 8  # lengths are rounded up to it, so that few shapes are traced


def pooled_features(
    model: keras.Model,
    tokens: Mapping[str, NDArray[np.int32]],
    *,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Run the encoder of a text classifier over texts, without dropout.

    Texts go through in the order of their lengths, each batch cut to its longest: padding changes no answer, and most
    texts are much shorter than the longest.

    Args:
        model: A classifier of `build_text_classifier`.
        tokens: `token_ids` and `padding_mask`, int32 (n, length), as the tokeniser gives them; padding at the end.
        batch_size: Texts in one forward pass.
        progress: Called after each batch with texts done, texts in all, and a text.

    Returns:
        float32 (n, hidden), in the order of the texts.

    Raises:
        ModelError: When the arrays are missing or differ in shape.

    Example:
        >>> pooled_features(text_classifier, tokenizer(texts, sequence_length=64)).shape
        (8, 128)
    """
    shapes = {name: np.shape(tokens[name]) for name in (TOKENS, PADDING) if name in tokens}
    if len(shapes) != 2 or shapes[TOKENS] != shapes[PADDING] or len(shapes[TOKENS]) != 2:
        raise ModelError(
            f"features need {TOKENS} and {PADDING} of one shape (n, length); got {shapes or 'neither'}",
            hint="give what the tokeniser returns",
        )
    ids, mask = (np.asarray(tokens[name], np.int32) for name in (TOKENS, PADDING))
    extractor = feature_extractor(model)
    lengths = mask.sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    values = np.zeros((len(ids), extractor.output.shape[-1]), np.float32)
    for start in range(0, len(ids), batch_size):
        chosen = order[start : start + batch_size]
        longest = -(-int(lengths[chosen].max()) // _STEP) * _STEP
        cut = {TOKENS: ids[chosen, :longest], PADDING: mask[chosen, :longest]}
        values[chosen] = extractor.predict_on_batch(cut)
        if progress is not None:
            done = start + len(chosen)
            progress(done, len(ids), f"features {done}/{len(ids)}")
    return values
