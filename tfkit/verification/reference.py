"""What a Keras model answers on a split: what every exported file is compared with."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import InputSpec
from tfkit.inputs import input_batches, input_of
from tfkit.runtimes import Feed, KerasRuntime

if TYPE_CHECKING:  # it starts TensorFlow
    from tfkit.data import Examples

_RELATIVE, _ABSOLUTE = 1e-4, 1e-5  # sums of another length are rounded differently

_WORTH = 2e10  # multiply-adds: with fewer, tracing the model for another length takes longer than padding


def reference_scores(model: Any, examples: "Examples", spec: InputSpec, *, batch_size: int = 64) -> NDArray[np.float32]:
    """Run the Keras model over a split: what every exported file is compared with.

    Texts go through in the order of their lengths, each batch without padding that none of them needs, when the model
    answers the batch with the most padding alike with and without it, and the split is worth it.

    Args:
        model: A built `keras.Model` on raw pixels, or on token ids.
        examples: The images or texts.
        spec: The images or texts the model takes.
        batch_size: Images or texts in one step.

    Returns:
        float32 (n, classes), in the order of the examples; of one sigmoid unit both classes' scores, (n, 2).
    """
    by_length = input_of(spec).by_length
    with KerasRuntime(model, batch_size=batch_size) as runtime:
        if by_length is None or not _is_worth_it(model, examples, spec):
            batches = input_batches(examples, spec, batch_size=batch_size)
            return np.concatenate([runtime.scores(feed) for feed in batches])
        order = by_length(examples, spec)
        batches = input_batches(examples.select(order), spec, batch_size=batch_size)
        sorted_scores = np.concatenate(list(_scores_without_padding(runtime, batches, input_of(spec).unpadded)))
    scores = np.empty_like(sorted_scores)
    scores[order] = sorted_scores
    return scores


def _is_worth_it(model: Any, examples: "Examples", spec: InputSpec) -> bool:
    """Whether a model takes any length, and is large enough for so many examples."""
    length = input_of(spec).tensors(spec)[0].shape[1] or 1
    multiply_adds = float(model.count_params()) * len(examples) * length
    return multiply_adds >= _WORTH and all(tensor.shape[1] is None for tensor in model.inputs)


def _scores_without_padding(
    runtime: KerasRuntime, batches: Iterator[Feed], unpadded: Callable[[Feed], Feed]
) -> Iterator[NDArray[np.float32]]:
    """The scores of each batch; the first, whose padding is the longest, tells whether padding changes them."""
    first = next(batches)
    whole = runtime.scores(first)
    changes_nothing = np.allclose(runtime.scores(unpadded(first)), whole, rtol=_RELATIVE, atol=_ABSOLUTE)
    yield whole
    for feed in batches:
        yield runtime.scores(unpadded(feed) if changes_nothing else feed)
