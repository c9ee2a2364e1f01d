"""The sections about training in float: every key, its type, its default and its meaning."""

from typing import Literal

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
from tfkit.config.options import FineTuneOptions, HeadOptimizationOptions, HeadOptions, ImageLearningOptions, options_of
from tfkit.config.section import ImageTrainingSection, Section


class HeadSection(Section):
    """`head:` - train the classifier on a frozen backbone, whose features are computed once.

    Example:
        >>> HeadSection(epochs=3).optimization_options()["epochs"]
        3
    """

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

    def optimization_options(self) -> HeadOptimizationOptions:
        """What of this section `tfkit.training.Optimization` takes."""
        return options_of(self, HeadOptimizationOptions)

    def learning_options(self) -> HeadOptions:
        """The further keyword arguments of `tfkit.training.train_head` that are this section's own."""
        options: HeadOptions = {"cached_views": self.cached_views}
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

    def learning_options(self) -> FineTuneOptions:
        """The further keyword arguments of `tfkit.training.fine_tune` that are this section's own."""
        return {**options_of(self, ImageLearningOptions), "unfreeze_from": self.unfreeze}
