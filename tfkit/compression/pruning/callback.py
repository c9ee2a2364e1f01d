"""Set a model's masks by a schedule while Keras `fit` trains it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from tfkit.compression.pruning.masks import input_axis, input_channels, magnitude_masks, masked_layers, n_of_m_mask
from tfkit.compression.pruning.names import matches, unknown_names
from tfkit.compression.pruning.schedules import NOfM, Schedule, share_faults
from tfkit.errors import ModelError
from tfkit.keras_types import Logs

Scope = Literal["layer", "global"]


def check_pruning(
    model: keras.Model,
    schedule: Schedule,
    *,
    scope: Scope = "layer",
    budgets: Mapping[str, float] | None = None,
) -> None:
    """Refuse what cannot be pruned as asked, before anything is trained.

    Args:
        model: The model to train.
        schedule, scope, budgets: As for `PruneWeights`.

    Raises:
        ModelError: Tells all faults at once.
    """
    layers, budgets = masked_layers(model), budgets or {}
    faults = share_faults(**{f"the budget of '{name}'": share for name, share in budgets.items()})
    faults += unknown_names(budgets, [layer.name for layer in layers], of="budgets") if layers else []
    if not layers:
        faults.append("no layer has a mask: rebuild it with prunable(model)")
    if budgets and (scope == "global" or isinstance(schedule, NOfM)):
        other = "scope='global'" if scope == "global" else "n of m"
        faults.append(f"budgets are for each layer on its own, and cannot go with {other}")
    if isinstance(schedule, NOfM):
        faults += _n_of_m_faults(layers, schedule)
    if faults:
        raise ModelError(f"model '{model.name}' cannot be pruned as asked: " + "; ".join(faults))


class PruneWeights(keras.callbacks.Callback):
    """Sets the masks of a model that `prunable` made, while it trains.

    The smallest weights by magnitude are masked (Zhu & Gupta 2017, https://arxiv.org/abs/1710.01878). A masked weight
    gets no gradient and keeps its value (but for momentum and weight decay), so it comes back when others have become
    smaller by the next update. Steps
    are the optimizer's, so that training may be interrupted and go on, with gradient accumulation too; after the
    schedule's end masks stay as they are. Works with every backend, with XLA, mixed precision and moving averages.

    Do not combine it with `EarlyStopping(restore_best_weights=True)` unless that starts after the schedule's end: the
    best weights may be those from before pruning.

    Args:
        schedule: When, and how many.
        scope: `layer`: each layer loses the same share of its weights; `global`: the smallest weights of all masked
            layers together go, wherever they are. Not for `NOfM`.
        budgets: Final sparsity by layer name or pattern, instead of the schedule's; the first that fits counts.
        log_directory: Where TensorBoard's sparsity of each layer goes; None for none. The whole model's is in Keras's
            logs, as `sparsity`, with this callback before `TensorBoard` in the list.

    Raises:
        ModelError: At the beginning of training, for what `check_pruning` refuses, and for a schedule that ends after
            training does.

    Example:
        >>> sparse = prunable(model)
        >>> sparse.compile("adam", "categorical_crossentropy")
        >>> pruning = PruneWeights(ConstantSparsity(target_sparsity=0.5))
        >>> history = sparse.fit(batches, epochs=1, callbacks=[pruning], verbose=0)
        >>> round(sparsity(sparse).masked_share, 2)
        0.5
    """

    def __init__(
        self,
        schedule: Schedule,
        *,
        scope: Scope = "layer",
        budgets: Mapping[str, float] | None = None,
        log_directory: Path | None = None,
    ) -> None:
        super().__init__()
        self._schedule, self._scope, self._budgets = schedule, scope, dict(budgets or {})
        self._log_directory = log_directory
        self._layers: list[keras.Layer] = []
        self._shares: list[float] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        model = self.model
        check_pruning(model, self._schedule, scope=self._scope, budgets=self._budgets)
        self._layers = masked_layers(model)
        optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
        self._accumulation = optimizer.gradient_accumulation_steps or 1
        self._first_step = int(keras.ops.convert_to_numpy(optimizer.iterations))
        self._batches = self._batches_before_epoch = 0
        self._check_end()
        self._shares = [_zeros_share(keras.ops.convert_to_numpy(layer.mask)) for layer in self._layers]
        due = self._schedule.last_update(self._first_step)
        self._updated = due
        # A model that comes with masks in the middle of its schedule keeps them until the next update.
        if due is not None and (due == self._first_step or not any(self._shares)):
            self._update(due)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        # Counted here: asking the optimizer in every step would wait for the device.
        self._batches = self._batches_before_epoch + batch + 1
        due = self._schedule.last_update(self._first_step + self._batches // self._accumulation)
        if due != self._updated and due is not None:
            self._update(due)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._batches_before_epoch = self._batches
        if logs is not None:
            sizes = [float(np.prod(layer.mask.shape)) for layer in self._layers]
            logs["sparsity"] = float(np.average(self._shares, weights=sizes))
        if self._log_directory is not None:
            names = [layer.name for layer in self._layers]
            _write_summaries(self._log_directory, dict(zip(names, self._shares, strict=True)), epoch)

    def _update(self, step: int) -> None:
        self._updated = step
        _ = self.model  # under JAX, asking for the model brings its weights up to date
        kernels = [keras.ops.convert_to_numpy(layer.kernel) for layer in self._layers]
        masks = self._masks(kernels, step)
        for layer, mask in zip(self._layers, masks, strict=True):
            layer.mask.assign(mask)
        self._shares = [_zeros_share(mask) for mask in masks]

    def _masks(self, kernels: list[np.ndarray], step: int) -> list[np.ndarray]:
        schedule = self._schedule
        if isinstance(schedule, NOfM):
            pairs = zip(self._layers, kernels, strict=True)
            return [n_of_m_mask(kernel, n=schedule.n, m=schedule.m, axis=input_axis(layer)) for layer, kernel in pairs]
        if self._scope == "global":
            return magnitude_masks(kernels, schedule.sparsity(step))
        shares = [schedule.sparsity(step, final=self._budget(layer.name)) for layer in self._layers]
        return [magnitude_masks([kernel], share)[0] for kernel, share in zip(kernels, shares, strict=True)]

    def _budget(self, name: str) -> float | None:
        return next((share for pattern, share in self._budgets.items() if matches(name, [pattern])), None)

    def _check_end(self) -> None:
        steps = (self.params or {}).get("steps")
        if steps is None:
            return
        last = self._first_step + steps * self.params["epochs"] // self._accumulation
        needed = max(self._schedule.begin_step, self._schedule.end_step)
        if needed > last:
            raise ModelError(
                f"the pruning schedule ends at step {needed}, after the training's last step {last}",
                hint="a share of zeros that is asked for must be reached: end the schedule at two thirds of the steps",
            )


def _n_of_m_faults(layers: list[keras.Layer], schedule: NOfM) -> list[str]:
    channels = {layer.name: input_channels(layer) for layer in layers}
    odd = [f"'{name}' has {count}" for name, count in channels.items() if count % schedule.m]
    if not odd:
        return []
    return [
        f"{schedule.n} of {schedule.m} needs input channels in multiples of {schedule.m}: "
        f"{', '.join(odd)}; leave such layers dense with prunable(model, skip=[...])"
    ]


def _zeros_share(mask: np.ndarray) -> float:
    return 1 - float(np.count_nonzero(mask)) / mask.size


def _write_summaries(directory: Path, shares: dict[str, float], epoch: int) -> None:
    import tensorflow as tf  # TensorBoard's writer; the model may run on another backend

    writer = tf.summary.create_file_writer(str(directory))
    with writer.as_default(step=epoch):
        for name, share in shares.items():
            tf.summary.scalar(f"sparsity/{name}", share)
    writer.close()
