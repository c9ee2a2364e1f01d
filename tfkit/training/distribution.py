"""Several devices of one host train together: each takes an equal part of every batch, and they step as one.

The engine is `tf.distribute.MirroredStrategy`. What is trained is a copy of the model whose variables lie on every
device; its weights go back into the model when the training is over, which knows nothing of devices.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import keras
import numpy as np

from tfkit.errors import TrainingError
from tfkit.keras_types import Inputs
from tfkit.models import with_dtype_policy
from tfkit.training.quick_steps import narrow_convolutions, narrow_convolutions_crash

if TYPE_CHECKING:
    import tensorflow as tf

    from tfkit.data.shares import Share
    from tfkit.training.optimization import Optimization

Distribution = Literal["auto", "none", "data_parallel"]


def training_devices(distribution: Distribution, batch_size: int) -> tuple[str, ...]:
    """The devices of this host that are to train together.

    Args:
        distribution: `none`: Keras's one device. `auto`: all GPUs, or as many as share a batch equally; `none` on a
            host with fewer than two. `data_parallel`: all GPUs, or without any all logical CPUs.
        batch_size: Examples in a batch of the whole training, which the devices share.

    Returns:
        Their names as TensorFlow says them; none for a training on one device.

    Raises:
        TrainingError: When `data_parallel` finds one device, another backend than TensorFlow, or a number of devices
            that does not divide the batch.

    Example:
        >>> training_devices("none", 32)
        ()
    """
    if distribution == "none":
        return ()
    if keras.backend.backend() != "tensorflow":
        if distribution == "auto":
            return ()
        raise TrainingError(
            f"run.distribution=data_parallel trains with TensorFlow, and KERAS_BACKEND is {keras.backend.backend()}",
            hint="leave KERAS_BACKEND out, or say run.distribution=none",
        )
    import tensorflow as tf

    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    if distribution == "auto":
        count = max((number for number in range(2, len(gpus) + 1) if batch_size % number == 0), default=0)
        return tuple(gpus[:count])
    devices = gpus or [device.name for device in tf.config.list_logical_devices("CPU")]
    if len(devices) < 2:
        raise TrainingError(
            f"run.distribution=data_parallel needs two devices or more, and TensorFlow finds one ({devices[0]})",
            hint="say run.distribution=auto, which takes several GPUs where there are some, or none",
        )
    if batch_size % len(devices):
        near = batch_size + -batch_size % len(devices)
        raise TrainingError(
            f"{len(devices)} devices cannot share a batch of {batch_size} equally",
            hint=f"say data.batch_size={near}, or run.distribution=auto",
        )
    return tuple(devices)


def told_devices(devices: tuple[str, ...]) -> str:
    """Who trains, in words.

    Example:
        >>> told_devices(("/device:GPU:0", "/device:GPU:1"))
        '2 devices train together, each on an equal part of every batch: GPU:0, GPU:1'
    """
    names = ", ".join(name.split("device:")[-1] for name in devices)
    return f"{len(devices)} devices train together, each on an equal part of every batch: {names}"


def refuse_together(model: keras.Model, optimization: Optimization, *, adversarial: bool = False) -> None:
    """Refuse what several devices cannot train.

    Args:
        model: The model.
        optimization: How it is to step.
        adversarial: Whether each step moves the token table before it is taken.

    Raises:
        TrainingError: For gradient accumulation, for adversarial training, and for convolutions that oneDNN cannot
            train without XLA.

    Example:
        >>> refuse_together(model, Optimization(epochs=1, learning_rate=1e-3))
    """
    if optimization.gradient_accumulation > 1:
        raise TrainingError(
            "several devices cannot train with gradient_accumulation: Keras's optimisers do not step in a condition",
            hint="make data.batch_size so many times larger instead, or say run.distribution=none",
        )
    if adversarial:
        raise TrainingError(
            "several devices cannot train with fine_tune.adversarial: each would move its own copy of the token table",
            hint="leave it out, or say run.distribution=none",
        )
    if (narrow := narrow_convolutions(model)) and narrow_convolutions_crash():
        raise TrainingError(
            f"oneDNN crashes on this processor when it trains convolutions under 16 channels ('{narrow[0]}'), and XLA, "
            "which would not, does not compile the steps of several devices",
            hint="set the environment variable TF_ENABLE_ONEDNN_OPTS=0, or say run.distribution=none",
        )


class DevicesTogether:
    """A training on several devices: where its model is made, and how its batches are shared.

    Args:
        devices: Of `training_devices`; two or more.

    Example:
        >>> together = DevicesTogether(training_devices("data_parallel", 32))  # doctest: +SKIP
        >>> with together.scope():  # doctest: +SKIP
        ...     copy = together.copy_of(model, "float32", None)
    """

    def __init__(self, devices: tuple[str, ...]) -> None:
        import tensorflow as tf

        # On CPUs TensorFlow's collectives of BatchNorm and of the gradients meet in different orders, and break off.
        on_gpus = all("GPU" in name for name in devices)
        sums = None if on_gpus else tf.distribute.ReductionToOneDevice()
        self._strategy = tf.distribute.MirroredStrategy(list(devices), cross_device_ops=sums)

    def scope(self) -> contextlib.AbstractContextManager[object]:
        """Where models and optimisers are to be made whose variables lie on every device."""
        scope: contextlib.AbstractContextManager[object] = self._strategy.scope()
        return scope

    def copy_of(self, model: keras.Model, policy: str, inputs: Inputs | None) -> keras.Model:
        """A copy with variables on every device; call it in the scope.

        BatchNorm takes mean and variance over the whole batch, as one device does.

        Args:
            model: The model.
            policy: The copy's dtype policy.
            inputs: As of `tfkit.models.with_dtype_policy`.
        """
        copy = with_dtype_policy(model, policy, inputs)
        for layer in copy._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True
        return copy

    def shared(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Batches that divide by the devices: the first examples of an epoch's last batch come twice where it does not.

        Args:
            batches: A `tf.data.Dataset` of training batches.
        """
        from tfkit.data.shares import Share

        return equal_parts(batches, Share(devices=self._strategy.num_replicas_in_sync))


def equal_parts(batches: tf.data.Dataset, share: Share) -> tf.data.Dataset:
    """A share of every batch.

    Args:
        batches: A `tf.data.Dataset` of batches.
        share: Which; of one part, batches that its devices can divide.
    """
    import tensorflow as tf

    def chosen_of(*batch: object) -> object:
        chosen = share.rows(tf.shape(tf.nest.flatten(batch)[0])[0])
        return tf.nest.map_structure(lambda values: tf.gather(values, chosen), batch)

    return batches.map(chosen_of)


@contextlib.contextmanager
def built_beforehand(model: keras.Model, batches: tf.data.Dataset) -> Iterator[None]:
    """Build what `fit` needs before it begins: under JAX, and for a model that was made in a scope of several devices.

    Keras would draw a batch to build metrics and optimiser, which the training would lack; and average it over the
    devices, which fails where their parts are not of one size.

    Args:
        model: The compiled model; one of TensorFlow on a single device is left alone.
        batches: What it is trained on.
    """
    of_devices = getattr(model, "_distribute_strategy", None) is not None
    if not (of_devices or keras.backend.backend() == "jax") or isinstance(batches, keras.utils.PyDataset):
        yield
        return
    import tensorflow as tf

    def one(spec: tf.TensorSpec) -> np.ndarray:
        return np.zeros([size or 1 for size in spec.shape], spec.dtype.as_numpy_dtype)

    model._symbolic_build(data_batch=tf.nest.map_structure(one, batches.element_spec))
    if not of_devices:  # then Keras sees that all is built
        yield
        return
    model._maybe_symbolic_build = lambda **_: None
    try:
        yield
    finally:
        del model._maybe_symbolic_build
