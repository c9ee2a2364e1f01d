"""The sections about making the network smaller: every key, its type, its default and its meaning."""

from typing import Annotated, Literal

from pydantic import Field

from tfkit.config.keys import (
    COUNT,
    FLAG,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    ClosedFraction,
    Count,
    CountFromZero,
    Fraction,
    LargeCount,
    NameOrPath,
    NotNegative,
    Positive,
    Text,
    choice,
    key,
    teacher_key,
)
from tfkit.config.options import (
    DistillerOptions,
    FeatureOptions,
    ImageLearningOptions,
    PolicyOptions,
    PruningOptions,
    QuantizeOptions,
    options_of,
)
from tfkit.config.training_sections import ImageTrainingSection, Section

LAYERS = "a list of layer names or patterns such as [block_1_*]"

# Which methods of pruning read which keys; the others hold for all methods.
PRUNING_KEYS: dict[str, tuple[str, ...]] = {
    "sparsity": ("magnitude",),
    "sparsity_schedule": ("magnitude",),
    "scope": ("magnitude",),
    "budgets": ("magnitude",),
    "pattern": ("n_of_m",),
    "skip": ("magnitude", "n_of_m"),
    "prune_first": ("magnitude", "n_of_m"),
    "prune_last": ("magnitude", "n_of_m"),
    "prune_depthwise": ("magnitude", "n_of_m"),
    "criterion": ("channels",),
    "keep": ("channels",),
    "max_parameters": ("channels",),
    "max_multiply_adds": ("channels",),
    "max_latency_ms": ("channels",),
    "width_multiple": ("channels",),
    "min_width": ("channels",),
}
CHANNEL_BUDGETS = ("keep", "max_parameters", "max_multiply_adds", "max_latency_ms")
# What tensorflow-model-optimization's engine cannot do: these keys keep their defaults.
NOT_OF_TFMOT = (
    "weight_bits",
    "activation_bits",
    "skip",
    "eight_bit_ends",
    "eight_bit",
    "moving_epochs",
    "early_stopping",
    "ema",
    "gradient_accumulation",
    "precision",
)


class PruningSection(ImageTrainingSection):
    """`pruning:` - take weights or whole channels away while training goes on.

    Example:
        >>> PruningSection(method="channels", keep=0.5).pruning_options()["keep"]
        0.5
    """

    method: Literal["magnitude", "n_of_m", "channels"] = choice(
        "`magnitude` zeroes the smallest weights, `n_of_m` some of each group; `channels` makes layers narrower.",
        "magnitude",
    )
    sparsity: Fraction = key(FRACTION, "Share of weights that become zero.", 0.5)
    sparsity_schedule: Literal["polynomial", "constant"] = choice(
        "`polynomial` reaches the sparsity after two thirds of the steps; `constant` has it from the first.",
        "polynomial",
    )
    scope: Literal["layer", "global"] = choice(
        "`layer`: the same share of each layer; `global`: the smallest weights wherever they are.", "layer"
    )
    budgets: Annotated[dict[Text, Fraction], Field(min_length=1)] | None = key(
        "null or {layer name or pattern: share of zeros in [0, 1), ...}", "Sparsity of single layers instead.", None
    )
    pattern: tuple[Count, Count] = key("[n, m], whole numbers", "n of m weights are kept in each group.", (2, 4))
    skip: tuple[Text, ...] = key(LAYERS, "Layers that stay dense.", ())
    prune_first: bool = key(FLAG, "Whether the first convolution is pruned too.", False)
    prune_last: bool = key(FLAG, "Whether the classifier is pruned too.", True)
    prune_depthwise: bool = key(FLAG, "Whether depthwise convolutions are pruned too.", False)
    criterion: Literal["bn_scale", "weight_norm", "loss"] = choice("What a channel is worth.", "loss")
    keep: Annotated[float, Field(gt=0, le=1)] | None = key(
        "a number in (0, 1], or null", "Share of the channels that every layer keeps.", None
    )
    max_parameters: LargeCount | None = key(COUNT + ", or null", "Remove channels down to so many weights.", None)
    max_multiply_adds: LargeCount | None = key(COUNT + ", or null", "Or down to so many multiply-adds an image.", None)
    max_latency_ms: Positive | None = key(
        POSITIVE + ", or null", "Or down to this predicted time of the int8 file on this machine, in ms.", None
    )
    width_multiple: Count = key(COUNT, "Widths are multiples of this.", 8)
    min_width: Count = key(COUNT, "No layer gets narrower than this.", 16)
    learning_rate: Positive = key(POSITIVE, "Peak learning rate.", 1e-4)

    def learning_options(self) -> ImageLearningOptions:
        """The further keyword arguments of `tfkit.stages.prune` that are this section's own; but for its settings."""
        return options_of(self, ImageLearningOptions)

    def pruning_options(self) -> PruningOptions:
        """What of this section `tfkit.compression.PruningSettings` takes.

        Example:
            >>> PruningSettings(**PruningSection(sparsity=0.8).pruning_options()).sparsity
            0.8
        """
        return options_of(self, PruningOptions)


class QuantizationSection(ImageTrainingSection):
    """`quantization:` - train on the numbers that the int8 file computes with.

    Example:
        >>> QuantizationSection(weight_bits=4).policy_options()["weight_bits"]
        4
    """

    method: Literal["quantization_aware"] = choice("How.", "quantization_aware")
    engine: Literal["tfkit", "tfmot"] = choice(
        "`tfmot`: tensorflow-model-optimization, for flat convolutional networks; makes the int8 file only.", "tfkit"
    )
    weight_bits: Literal[8, 4] = choice("Bits of a weight.", 8)
    activation_bits: Literal[8, 16] = choice("Bits of what flows between layers.", 8)
    skip: tuple[Text, ...] = key(LAYERS, "Layers left in float.", ())
    eight_bit_ends: bool = key(FLAG, "With 4-bit weights: the first and the last layer keep 8.", True)
    eight_bit: tuple[Text, ...] = key(LAYERS, "With 4-bit weights: further layers that keep 8.", ())
    moving_epochs: CountFromZero | None = key(
        "a whole number of 0 or more, or null",
        "Epochs in which the ranges follow the images, before they stand still; null: all but the last.",
        None,
    )
    calibration_examples: Count = key(COUNT, "Training images that set the first ranges.", 200)
    epochs: Count = key(COUNT, "Passes over the training images.", 3)
    learning_rate: Positive = key(POSITIVE, "Peak learning rate.", 1e-5)

    def policy_options(self) -> PolicyOptions:
        """What of this section `tfkit.compression.QuantizationPolicy` takes.

        Example:
            >>> QuantizationPolicy(**QuantizationSection(weight_bits=4).policy_options()).weight_bits
            4
        """
        return options_of(self, PolicyOptions)

    def learning_options(self) -> QuantizeOptions:
        """The further keyword arguments of `tfkit.stages.quantize` that are this section's own; but for its policy."""
        moving = max(1, self.epochs - 1) if self.moving_epochs is None else self.moving_epochs
        return {
            **options_of(self, ImageLearningOptions),
            "engine": self.engine,
            "calibration_examples": self.calibration_examples,
            "moving_epochs": moving,
        }


class FeatureSection(Section):
    """One of `distillation.features`: a layer of the student and the teacher's that it learns from."""

    student: Text
    teacher: Text
    weight: Positive = 1.0


class DistillationSection(Section):
    """`distillation:` - learn from a teacher's answers as well as from the labels.

    Example:
        >>> DistillationSection(alpha=0.9).distiller_options()["alpha"]
        0.9
    """

    teacher: NameOrPath | None = teacher_key()
    temperature: Positive = key(POSITIVE, "How much the teacher's answers are softened.", 4.0)
    alpha: ClosedFraction = key("a number in [0, 1]", "Share of the teacher's answers in the loss.", 0.5)
    feature_maps: NotNegative = key(
        NOT_NEGATIVE,
        "pruning by channels: what each of the teacher's last feature maps of a size counts in the loss, beside its "
        "answers; a map's remaining channels learn to give what they gave before.",
        0.0,
    )
    features: tuple[FeatureSection, ...] = key(
        "a list of {student: LAYER, teacher: LAYER, weight: a number above 0}",
        "Layers that learn to give what the teacher's give.",
        (),
    )

    def distiller_options(self) -> DistillerOptions:
        """What of this section `tfkit.compression.distiller` takes; `features` are plain dicts."""
        return options_of(self, DistillerOptions)

    def feature_options(self) -> list[FeatureOptions]:
        """What `tfkit.compression.FeaturePair` takes, for each of `features`."""
        return [options_of(feature, FeatureOptions) for feature in self.features]
