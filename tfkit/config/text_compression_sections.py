"""The sections of a recipe for texts about making the network smaller."""

from typing import Literal

from tfkit.config.keys import (
    COUNT,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    ClosedFraction,
    Count,
    Fraction,
    NotNegative,
    Positive,
    choice,
    key,
)
from tfkit.config.options import StudentOptions, TextPruneOptions, TextTeacherOptions, options_of
from tfkit.config.section import Section, TrainingSection

STUDENT_KEYS = ("layers", "heads", "feedforward")


class TextPruningSection(TrainingSection):
    """`pruning:` - cut layers, attention heads and neurons out of the trained encoder, or zero weights; train on.

    Example:
        >>> TextPruningSection(layers=3).size_options()["layers"]
        3
    """

    layers: Count | None = key(COUNT + ", or null", "Layers of the encoder that stay; null: all.", None)
    heads: Count | None = key(COUNT + ", or null", "Attention heads that each layer keeps; null: all.", None)
    feedforward: Count | None = key(
        COUNT + ", or null", "Neurons that each feed-forward part keeps, best a multiple of 16; null: all.", None
    )
    drop: Literal["even", "last", "loss"] = choice(
        "Which layers go: evenly spread ones, the last ones, or those without which the loss is lowest.", "even"
    )
    criterion: Literal["loss", "weight_norm"] = choice("What a head or a neuron is worth.", "loss")
    sparsity: Fraction | None = key(
        FRACTION + ", or null",
        "Share of the remaining kernels' weights that become zero: less to download, but no quicker.",
        None,
    )
    epochs: Count = key(COUNT, "Passes over the training texts.", 5)
    learning_rate: Positive = key(POSITIVE, "Peak learning rate.", 1e-4)
    weight_decay: NotNegative = key(NOT_NEGATIVE, "Decoupled weight decay.", 0.01)

    def learning_options(self) -> TextPruneOptions:
        """The further keyword arguments of `prune_text` that are this section's own, but for the student's size."""
        return options_of(self, TextPruneOptions)

    def size_options(self) -> StudentOptions:
        """What of this section `tfkit.compression.transformers.StudentSize` takes; empty when nothing is cut."""
        if all(getattr(self, name) is None for name in STUDENT_KEYS):
            return {}
        return options_of(self, StudentOptions)


class TextDistillationSection(Section):
    """`distillation:` - in `pruning` and `quantization` learn from the whole float model of this run too.

    Example:
        >>> TextDistillationSection(alpha=0.9).temperature
        4.0
    """

    temperature: Positive = key(POSITIVE, "How much the teacher's answers are softened.", 4.0)
    alpha: ClosedFraction = key("a number in [0, 1]", "Share of the teacher's answers in the loss.", 0.5)
    hidden_states: NotNegative = key(
        NOT_NEGATIVE, "pruning: what the teacher's layers' results count in the loss, beside its answers.", 0.0
    )

    def teacher_options(self) -> TextTeacherOptions:
        """This section as keyword arguments of `tfkit.stages.text_training.TextTeacher`; only its model is added."""
        return options_of(self, TextTeacherOptions)
