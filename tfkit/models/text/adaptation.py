"""Which parameters of a text classifier learn: all, the end, or a few that stand in for the rest."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np

from tfkit.errors import ModelError
from tfkit.keras_types import Inputs
from tfkit.models.classifier import POOLING, backbone_layers
from tfkit.models.freezing import free_everything, freeze_backbone
from tfkit.models.low_rank import is_low_rank, learn_only, low_rank_layers, merge_low_rank
from tfkit.models.text.backbones import encoder_blocks, inner_layers

Method = Literal["all", "head", "last", "lora", "adapters", "bitfit"]
Projections = Literal["query_value", "all"]


@dataclass(frozen=True, eq=False)
class Adaptation:
    """What `adapt` did.

    Attributes:
        model: The model to train: the one given, or for `adapters` a copy of it that holds them.
        method: How it was adapted.
        trainable_parameters: How many numbers learn, the head's with them.
        share: Of all the model's parameters, in [0, 1].
        notes: For the report.
    """

    model: keras.Model
    method: Method
    trainable_parameters: int
    share: float
    notes: tuple[str, ...]


def adapt(
    model: keras.Model,
    method: Method = "all",
    *,
    layers: int = 2,
    rank: int = 8,
    alpha: float | None = None,
    projections: Projections = "query_value",
    bottleneck: int = 64,
) -> Adaptation:
    """Choose which parameters of a text classifier learn. The head always does.

    Args:
        model: A classifier of `build_text_classifier`; changed in place (for `adapters` it is copied).
        method: `all`; `head` (the encoder is frozen); `last` (the encoder's last blocks); `lora` (Hu et al. 2021,
            arXiv:2106.09685, Keras's own `enable_lora`); `adapters` (Houlsby et al. 2019, arXiv:1902.00751, with the
            normalisations, as in the paper); `bitfit` (Ben Zaken et al. 2022, arXiv:2106.10199: every bias, the
            shifts of the normalisations with them).
        layers: Blocks that learn, for `last`.
        rank: Of LoRA's products. Keras factors the last axis of a kernel (hidden, heads, width), so that a query
            gets hidden * heads * rank + rank * width parameters.
        alpha: LoRA's scale is alpha / rank; default `rank`.
        projections: LoRA on the attention's queries and values, or on `all` Dense layers of every block.
        bottleneck: Width of the adapters.

    Returns:
        The model to train, and how much of it learns.

    Raises:
        ModelError: Tells all faults at once: values out of range, a model that has no text encoder, LoRA or adapters
            twice, adapters for an encoder that has no place for them.

    Example:
        >>> adaptation = adapt(text_classifier, "lora", rank=8)
        >>> adaptation.share < 0.2
        True
    """
    blocks = encoder_blocks(model)
    faults = _faults(model, blocks, method, layers=layers, rank=rank, alpha=alpha, bottleneck=bottleneck)
    if projections not in ("query_value", "all"):
        faults.append(f"projections must be query_value or all; got '{projections}'")
    if faults:
        raise ModelError(
            f"'{model.name}' cannot be adapted by {method}: " + "; ".join(faults),
            hint="adapt a plain classifier once; merge_adaptation gives one back",
        )
    free_everything(model)  # what an earlier call froze
    if method == "head":
        freeze_backbone(model)
    elif method == "last":
        ordered = backbone_layers(model)
        for layer in ordered[: ordered.index(blocks[-layers])]:
            layer.trainable = False
    elif method == "lora":
        _enable_low_rank(blocks, rank=rank, alpha=alpha, everywhere=projections == "all")
        learn_only(model, is_low_rank)
    elif method == "adapters":
        model = _with_adapters(model, bottleneck)
    elif method == "bitfit":
        learn_only(model, lambda weight: weight.name in ("bias", "beta"))
    _forget_traces(model)
    return _told(model, method, layers=layers, rank=rank, bottleneck=bottleneck)


def merge_adaptation(model: keras.Model, inputs: Inputs | None = None) -> keras.Model:
    """A plain copy of an adapted classifier with equal outputs, to export, compress or train further.

    LoRA's products are added to the kernels they stand beside. Adapters are nonlinear and stay, as layers.

    Args:
        model: A classifier that `adapt` prepared; not changed.
        inputs: A few real inputs that the two are compared on; see `tfkit.graph.refuse_difference`.

    Returns:
        A model with layers of the same names, in which everything may learn.

    Raises:
        ModelError: When a layer of the copy does not compute what the model's does.

    Example:
        >>> adaptation = adapt(text_classifier, "lora", rank=4)
        >>> low_rank_layers(merge_adaptation(adaptation.model))
        ()
    """
    merged = keras.models.clone_model(model)
    merge_low_rank(model, merged, inputs)
    return merged


def _enable_low_rank(blocks: Iterable[keras.Layer], *, rank: int, alpha: float | None, everywhere: bool) -> None:
    kernels = (keras.layers.Dense, keras.layers.EinsumDense)
    for block in blocks:
        for layer in inner_layers(block):
            if isinstance(layer, kernels) and (everywhere or layer.name in ("query", "value")):
                layer.enable_lora(rank, lora_alpha=alpha)


def _with_adapters(model: keras.Model, units: int) -> keras.Model:
    from tfkit.models.text.adapters import with_adapters  # here, because keras-hub takes seconds to import

    adapted = with_adapters(model, units=units)
    learning = {
        id(weight)
        for layer in inner_layers(adapted)
        if type(layer).__name__ == "Adapter" or isinstance(layer, keras.layers.LayerNormalization)
        for weight in layer.weights
    }
    learn_only(adapted, lambda weight: id(weight) in learning)
    return adapted


def _forget_traces(model: keras.Model) -> None:
    """Keras keeps what it compiled before: a `predict` without the LoRA, a training step of other weights."""
    model.train_function = model.test_function = model.predict_function = None


def _told(model: keras.Model, method: Method, *, layers: int, rank: int, bottleneck: int) -> Adaptation:
    learning, everything = (_count(weights) for weights in (model.trainable_weights, model.weights))
    lora = low_rank_layers(model)
    detail = {
        "last": f" ({layers} blocks)",
        "lora": f" (rank {rank} in {len(lora)} layers: {', '.join(sorted({layer.name for layer in lora}))})",
        "adapters": f" ({bottleneck} units)",
    }.get(method, "")
    share = learning / everything
    note = f"{method}{detail}: {learning:,} of {everything:,} parameters learn ({share:.2%})"
    return Adaptation(model, method, learning, share, (note,))


def _count(weights: Iterable[keras.Variable]) -> int:
    return sum(int(np.prod(weight.shape)) for weight in weights)


def _faults(
    model: keras.Model,
    blocks: tuple[keras.Layer, ...],
    method: str,
    *,
    layers: int,
    rank: int,
    alpha: float | None,
    bottleneck: int,
) -> list[str]:
    faults = []
    if method not in (methods := ("all", "head", "last", "lora", "adapters", "bitfit")):
        faults.append(f"the methods are {', '.join(methods)}")
    if POOLING not in (layer.name for layer in model.layers):
        faults.append(f"it has no layer '{POOLING}' before its head")
    if low_rank_layers(model):
        faults.append("it holds LoRA already")
    if method == "last" and not 1 <= layers <= len(blocks):
        faults.append(f"layers must be 1 to {len(blocks)}, the blocks of its encoder; got {layers}")
    if method == "lora" and rank < 1:
        faults.append(f"rank must be 1 or more; got {rank}")
    if method == "lora" and alpha is not None and alpha <= 0:
        faults.append(f"alpha must be more than 0; got {alpha}")
    if method == "adapters" and bottleneck < 1:
        faults.append(f"bottleneck must be 1 or more; got {bottleneck}")
    if method == "adapters" and (other := {type(block).__name__ for block in blocks} - {"TransformerEncoder"}):
        faults.append(f"adapters go into a TransformerEncoder; its blocks are {', '.join(sorted(other))}")
    return faults
