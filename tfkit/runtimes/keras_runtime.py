"""Run a Keras model in this process: the reference every exported file is compared with."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import ModelSignature, TensorSpec
from tfkit.errors import ModelError
from tfkit.runtimes.protocol import ModelInputs, Runtime, input_count, noun_of, some_inputs

if TYPE_CHECKING:
    import keras


class KerasRuntime(Runtime):
    """Runs a Keras model as `predict` does, on raw pixels cast to float32, on token ids, or on inputs by other names.

    One sigmoid unit is two classes: scores of 1 - y and y, as of its file (`LiteRTRuntime`).

    Args:
        model: A `keras.Model` of one image input, or of a dict of token inputs, and one output.
        batch_size: Images or texts in one step.

    Raises:
        ModelError: When the model takes something else, or has more than one output.

    Example:
        >>> with KerasRuntime(model) as runtime:
        ...     runtime.scores(pixels).shape
        (40, 2)
    """

    def __init__(self, model: "keras.Model", *, batch_size: int = 64) -> None:
        named = isinstance(getattr(model, "input", None), dict)  # a Sequential that was never called has none
        if not (named or len(model.inputs) == 1) or len(model.outputs) != 1:
            raise ModelError(
                f"model '{model.name}' has {len(model.inputs)} inputs and {len(model.outputs)} outputs "
                f"({', '.join(map(str, model.output_names))}); expected one of each, or inputs by name"
            )
        import keras  # here: the other runtimes, and whoever describes a host, do without it

        from tfkit.graph import read_head

        # A shell of its own, sharing the weights, without XLA, which takes seconds to compile and is slow for
        # depthwise convolutions on CPUs; how the caller compiled the model is not this runtime's to change.
        self._model = keras.Model(model.input if named else model.inputs, model.outputs)
        self._model.compile(jit_compile=False)
        self._batch_size = batch_size
        self._is_one_sigmoid = model.outputs[0].shape[-1] == 1 and read_head(model).activation == "sigmoid"
        self.name = "keras"
        self.threads = None
        self.signature = ModelSignature(
            inputs=tuple(_tensor_spec(tensor) for tensor in model.inputs),
            outputs=tuple(_tensor_spec(tensor) for tensor in model.outputs),
        )
        self.measures = f"Keras predict_on_batch, one {noun_of(self.signature)}"
        self._named = named

    def scores(self, inputs: ModelInputs) -> NDArray[np.float32]:
        """Run the model on images or texts; see `Runtime.scores`."""
        starts = range(0, input_count(inputs), self._batch_size)
        # predict_on_batch, not predict: the latter casts all n images to float32 at once.
        batches = [self._run(some_inputs(inputs, slice(start, start + self._batch_size))) for start in starts]
        rows = np.concatenate(batches) if batches else np.zeros((0, *self._model.outputs[0].shape[1:]), np.float32)
        return np.concatenate([1 - rows, rows], axis=-1) if self._is_one_sigmoid else rows

    def prepare(self, inputs: ModelInputs) -> Callable[[], float | None]:
        """Make ready one run on one image or text; see `Runtime.prepare`."""
        values = self._values(inputs)

        def run() -> None:
            self._model.predict_on_batch(values)

        return run

    def close(self) -> None:
        """Nothing to free: the model belongs to the caller."""

    def _run(self, inputs: ModelInputs) -> NDArray[np.float32]:
        scores = self._model.predict_on_batch(self._values(inputs))
        return np.asarray(scores[0] if isinstance(scores, list) else scores, np.float32)

    def _values(self, inputs: ModelInputs) -> ModelInputs:
        from tfkit.graph.feeding import fed, float_pixels

        return float_pixels(inputs) if self._named else float_pixels(fed(self._model, inputs))


def _tensor_spec(tensor: "keras.KerasTensor") -> TensorSpec:
    return TensorSpec(name=tensor.name, shape=tuple(tensor.shape), dtype=str(tensor.dtype))
