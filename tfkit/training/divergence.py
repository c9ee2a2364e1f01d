"""Stop a training whose loss is no number any more, and bring back the last weights that were."""

import math
import threading

import keras

from tfkit.errors import ModelError, TrainingError
from tfkit.keras_types import Array
from tfkit.models import weight_that_is_no_number

_HINT = (
    "lower this stage's learning_rate (a tenth of it, say) or let it rise slowly with warmup; if it stays so, look for "
    "odd examples, a large class weight or a backbone whose own weights are no numbers"
)


# Steps that may be under way when the next one is prepared, and seconds after which it is prepared all the same: a
# device that fails while it computes never tells a step's loss, and Keras raises the fault with the next step.
_UNDER_WAY, _PATIENCE = 2, 5.0


class StopAtNoNumber(keras.callbacks.Callback):
    """Ends `fit` at the first loss that is NaN or infinite; the weights of the last good epoch come back first.

    The loss of a step is computed before its weights move, so that weights are looked at after each epoch too: a last
    step that spoilt them is found before anything is saved. Put it in front of the callbacks that save.

    Keras makes numbers of a step's figures before it shows them to a callback, and so waits for the device after each
    step, unless every callback may be called from another thread (`async_safe`). Under JAX this one may: it notes the
    figures there and acts in the thread of `fit` before a later step, the third at the latest. So the host prepares
    steps while the device computes, but no more than two ahead, whose batches fill its memory.

    Raises:
        TrainingError: From `fit`; names the step, the epoch and the learning rate.
        ModelError: From `fit`, when the weights are no numbers before the first step.
    """

    async_safe = keras.backend.backend() == "jax"

    def __init__(self) -> None:
        super().__init__()
        self._good: list[Array] = []
        self._epoch, self._good_epochs = 0, 0
        self._noted = threading.Condition()
        self._done = 0  # steps of this epoch whose loss is known
        self._bad: tuple[int, float] | None = None  # the first of them whose loss is no number

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._good, self._good_epochs = self.model.get_weights(), 0
        if (name := weight_that_is_no_number(self.model)) is not None:
            raise ModelError(
                f"weights '{name}' of '{self.model.name}' hold values that are no numbers before its training",
                hint="start from another model.backbone or model.weights",
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch, self._done, self._bad = epoch, 0, None

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        with self._noted:
            self._noted.wait_for(lambda: self._done >= self._due(batch), timeout=_PATIENCE)
        self._stop_at_bad()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        with self._noted:
            self._done += 1
            if not math.isfinite(loss) and (self._bad is None or batch < self._bad[0]):
                self._bad = batch, loss
            self._noted.notify_all()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._stop_at_bad()
        for name in ("loss", "val_loss"):
            if not math.isfinite((logs or {}).get(name, 0.0)):
                self._stop(f"{name} is no finite number ({float((logs or {})[name])}) at the end of epoch {epoch + 1}")
        if (name_of := weight_that_is_no_number(self.model)) is not None:
            self._stop(f"weights '{name_of}' are no numbers at the end of epoch {epoch + 1}")
        self._good, self._good_epochs = self.model.get_weights(), epoch + 1

    def _due(self, batch: int) -> int:
        """Steps whose loss must be known before a step begins; with a bad one all up to it, as threads may overtake."""
        return batch - _UNDER_WAY if self._bad is None else self._bad[0] + 1

    def _stop_at_bad(self) -> None:
        if self._bad is not None:
            batch, loss = self._bad
            self._stop(f"the loss is no finite number ({loss}) at step {batch + 1} of epoch {self._epoch + 1}")

    def _stop(self, what: str) -> None:
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.model.set_weights(self._good)
        kept = f"those after epoch {self._good_epochs}" if self._good_epochs else "those it began with"
        raise TrainingError(f"{what}, with a learning rate of {rate:.3g}; the weights are again {kept}", hint=_HINT)
