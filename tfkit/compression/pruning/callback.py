"""Set a model's masks by a schedule while Keras `fit` trains it."""

import difflib
import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from tfkit.compression.pruning.schedules import NOfM, Schedule, share_faults
from tfkit.errors import ModelError
from tfkit.keras_types import Logs
from tfkit.layers import CompressedKernel, plain_class


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a layer's name is among names and patterns such as `block_1_*`.

    Example:
        >>> matches("block_1_conv", ["block_1_*"]), matches("block_2_conv", ["block_1_*"])
        (True, False)
    """
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def unknown_names(patterns: Iterable[str], names: Sequence[str], *, of: str) -> list[str]:
    """Faults for the names and patterns that fit no layer, each with the nearest name.

    Args:
        patterns: What the user gave.
        names: The layers there are.
        of: What the user gave them as, for the message.

    Returns:
        One text for each unknown name.

    Example:
        >>> unknown_names(["logit"], ["conv", "logits"], of="skip")
        ["skip names no layer: 'logit'; did you mean 'logits'?"]
    """
    faults = []
    for pattern in patterns:
        if any(fnmatch.fnmatchcase(name, pattern) for name in names):
            continue
        near = difflib.get_close_matches(pattern, names, 1)
        faults.append(f"{of} names no layer: '{pattern}'" + (f"; did you mean '{near[0]}'?" if near else ""))
    return faults


def masked_layers(model: keras.Model) -> list[keras.Layer]:
    """The layers of a model that have a mask, nested models' too, each once, in order.

    Example:
        >>> [layer.name for layer in masked_layers(prunable(model))][-1]
        'logits'
    """
    found: dict[int, keras.Layer] = {}
    for layer in model.layers:
        if isinstance(layer, CompressedKernel) and layer.masked:
            found[id(layer)] = layer
        elif hasattr(layer, "layers"):
            found |= {id(inner): inner for inner in masked_layers(layer)}
    return list(found.values())


def input_axis(layer: keras.Layer) -> int:
    """The axis of a layer's kernel that runs over its input channels."""
    return -1 if issubclass(plain_class(layer), (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose)) else -2


def input_channels(layer: keras.Layer) -> int:
    """How many input channels each output of a layer is made from."""
    depthwise = issubclass(plain_class(layer), (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D))
    return 1 if depthwise else int(layer.kernel.shape[input_axis(layer)])


def magnitude_masks(kernels: Sequence[np.ndarray], sparsity: float) -> list[np.ndarray]:
    """Masks that put the smallest weights of several kernels together to zero.

    Args:
        kernels: float arrays of any shapes; one for a budget of its own, all of a model's for a global one.
        sparsity: Share of zeros over all of them, in [0, 1). The count is exact, to a whole weight.

    Returns:
        float32 masks of the kernels' shapes.

    Example:
        >>> magnitude_masks([np.float32([[1, -3], [2, 0.5]])], 0.5)[0].tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    magnitudes = np.concatenate([np.abs(kernel).ravel() for kernel in kernels])
    mask = np.ones(magnitudes.size, np.float32)
    zeros = round(sparsity * magnitudes.size)
    if zeros:
        mask[np.argpartition(magnitudes, zeros - 1)[:zeros]] = 0.0
    ends = np.cumsum([kernel.size for kernel in kernels])[:-1]
    return [part.reshape(kernel.shape) for part, kernel in zip(np.split(mask, ends), kernels, strict=True)]


def n_of_m_mask(kernel: np.ndarray, *, n: int, m: int, axis: int) -> np.ndarray:
    """A mask that keeps the n largest of each m consecutive weights along an axis.

    Args:
        kernel: A float array.
        n: Weights kept in a group.
        m: Weights in a group; divides the axis's length.
        axis: The axis over input channels.

    Returns:
        A float32 mask of the kernel's shape.

    Example:
        >>> n_of_m_mask(np.float32([1, -3, 2, 0.5]), n=2, m=4, axis=0).tolist()
        [0.0, 1.0, 1.0, 0.0]
    """
    last = np.moveaxis(np.abs(kernel), axis, -1)
    groups = last.reshape(-1, m)
    mask = np.zeros(groups.shape, np.float32)
    np.put_along_axis(mask, np.argsort(-groups, axis=1, kind="stable")[:, :n], 1.0, axis=1)
    return np.moveaxis(mask.reshape(last.shape), -1, axis)


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

    def go_on(self, batches: int, of_epoch: int) -> None:
        """Take up a training after so many batches in all, with the model's masks as they were."""
        self._batches = self._batches_before_epoch = batches
        self._updated = self._schedule.last_update(self._first_step + batches // self._accumulation)
        self._shares = [_zeros_share(keras.ops.convert_to_numpy(layer.mask)) for layer in self._layers]

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
