"""Stop a training whose loss is no number any more, and bring back the last weights that were."""

import math
from typing import Any

import keras

from tfkit.errors import ModelError, TrainingError
from tfkit.models import weight_that_is_no_number

_HINT = (
    "lower this stage's learning_rate (a tenth of it, say) or let it rise slowly with warmup; if it stays so, look for "
    "odd examples, a large class weight or a backbone whose own weights are no numbers"
)


class StopAtNoNumber(keras.callbacks.Callback):
    """Ends `fit` at the first loss that is NaN or infinite; the weights of the last good epoch come back first.

    The loss of a step is computed before its weights move, so that weights are looked at after each epoch too: a last
    step that spoilt them is found before anything is saved. Put it in front of the callbacks that save.

    A step's loss is looked at when the next step is under way, or the epoch ends: whoever asks for it at once waits for
    the device, which then waits for the host to prepare the next step.

    Raises:
        TrainingError: From `fit`; names the step, the epoch and the learning rate.
        ModelError: From `fit`, when the weights are no numbers before the first step.
    """

    def __init__(self) -> None:
        super().__init__()
        self._good: list[Any] = []
        self._epoch, self._good_epochs = 0, 0
        self._last: tuple[int, Any] | None = None  # a step and its loss, perhaps still being computed

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._good, self._good_epochs, self._last = self.model.get_weights(), 0, None
        if (name := weight_that_is_no_number(self.model)) is not None:
            raise ModelError(
                f"weights '{name}' of '{self.model.name}' hold values that are no numbers before its training",
                hint="start from another model.backbone or model.weights",
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._look_at_last()
        self._last = batch, (logs or {}).get("loss", 0.0)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._look_at_last()
        for name in ("loss", "val_loss"):
            if not math.isfinite((logs or {}).get(name, 0.0)):
                self._stop(f"{name} is no finite number ({float((logs or {})[name])}) at the end of epoch {epoch + 1}")
        if (name_of := weight_that_is_no_number(self.model)) is not None:
            self._stop(f"weights '{name_of}' are no numbers at the end of epoch {epoch + 1}")
        self._good, self._good_epochs = self.model.get_weights(), epoch + 1

    def _look_at_last(self) -> None:
        if self._last is None:
            return
        (batch, loss), self._last = self._last, None
        if not math.isfinite(loss):
            self._stop(f"the loss is no finite number ({float(loss)}) at step {batch + 1} of epoch {self._epoch + 1}")

    def _stop(self, what: str) -> None:
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.model.set_weights(self._good)
        kept = f"those after epoch {self._good_epochs}" if self._good_epochs else "those it began with"
        raise TrainingError(f"{what}, with a learning rate of {rate:.3g}; the weights are again {kept}", hint=_HINT)
