"""Pruning and weight clustering with tensorflow-model-optimization."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from tfkit.compression.tfmot.twin import TfKerasTwin, copied_model, load_tfmot
from tfkit.errors import ModelError

if TYPE_CHECKING:
    import tf_keras


def tfmot_prune(
    twin: TfKerasTwin,
    *,
    final_sparsity: float,
    begin_step: int,
    end_step: int,
    initial_sparsity: float = 0.0,
    frequency: int = 100,
    n_of_m: tuple[int, int] | None = None,
) -> TfKerasTwin:
    """Wrap a twin so that training prunes its kernels by magnitude, on a polynomial schedule.

    The schedule is that of Zhu & Gupta 2017 (https://arxiv.org/abs/1710.01878), with power 3. tfmot prunes Conv2D,
    Conv2DTranspose, Dense and the pointwise half of SeparableConv2D; depthwise kernels stay dense.

    Args:
        twin: A trained twin without wrappers; not changed.
        final_sparsity: Share of each kernel that is zero in the end, in [0, 1).
        begin_step: Training step at which pruning begins.
        end_step: Training step at which the final sparsity is reached.
        initial_sparsity: Share at `begin_step`, in [0, 1).
        frequency: Steps between two updates of the masks.
        n_of_m: Structured pruning such as (2, 4): 2 of 4 neighbouring weights are zero, whatever the sparsity says.

    Returns:
        A new twin, to be trained by `fit_tfmot` and then unwrapped by `tfmot_strip`.

    Raises:
        ModelError: When a value is out of range (all at once), or tfmot refuses a layer.
    """
    checks = {
        f"final_sparsity must be in [0, 1); got {final_sparsity:g}": 0 <= final_sparsity < 1,
        f"initial_sparsity must be in [0, final_sparsity]; got {initial_sparsity:g}": 0
        <= initial_sparsity
        <= final_sparsity,
        f"begin_step must lie in [0, end_step); got {begin_step} and {end_step}": 0 <= begin_step < end_step,
        f"frequency must be 1 or more; got {frequency}": frequency >= 1,
    }
    if faults := [fault for fault, holds in checks.items() if not holds]:
        raise ModelError("tfmot_prune: " + "; ".join(faults))
    tools = load_tfmot().sparsity.keras
    schedule = tools.PolynomialDecay(
        initial_sparsity=initial_sparsity,
        final_sparsity=final_sparsity,
        begin_step=begin_step,
        end_step=end_step,
        frequency=frequency,
    )
    return _wrapped(
        twin, lambda model: tools.prune_low_magnitude(model, pruning_schedule=schedule, sparsity_m_by_n=n_of_m)
    )


def tfmot_cluster(twin: TfKerasTwin, *, clusters: int = 16) -> TfKerasTwin:
    """Wrap a twin so that training keeps each kernel to a few distinct values, which then compress well.

    Follows Han et al. 2016, "Deep Compression" (https://arxiv.org/abs/1510.00149), section 3; centroids start by
    k-means++. tfmot leaves depthwise kernels, and Conv2D kernels with too few weights, as they are.

    Args:
        twin: A trained twin without wrappers; not changed.
        clusters: Distinct values in a kernel, 2 or more.

    Returns:
        A new twin, to be trained by `fit_tfmot` and then unwrapped by `tfmot_strip`.

    Raises:
        ModelError: When `clusters` is below 2, or tfmot refuses a layer.
    """
    if clusters < 2:
        raise ModelError(f"tfmot_cluster: clusters must be 2 or more; got {clusters}")
    tools = load_tfmot().clustering.keras
    start = tools.CentroidInitialization.KMEANS_PLUS_PLUS
    return _wrapped(twin, lambda model: tools.cluster_weights(model, clusters, start))


def tfmot_strip(twin: TfKerasTwin) -> TfKerasTwin:
    """Take the wrappers of `tfmot_prune` or `tfmot_cluster` off, leaving the pruned or clustered weights.

    Args:
        twin: A twin with or without wrappers.

    Returns:
        A new twin of plain layers.
    """
    tfmot = load_tfmot()
    plain = tfmot.clustering.keras.strip_clustering(tfmot.sparsity.keras.strip_pruning(twin.model))
    return dataclasses.replace(twin, model=copied_model(plain))


def is_pruned(twin: TfKerasTwin) -> bool:
    """Whether a twin has the wrappers of `tfmot_prune`."""
    return any(type(layer).__name__ == "PruneLowMagnitude" for layer in twin.model.layers)


def _wrapped(twin: TfKerasTwin, wrap: Callable[["tf_keras.Model"], "tf_keras.Model"]) -> TfKerasTwin:
    try:
        return dataclasses.replace(twin, model=wrap(copied_model(twin.model)))
    except ValueError as fault:
        raise ModelError(
            f"tensorflow-model-optimization refuses '{twin.model.name}': {fault}",
            hint="rebuild it with techniques=('pruning', 'clustering'), which names the layers",
        ) from fault
