"""Several processes, on one host or on many, train as one: on the JAX backend, through `keras.distribution`.

Each process has the whole model and an equal part of every batch. Only the first one writes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from tfkit.errors import TrainingError
from tfkit.training.distribution import equal_parts

if TYPE_CHECKING:
    import tensorflow as tf

    from tfkit.data.shares import Share

_SAID = tuple(f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID"))
_SILENT_FOR = 30  # seconds after which JAX takes a process for dead and ends the others
_OF_THE_NETWORK = ("gloo", "nccl", "connection", "coordination", "unavailable", "heartbeat", "socket")


@dataclass(frozen=True)
class Processes:
    """The processes that train together.

    Attributes:
        number: That of this one; 0 is the one that writes.
        count: How many there are.
        devices: How many devices all of them have.
    """

    number: int = 0
    count: int = 1
    devices: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process writes files."""
        return self.number == 0

    @property
    def told(self) -> str:
        """Who trains, in words."""
        return f"{self.count} processes train together, each on an equal part of every batch: {self.devices} devices"

    @property
    def share(self) -> Share:
        """This process's part of every batch.

        Example:
            >>> Processes(1, 2, 2).share
            Share(part=1, parts=2, devices=2)
        """
        from tfkit.data.shares import Share

        return Share(part=self.number, parts=self.count, devices=self.devices)

    def part_of(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """This process's part of every batch; the last batch is filled up with its first examples.

        Args:
            batches: A `tf.data.Dataset` of whole batches, the same in every process.

        Raises:
            TrainingError: For a PyDataset.
        """
        if isinstance(batches, keras.utils.PyDataset):
            raise TrainingError("several processes cannot share a PyDataset", hint="give a tf.data.Dataset")
        return equal_parts(batches, self.share)


def join_processes(seed: int = 0) -> Processes:
    """Make this process one of several that train together; call it first, before any model is built.

    It reads the environment variables of `keras.distribution.initialize`: KERAS_DISTRIBUTION_JOB_ADDRESSES, address and
    port of the first process, KERAS_DISTRIBUTION_NUM_PROCESSES and KERAS_DISTRIBUTION_PROCESS_ID; and it sets
    `keras.distribution.DataParallel` on all devices. Every process then does the same: it builds the same model, and
    calls the same training function with the same data, seed and batch size, which is that of all together.

    Args:
        seed: Given to `keras.utils.set_random_seed`, so that all build a model with the same weights.

    Returns:
        The processes.

    Raises:
        TrainingError: Under another backend than JAX, where a variable is not set, or one of the processes does not
            come within five minutes.

    Example:
        >>> processes = join_processes()  # doctest: +SKIP
        >>> fine_tune(model, train, validation, image, optimization=plan, batch_size=64)  # doctest: +SKIP
    """
    if keras.backend.backend() != "jax":
        raise TrainingError(
            f"several processes train on the JAX backend, and Keras's is {keras.backend.backend()}",
            hint="set the environment variable KERAS_BACKEND=jax; several GPUs of one host need run.distribution=auto",
        )
    if missing := [name for name in _SAID if not os.environ.get(name)]:
        raise TrainingError(
            f"the environment does not say which processes train together: {', '.join(missing)} is not set",
            hint="the guide on several devices has templates for torchrun, Kubernetes JobSet and SLURM",
        )
    import jax

    addresses, count, number = (os.environ[name] for name in _SAID)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")  # type: ignore[no-untyped-call]
    # Two steps at once on a CPU would wait for each other's sums in different orders, for ever.
    jax.config.update("jax_cpu_enable_async_dispatch", False)  # type: ignore[no-untyped-call]
    # JAX's own service would take SIGTERM, upon which a training keeps its state.
    jax.config.update("jax_enable_preemption_service", False)  # type: ignore[no-untyped-call]
    try:
        jax.distributed.initialize(
            addresses.split(",")[0], int(count), int(number), heartbeat_timeout_seconds=_SILENT_FOR
        )
    except jax.errors.JaxRuntimeError as fault:
        raise TrainingError(
            f"process {number} of {count} found no others at {addresses}: {fault}",
            hint="start all processes, and let that address be the first one's, with a port that is free there",
        ) from fault
    keras.utils.set_random_seed(seed)
    # tfkit makes the parts itself: Keras cannot divide batches whose number of examples is not known.
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    return processes_together()


def processes_together() -> Processes:
    """The processes that train together; one where none has joined.

    Example:
        >>> processes_together().count
        1
    """
    if keras.backend.backend() != "jax" or keras.distribution.distribution() is None:
        return Processes()
    import jax

    return Processes(jax.process_index(), jax.process_count(), jax.device_count())


def refuse_processes(function: str) -> None:
    """Refuse what one process has to do: it looks at what a model gives, of which each process has a part.

    Args:
        function: Its name, for the message.

    Raises:
        TrainingError: Where several processes train together.

    Example:
        >>> refuse_processes("train_head")
    """
    if processes_together().count > 1:
        raise TrainingError(
            f"{function} works in one process", hint="call it in a process of its own, and load the model it gives"
        )


@contextlib.contextmanager
def others_lost_are_told(together: Processes, state: Path | None) -> Iterator[None]:
    """Say in words that another process is gone, where the devices' fault says it in the network's.

    Args:
        together: The processes.
        state: Where the training's state is kept; None for nowhere.
    """
    if together.count == 1:
        yield
        return
    import jax

    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as fault:  # the second of steps that are waited for
        signs = _OF_THE_NETWORK if isinstance(fault, jax.errors.JaxRuntimeError) else _OF_THE_NETWORK[:2]
        if not any(sign in str(fault).lower() for sign in signs):
            raise
        goes_on = f"the training goes on from '{state}'" if state else "without a state, it begins anew"
        raise TrainingError(
            f"process {together.number} of {together.count} cannot reach the others: one of them has stopped",
            hint=f"start all processes again with the same command; {goes_on}",
        ) from fault
