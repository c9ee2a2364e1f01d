"""The sections about training in float: every key, its type, its default and its meaning."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tfkit.config.keys import (
    CLASS_WEIGHTS,
    COUNT,
    EARLY_STOPPING,
    FLAG,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    ClassWeights,
    ClosedFraction,
    Count,
    Fraction,
    NotNegative,
    Positive,
    Text,
    choice,
    key,
)
from tfkit.config.options import (
    FineTuneOptions,
    HeadOptimizationOptions,
    HeadOptions,
    ImageLearningOptions,
    LearningOptions,
    OptimizationOptions,
    options_of,
)


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


Solver = Literal["auto", "lbfgs", "gradient"]
# What only gradient steps read.
GRADIENT_KEYS_OF_HEAD = ("epochs", "learning_rate", "optimizer", "weight_decay", "early_stopping")
GRADIENT_KEYS = (*GRADIENT_KEYS_OF_HEAD, "warmup", "schedule", "ema", "gradient_accumulation")


def set_keys(section: BaseModel, keys: tuple[str, ...]) -> tuple[str, ...]:
    """Those of some keys that differ from their defaults."""
    return tuple(name for name in keys if getattr(section, name) != type(section).model_fields[name].default)


class HeadSection(Section):
    """`head:` - train the classifier on a frozen backbone, whose features are computed once.

    Solver `lbfgs` reads neither `epochs` nor how gradient steps are made; `auto` takes it unless one of these is set.

    Example:
        >>> HeadSection(epochs=3).optimization_options()["epochs"]
        3
    """

    solver: Solver = choice(
        "`lbfgs` fits the head to the end, its penalty and the features' scale chosen on the validation split; "
        "`gradient` trains in epochs; `auto`: lbfgs, or gradient where a key is set that only gradient reads.",
        "auto",
    )
    epochs: Count = key(COUNT, "Passes over the training features.", 20)
    learning_rate: Positive = key(POSITIVE, "Peak learning rate.", 1e-3)
    optimizer: Literal["adam", "adamw", "sgd"] = choice("Optimizer.", "adam")
    weight_decay: NotNegative = key(NOT_NEGATIVE, "Decoupled weight decay (adamw, sgd).", 0.0)
    batch_size: Count | None = key(COUNT + ", or null", "Features in a batch; data.batch_size when null.", None)
    cached_views: Count = key(COUNT, "Views of each image whose features are cached: itself, the others augmented.", 1)
    label_smoothing: Fraction = key(FRACTION, "Label smoothing.", 0.0)
    class_weights: ClassWeights = key(CLASS_WEIGHTS, "Weights of the classes in the loss.", None)
    early_stopping: Count | None = key(
        EARLY_STOPPING,
        "Stop after so many epochs without a better validation loss; best weights are kept.",
        None,
    )
    random_backbone_control: bool = key(FLAG, "Train the same head on a random backbone too, to compare.", False)

    def solver_meant(self) -> Literal["lbfgs", "gradient"]:
        """What `auto` stands for here.

        Example:
            >>> HeadSection().solver_meant(), HeadSection(epochs=3).solver_meant()
            ('lbfgs', 'gradient')
        """
        if self.solver != "auto":
            return self.solver
        return "gradient" if set_keys(self, GRADIENT_KEYS_OF_HEAD) else "lbfgs"

    def optimization_options(self) -> HeadOptimizationOptions:
        """What of this section `tfkit.training.Optimization` takes."""
        return options_of(self, HeadOptimizationOptions)

    def learning_options(self) -> HeadOptions:
        """The further keyword arguments of `tfkit.training.train_head` that are this section's own."""
        options: HeadOptions = {"cached_views": self.cached_views, "solver": self.solver_meant()}
        if self.batch_size is not None:
            options["batch_size"] = self.batch_size
        return options


class FineTuneSection(ImageTrainingSection):
    """`fine_tune:` - go on training with some or all of the backbone unfrozen.

    Example:
        >>> FineTuneSection(unfreeze=0.3).learning_options()["batch_norm"]
        'frozen'
    """

    unfreeze: ClosedFraction | Text = key(
        "'all', a fraction in [0, 1] or a layer's name",
        "What is trained: everything, the last share of layers, or all from the named layer on.",
        "all",
    )
    method: Literal["all", "lora"] = choice(
        "`all`: what `unfreeze` says; `lora`: low-rank updates of a vision transformer's attention, merged before "
        "anything else is done.",
        "all",
    )
    rank: Count = key(COUNT, "method lora: the updates' rank.", 8)

    def learning_options(self) -> FineTuneOptions:
        """The further keyword arguments of `tfkit.training.fine_tune` that are this section's own."""
        of_all = options_of(self, ImageLearningOptions)
        return {**of_all, "unfreeze_from": self.unfreeze, "method": self.method, "rank": self.rank}
