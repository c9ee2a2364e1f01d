"""How small a student of a transformer is to be, and what of the teacher stays in it."""

from dataclasses import dataclass, replace

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.compression.distillation import FeaturePair
from tfkit.compression.transformers.blocks import Block, BlockCut, encoder_layers
from tfkit.compression.transformers.ranking import Batches, Criterion, LayerRule, layers_to_keep, unit_scores
from tfkit.errors import ModelError


@dataclass(frozen=True, kw_only=True)
class StudentSize:
    """What stays of a transformer's encoder.

    Attributes:
        layers: How many layers stay; None for all.
        heads: How many attention heads each of them keeps; None for all.
        feedforward: How many neurons its feed-forward part keeps; None for all. Multiples of 16 compute best.
        drop: Which layers go: `even`ly spread ones, the `last` ones, or those the `loss` misses least; see
            `layers_to_keep`.
        criterion: What a head or a neuron is worth: `loss` or `weight_norm`; see `unit_scores`.

    Example:
        >>> StudentSize(layers=3, heads=8).feedforward is None
        True
    """

    layers: int | None = None
    heads: int | None = None
    feedforward: int | None = None
    drop: LayerRule = "even"
    criterion: Criterion = "loss"


@dataclass(frozen=True)
class StudentPlan:
    """Which layers, heads and neurons stay.

    Attributes:
        size: What was asked for.
        cuts: One for each layer of the whole model, in running order.
    """

    size: StudentSize
    cuts: tuple[BlockCut, ...]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The layers that stay, as narrow as they will be."""
        return tuple(
            replace(cut.block, heads=len(cut.heads), neurons=len(cut.neurons)) for cut in self.cuts if not cut.removed
        )

    def feature_pairs(self, *, weight: float) -> tuple[FeaturePair, ...]:
        """Whom each layer of the student learns from, for `distiller`; teacher and student both opened.

        A layer learns to give what the teacher has before the next layer that both have, so that it takes over the
        work of those removed behind it.

        Args:
            weight: What all pairs together count in the loss.
        """
        stays = [place for place, cut in enumerate(self.cuts) if not cut.removed]
        teachers = [place - 1 for place in (*stays[1:], len(self.cuts))]
        outputs = [cut.block.output for cut in self.cuts]
        return tuple(
            FeaturePair(student=outputs[own], teacher=outputs[other], weight=weight / len(stays))
            for own, other in zip(stays, teachers, strict=True)
        )


def check_student(model: keras.Model, size: StudentSize) -> tuple[Block, ...]:
    """Refuse a size that a model does not have, trained or not.

    Args:
        model: An opened transformer.
        size: How small it is to get.

    Returns:
        Its layers.

    Raises:
        ModelError: Tells all faults at once.
    """
    blocks = encoder_layers(model)
    smallest = {
        "layers": len(blocks),
        "heads": min(block.heads for block in blocks),
        "feedforward": min(block.neurons for block in blocks),
    }
    asked = {name: getattr(size, name) for name in smallest}
    faults = [
        f"{name} must be 1 to {smallest[name]}, what there are; got {count}"
        for name, count in asked.items()
        if count is not None and not 1 <= count <= smallest[name]
    ]
    if not faults and all(count in (None, smallest[name]) for name, count in asked.items()):
        have = ", ".join(f"{count} {name}" for name, count in smallest.items())
        faults.append(f"nothing would go; it has {have}")
    if faults:
        raise ModelError(
            f"model '{model.name}' cannot be made smaller so: " + "; ".join(faults),
            hint="give fewer layers, heads or feedforward than it has",
        )
    return blocks


def plan_student(model: keras.Model, size: StudentSize, *, batches: Batches = ()) -> StudentPlan:
    """Decide which layers, heads and neurons of a trained model stay.

    Args:
        model: An opened transformer that ends in a softmax. It is not changed.
        size: How small it is to get.
        batches: For the rules named `loss`: some pairs (inputs, one-hot targets) of training texts.

    Returns:
        The plan, for `cut_transformer`.

    Raises:
        ModelError: When the size is not to be had, or batches are missing.

    Example:
        >>> plan = plan_student(plain, StudentSize(layers=1))
    """
    blocks = check_student(model, size)
    kept = layers_to_keep(model, size.layers or len(blocks), rule=size.drop, batches=batches)
    narrowed = size.heads is not None or size.feedforward is not None
    scores = unit_scores(model, criterion=size.criterion, batches=batches) if narrowed else {}

    def cut(block: Block) -> BlockCut:
        if block.name not in kept:
            return BlockCut(block, (), ())
        heads, neurons = scores.get(block.name, (np.zeros(block.heads), np.zeros(block.neurons)))
        return BlockCut(block, _best(heads, size.heads), _best(neurons, size.feedforward))

    return StudentPlan(size, tuple(cut(block) for block in blocks))


def _best(scores: NDArray[np.float64], count: int | None) -> tuple[int, ...]:
    order = np.argsort(-scores, kind="stable")[: count or len(scores)]
    return tuple(int(place) for place in np.sort(order))
