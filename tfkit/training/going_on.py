"""A training's whole state on disk: one that was killed goes on with the batch it had come to, and ends the same.

Keras's `BackupAndRestore` begins a broken epoch again, and keeps neither the draws of dropout nor the figures of the
epoch; `tf.train.Checkpoint` keeps the variables, of TensorFlow only. Both leave out what callbacks remember. So the
variables are kept here as plain arrays, in the order that building the same model gives them in.
"""

import errno
import json
import logging
import shutil
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import keras
import numpy as np

from tfkit.errors import TrainingError
from tfkit.files import written_whole
from tfkit.keras_types import Array
from tfkit.training.processes import processes_together

if TYPE_CHECKING:
    import tensorflow as tf

_log = logging.getLogger(__name__)
_SHARE_OF_KEEPING = 20  # training lasts at least so many times as long as keeping its state
_MODELS_TO_COME = 4  # a stage's model in two places, and files made of it
_BYTES_PER_SECOND = 200e6  # how quickly the first state is taken to be written
_NOT_READABLE = (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError)


@dataclass(frozen=True)
class Position:
    """How far a training has come.

    Attributes:
        epoch: Epochs that are over.
        step: Batches of the next one that are over.
    """

    epoch: int = 0
    step: int = 0


def saved_position(path: Path | None) -> Position:
    """Where the training goes on whose state is in a file: its batches are to begin there.

    Args:
        path: What `train_batches` is given as `state`; None, or a file that is not there, for the beginning.

    Example:
        >>> saved_position(None)
        Position(epoch=0, step=0)
    """
    state = _read(path)
    return Position() if state is None else state.position


@runtime_checkable
class GoesOn(Protocol):
    """A callback that counts batches or remembers the model, and can be told that a training goes on."""

    def go_on(self, batches: int, of_epoch: int) -> None:
        """Called before the first epoch of a training that goes on, with the model's weights back.

        Args:
            batches: How many batches are over in all.
            of_epoch: How many of the epoch that now goes on; its next one is Keras's batch 0.
        """
        ...


@dataclass
class _State:
    """What is kept.

    Attributes:
        position: How far the training has come.
        ended: Whether it is over: then only the model is kept.
        logs: Keras's figures of each epoch.
        rates: The learning rate at the end of each epoch.
        stopping: What early stopping has counted.
        arrays: Variables of the `model`, the `optimizer`, the running epoch's `metrics`, and early stopping's `best`.
    """

    position: Position
    ended: bool = False
    logs: list[dict[str, float]] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    stopping: dict[str, float] = field(default_factory=dict)
    arrays: dict[str, list[Array]] = field(default_factory=dict)


def _read(path: Path | None) -> _State | None:
    """The state in a file; None where there is none, or none that can be read whole."""
    if path is None or not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            told = json.loads(bytes(kept["told"]))
            arrays = {name: [kept[f"{name}/{number}"] for number in range(n)] for name, n in told.pop("counts").items()}
        return _State(**told | {"position": Position(**told["position"]), "arrays": arrays})
    except _NOT_READABLE:
        return None


def _write(state: _State, path: Path) -> None:
    """Write a state; one that does not fit, or would take the room of the models to come, is left out with a word."""
    if not processes_together().writes:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        taken = {name: sum(value.nbytes for value in values) for name, values in state.arrays.items()}
        if shutil.disk_usage(path.parent).free < sum(taken.values()) + _MODELS_TO_COME * taken["model"]:
            raise OSError(errno.ENOSPC, "the disk is nearly full")
        _write_whole(state, path)
    except OSError as fault:
        path.unlink(missing_ok=True)
        _log.warning("the training goes on, but not after a stop: '%s' cannot be written: %s", path, fault.strerror)


def _write_whole(state: _State, path: Path) -> None:
    told = {name: value for name, value in vars(state).items() if name != "arrays"}
    told |= {
        "position": asdict(state.position),
        "counts": {name: len(values) for name, values in state.arrays.items()},
    }
    named: dict[str, Any] = {
        f"{name}/{n}": value for name, values in state.arrays.items() for n, value in enumerate(values)
    }
    with written_whole(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, told=np.frombuffer(json.dumps(told).encode(), np.uint8), **named)


class _SignalsBetweenSteps:
    """Holds Ctrl-C, SIGTERM and SIGHUP back until a step is over, so that its state can be kept; a second is not held.

    In a thread, and for a signal that nobody handles in Python, nothing is changed.
    """

    def __init__(self) -> None:
        self._before: dict[int, Callable[[int, FrameType | None], object]] = {}
        self._noted: tuple[int, FrameType | None] | None = None
        self.holds = False

    @property
    def is_noted(self) -> bool:
        """Whether a signal is held back."""
        return self._noted is not None

    def deliver(self) -> None:
        """Stop holding back, and hand on what was held."""
        self.holds = False
        if self._noted is not None:
            (number, frame), self._noted = self._noted, None
            self._before[number](number, frame)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.holds and self._noted is None:
            self._noted = number, frame
            return
        self._noted = None
        self._before[number](number, frame)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                handler = signal.getsignal(number)
                if callable(handler):
                    self._before[number] = handler
                    signal.signal(number, self._note)
        return self

    def __exit__(self, *fault: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if fault[0] is None:
            self.deliver()


def fit_on(
    model: keras.Model,
    batches: "tf.data.Dataset",
    path: Path,
    *,
    epochs: int,
    steps_per_epoch: int,
    callbacks: Sequence[keras.callbacks.Callback],
    metrics: Sequence[keras.metrics.Metric],
    rates: list[float],
    **options: object,
) -> dict[str, list[float]]:
    """Keras's `fit`, which goes on where the state in a file says, and keeps its own state there.

    Args:
        model: A compiled model, built as it was when the training began.
        batches: A `tf.data.Dataset` for each epoch, which begins at the file's `saved_position`.
        path: The file.
        epochs: Epochs in all.
        steps_per_epoch: Batches of a whole epoch.
        callbacks: Of `fit`.
        metrics: The metrics that the model is compiled with.
        rates: The learning rate at the end of each epoch so far; one of the callbacks adds to it.
        **options: Further keyword arguments of `fit`.

    Returns:
        Keras's figures, one value per epoch, those of an earlier process too.

    Raises:
        TrainingError: When the state is of another training.
    """
    with _SignalsBetweenSteps() as signals:
        keeping = _KeepState(path, steps_per_epoch, metrics, rates, callbacks, signals)
        if keeping.ended:
            keeping.take_up_end(model)
            return keeping.history
        if keeping.position.step:  # one stream of batches, of which the first epoch takes fewer than the others
            batches, options = batches.repeat(), options | {"steps_per_epoch": steps_per_epoch}
        begun = {"initial_epoch": keeping.position.epoch, "epochs": epochs}
        model.fit(batches, callbacks=[keeping, *callbacks], **begun, **options)
        keeping.keep_end(model)
    return keeping.history


class _KeepState(keras.callbacks.Callback):
    """Keeps a training's state every now and then, and takes up what is in the file; the first of all callbacks."""

    async_safe = keras.backend.backend() == "jax"

    def __init__(
        self,
        path: Path,
        steps_per_epoch: int,
        metrics: Sequence[keras.metrics.Metric],
        rates: list[float],
        watching: Sequence[keras.callbacks.Callback],
        signals: _SignalsBetweenSteps,
    ) -> None:
        super().__init__()
        self._path, self._steps, self._metrics = path, steps_per_epoch, tuple(metrics)
        self._rates, self._watching, self._signals = rates, tuple(watching), signals
        self._taken_up = _read(path)
        self._logs: list[dict[str, float]] = [] if self._taken_up is None else self._taken_up.logs
        self._epoch, self._first_batch = 0, 0
        self._next = 0.0

    @property
    def position(self) -> Position:
        """Where the training begins."""
        return Position() if self._taken_up is None else self._taken_up.position

    @property
    def ended(self) -> bool:
        """Whether the training was over already."""
        return self._taken_up is not None and self._taken_up.ended

    @property
    def history(self) -> dict[str, list[float]]:
        """The figures of all epochs, those of earlier processes too."""
        names = list(dict.fromkeys(name for logs in self._logs for name in logs))
        return {name: [float(logs[name]) for logs in self._logs if name in logs] for name in names}

    def take_up_end(self, model: keras.Model) -> None:
        """Give a model the weights of a training that was over already."""
        assert self._taken_up is not None
        _give(model.variables, self._taken_up.arrays["model"], self._path)
        self._rates[:] = self._taken_up.rates

    def keep_end(self, model: keras.Model) -> None:
        """Keep a model whose training is over."""
        arrays = {"model": _values(model.variables)}
        _write(_State(Position(len(self._logs)), True, self._figures(), list(self._rates), arrays=arrays), self._path)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        held = sum(int(np.prod(variable.shape)) for variable in self.model.variables) * 12
        self._next = time.perf_counter() + _SHARE_OF_KEEPING * held / _BYTES_PER_SECOND

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch, self._first_batch = epoch, 0
        if self._taken_up is not None:
            self._take_up(self._taken_up)
            self._first_batch = self._taken_up.position.step
            self._taken_up = None

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        done = self._first_batch + batch
        noted = self._signals.is_noted
        if (batch or self._epoch) and (noted or time.perf_counter() >= self._next):
            self._keep(Position(self._epoch, done))
        if noted:
            self._signals.deliver()
        self._signals.holds = True
        if (
            self._first_batch and done == self._steps - 1
        ):  # the batches go on with the next epoch, which Keras must begin
            self.model.stop_training = True

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        self._signals.deliver()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._signals.deliver()
        if self._first_batch:
            self.model.stop_training = False
        self._logs.append({} if logs is None else logs)  # not copied: further callbacks add to it

    def _figures(self) -> list[dict[str, float]]:
        return [{name: float(value) for name, value in logs.items()} for logs in self._logs]

    def _stopping(self) -> keras.callbacks.EarlyStopping | None:
        found = (callback for callback in self._watching if isinstance(callback, keras.callbacks.EarlyStopping))
        return next(found, None)

    def _metric_variables(self) -> list[keras.Variable]:
        """Of the running epoch's figures; Keras knows the compiled metrics from the first step on only."""
        others = [metric for metric in self.model.metrics if metric.name != "compile_metrics"]
        metrics = {id(metric): metric for metric in (*self._metrics, *others)}.values()
        return [variable for metric in metrics for variable in metric.variables]

    def _keep(self, position: Position) -> None:
        began = time.perf_counter()
        model = self.model  # under JAX, asking for the model brings its weights up to date
        arrays = {"model": _values(model.variables)}
        if all(np.isfinite(value).all() for value in arrays["model"] if value.dtype.kind == "f"):
            arrays |= {"optimizer": _values(model.optimizer.variables), "metrics": _values(self._metric_variables())}
            stopping, counted = self._stopping(), dict[str, float]()
            if stopping is not None:
                counted = {"wait": stopping.wait, "best_epoch": stopping.best_epoch}
                if stopping.best is not None:
                    counted["best"] = float(stopping.best)
                arrays["best"] = [np.asarray(weight) for weight in stopping.best_weights or ()]
            _write(_State(position, False, self._figures(), list(self._rates), counted, arrays), self._path)
        ended = time.perf_counter()
        self._next = ended + _SHARE_OF_KEEPING * (ended - began)

    def _take_up(self, state: _State) -> None:
        model = self.model
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        _give(model.variables, state.arrays["model"], self._path)
        _give(model.optimizer.variables, state.arrays["optimizer"], self._path)
        _give(self._metric_variables(), state.arrays["metrics"], self._path)
        self._rates[:] = state.rates
        stopping = self._stopping()
        if stopping is not None:
            stopping.wait, stopping.best_epoch = int(state.stopping["wait"]), int(state.stopping["best_epoch"])
            stopping.best = state.stopping.get("best", stopping.best)
            stopping.best_weights = state.arrays["best"] or None
        for callback in self._watching:
            if isinstance(callback, GoesOn):
                step = state.position.step
                callback.go_on(state.position.epoch * self._steps + step, step)


def _values(variables: Sequence[keras.Variable]) -> list[Array]:
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def _give(variables: Sequence[keras.Variable], values: Sequence[Array], path: Path) -> None:
    """Set variables to kept values, whose order and shapes must be theirs."""
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
        raise TrainingError(
            f"the state in '{path}' is that of another training", hint="delete it, and the stage begins anew"
        )
    for variable, value in zip(variables, values, strict=True):
        own = np.dtype(keras.backend.standardize_dtype(variable.dtype)) if value.dtype.kind == "V" else value.dtype
        variable.assign(value.view(own))  # NumPy's files know no bfloat16
