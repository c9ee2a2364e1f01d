"""What sections hand to the library: its keyword arguments, by name and type."""

from pathlib import Path
from typing import Literal, NotRequired, TypedDict, TypeVar, cast

from pydantic import BaseModel

Options = TypeVar("Options")


def options_of(section: BaseModel, kind: type[Options]) -> Options:
    """The keys of a section that keyword arguments are named after.

    Args:
        section: The section; it has all of them.
        kind: The `TypedDict` of the arguments.

    Example:
        >>> options_of(HeadSection(epochs=3), HeadOptimizationOptions)["epochs"]
        3
    """
    return cast(Options, {name: getattr(section, name) for name in kind.__annotations__})


class HeadOptimizationOptions(TypedDict):
    """What `head:` says of `tfkit.training.Optimization`."""

    epochs: int
    learning_rate: float
    optimizer: Literal["adam", "adamw", "sgd"]
    weight_decay: float
    label_smoothing: float
    class_weights: Literal["balanced"] | dict[str, float] | None
    early_stopping: int | None


class OptimizationOptions(HeadOptimizationOptions):
    """`tfkit.training.Optimization`."""

    warmup: float
    schedule: Literal["cosine", "linear", "constant"]
    ema: float | None
    gradient_accumulation: int


class LearningOptions(TypedDict):
    """Of every stage that trains the network itself."""

    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"]
    jit: Literal["auto"] | bool


class ImageLearningOptions(LearningOptions):
    """Of such stages on images: `tfkit.stages.prune`."""

    batch_norm: Literal["frozen", "train"]


class FineTuneOptions(ImageLearningOptions):
    """`tfkit.training.fine_tune`."""

    unfreeze_from: float | str
    method: Literal["all", "lora"]
    rank: int


class QuantizeOptions(ImageLearningOptions):
    """`tfkit.stages.quantize`."""

    engine: Literal["tfkit", "tfmot"]
    calibration_examples: int
    moving_epochs: int


class HeadOptions(TypedDict):
    """`tfkit.training.train_head`."""

    cached_views: int
    solver: Literal["lbfgs", "gradient"]
    batch_size: NotRequired[int]


class AdaptationOptions(LearningOptions):
    """What `tfkit.training.fine_tune_text` and `train_embedder` share."""

    layers: int
    rank: int


class DecoderOptions(TypedDict):
    """`tfkit.models.build_segmenter`."""

    channels: int
    dropout: float
    l2: float


class MaskOptions(TypedDict):
    """`tfkit.data.masks.MaskCoding`."""

    values: dict[str, int | tuple[int, int, int]]
    ignored: tuple[int | tuple[int, int, int], ...]


class TextFineTuneOptions(AdaptationOptions):
    """`tfkit.training.fine_tune_text`."""

    method: Literal["all", "head", "last", "lora", "adapters", "bitfit"]
    average_runs: int
    solver: Literal["lbfgs", "gradient"]


class ContrastiveOptions(AdaptationOptions):
    """`tfkit.training.train_embedder`."""

    method: Literal["all", "last", "lora", "adapters", "bitfit"]
    temperature: float


class TextPruneOptions(LearningOptions):
    """`tfkit.stages.prune_text`."""

    sparsity: float | None


class TextQuantizeOptions(LearningOptions):
    """`tfkit.stages.quantize_text`."""

    target: Literal["dynamic_int8", "int8"]
    weight_bits: Literal[8, 4]
    skip: tuple[str, ...]
    eight_bit_ends: bool
    eight_bit: tuple[str, ...]
    calibration_examples: int
    moving_epochs: int


class TextPolicyOptions(TypedDict):
    """`tfkit.stages.texts.quantization_policy`."""

    target: Literal["dynamic_int8", "int8"]
    weight_bits: Literal[8, 4]
    skip: tuple[str, ...]
    eight_bit_ends: bool
    eight_bit: tuple[str, ...]


class ObjectiveOptions(TypedDict):
    """`tfkit.training.TextObjectives`."""

    layer_decay: float | None
    adversarial: float | None
    r_drop: float | None


class PruningOptions(TypedDict):
    """`tfkit.compression.PruningSettings`."""

    method: Literal["magnitude", "n_of_m", "channels"]
    sparsity: float
    sparsity_schedule: Literal["polynomial", "constant"]
    scope: Literal["layer", "global"]
    budgets: dict[str, float] | None
    pattern: tuple[int, int]
    skip: tuple[str, ...]
    prune_first: bool
    prune_last: bool
    prune_depthwise: bool
    criterion: Literal["bn_scale", "weight_norm", "loss"]
    keep: float | None
    max_parameters: int | None
    max_multiply_adds: int | None
    max_latency_ms: float | None
    width_multiple: int
    min_width: int


class PolicyOptions(TypedDict):
    """`tfkit.compression.QuantizationPolicy`."""

    weight_bits: Literal[8, 4]
    activation_bits: Literal[8, 16]
    skip: tuple[str, ...]
    eight_bit_ends: bool
    eight_bit: tuple[str, ...]


class StudentOptions(TypedDict, total=False):
    """`tfkit.compression.transformers.StudentSize`."""

    layers: int | None
    heads: int | None
    feedforward: int | None
    drop: Literal["even", "last", "loss"]
    criterion: Literal["loss", "weight_norm"]


class FeatureOptions(TypedDict):
    """`tfkit.compression.FeaturePair`."""

    student: str
    teacher: str
    weight: float


class DistillerOptions(TypedDict):
    """`tfkit.compression.distiller`, but for its pairs of features."""

    temperature: float
    alpha: float


class TextTeacherOptions(DistillerOptions):
    """`tfkit.stages.texts.TextTeacher`."""

    hidden_states: float


class LoadingOptions(TypedDict):
    """`tfkit.data.load_image_splits`."""

    source: Literal["image_folder", "npz", "csv", "tfds", "digits", "shapes"]
    directory: Path | None
    name: str | None
    train: Path | None
    validation: Path | None
    test: Path | None
    classes: tuple[str, ...] | None
    labels_per_class: int | None
    channels: Literal[1, 3]
    validation_fraction: float
    test_fraction: float
    bad_images: Literal["error", "skip"]
    max_pixels: int
    on_leakage: Literal["keep", "drop", "error"]
    max_lost_fraction: float


class TextLoadingOptions(TypedDict):
    """`tfkit.data.text.load_text_splits`."""

    source: Literal["csv", "tsv", "jsonl", "tfds", "built_in"]
    directory: Path | None
    name: str | None
    train: Path | None
    validation: Path | None
    test: Path | None
    text_column: int | str | None
    label_column: int | str | None
    separator: str | None
    encoding: str
    header: bool
    label_names: dict[str, str] | None
    classes: tuple[str, ...] | None
    labels_per_class: int | None
    bad_rows: Literal["error", "skip"]
    on_leakage: Literal["keep", "drop", "error"]
    validation_fraction: float
    test_fraction: float


class HistoryLoadingOptions(TypedDict):
    """`tfkit.data.histories.load_history_splits`."""

    source: Literal["csv", "tsv", "jsonl", "shop"]
    directory: Path | None
    ratings: Path | None
    items: Path | None
    user_column: int | str | None
    item_column: int | str | None
    time_column: int | str | None
    rating_column: int | str | None
    min_rating: float | None
    name_column: int | str | None
    text_columns: tuple[int | str, ...]
    header: bool
    separator: str | None
    encoding: str
    min_items: int
    next_fraction: float
    validation_fraction: float
    test_fraction: float
    bad_rows: Literal["error", "skip"]


class ReplyLoadingOptions(TypedDict):
    """`tfkit.data.replies.load_reply_splits`."""

    source: Literal["csv", "tsv", "jsonl", "built_in"]
    directory: Path | None
    train: Path | None
    validation: Path | None
    test: Path | None
    question_column: int | str | None
    answer_column: int | str | None
    header: bool
    separator: str | None
    encoding: str
    validation_fraction: float
    test_fraction: float
    bad_rows: Literal["error", "skip"]


class AugmentationOptions(TypedDict):
    """What `tfkit.data.training_batches` and the stages of training take of how images are varied."""

    augmentation: Literal["none", "light", "rand_augment"]
    mixing: Literal["mixup", "cutmix"] | None
    flip: bool


class TextAugmentationOptions(TypedDict):
    """`tfkit.data.text.TextAugmentation`."""

    share: float
    delete: float
    swap: float
    synonyms: float
    word_vectors: Path | None


class ClassifierOptions(TypedDict):
    """`tfkit.models.build_classifier`."""

    pooling: Literal["average", "max", "token"] | None
    dropout: float
    l2: float


class TextModelOptions(TypedDict):
    """`tfkit.models.text.build_text_classifier` and `build_text_embedder`."""

    pooling: Literal["cls", "mean"]
    dropout: float


class TargetOptions(TypedDict):
    """`tfkit.data.targets.Targets`."""

    kind: str
    columns: tuple[str, ...]
    separator: str


class AcceptanceLimits(TypedDict):
    """`tfkit.verification.AcceptancePolicy`."""

    max_accuracy_drop: float
    min_agreement: float
    max_bytes: int | None
    max_latency_ms_p95: float | None
    min_runtime: str | None
    min_cosine: NotRequired[float]
    tolerance: NotRequired[float | None]
    max_float_ops: NotRequired[int | None]
