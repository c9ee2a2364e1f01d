"""What all sections of a recipe share, and the keys that all training stages share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tfkit.config.keys import (
    CLASS_WEIGHTS,
    COUNT,
    EARLY_STOPPING,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    ClassWeights,
    Count,
    Fraction,
    NotNegative,
    Positive,
    choice,
    key,
)
from tfkit.config.options import LearningOptions, OptimizationOptions, options_of


class Section(BaseModel):
    """What all sections share: unknown keys and wrong types are faults, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TrainingSection(Section):
    """The keys of every stage that trains the network itself, on images or on texts."""

    epochs: Count = key(COUNT, "Passes over the training examples.", 5)
    learning_rate: Positive = key(POSITIVE, "Peak learning rate.", 1e-5)
    optimizer: Literal["adam", "adamw", "sgd"] = choice("Optimizer.", "adamw")
    weight_decay: NotNegative = key(NOT_NEGATIVE, "Decoupled weight decay (adamw, sgd).", 0.0)
    warmup: Fraction = key(FRACTION, "Share of all steps in which the learning rate rises from 0.", 0.1)
    schedule: Literal["cosine", "linear", "constant"] = choice("The learning rate after the warm-up.", "cosine")
    label_smoothing: Fraction = key(FRACTION, "Label smoothing.", 0.0)
    class_weights: ClassWeights = key(CLASS_WEIGHTS, "Weights of the classes in the loss.", None)
    early_stopping: Count | None = key(
        EARLY_STOPPING,
        "Stop after so many epochs without a better validation loss; best weights are kept.",
        None,
    )
    ema: Annotated[float, Field(gt=0, lt=1)] | None = key(
        "a number in (0, 1), or null", "Momentum of an average of the weights, which is what is kept.", None
    )
    gradient_accumulation: Count = key(COUNT, "Batches whose gradients make one step.", 1)
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = choice("Number format of training.", "float32")
    jit: Literal["auto"] | bool = key("'auto', true or false", "Compile the training step with XLA.", "auto")

    def optimization_options(self) -> OptimizationOptions:
        """What of this section `tfkit.training.Optimization` takes."""
        return options_of(self, OptimizationOptions)

    def learning_options(self) -> LearningOptions:
        """The further keyword arguments of `tfkit.training.train_on` that are this section's own."""
        return options_of(self, LearningOptions)


class ImageTrainingSection(TrainingSection):
    """What training on images has besides: encoders of texts hold no BatchNorm."""

    batch_norm: Literal["frozen", "train"] = choice(
        "`frozen` keeps the running statistics as they are; `train` updates them.", "frozen"
    )
