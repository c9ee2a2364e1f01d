"""The sections of a recipe for texts that differ from those for images."""

from typing import Annotated, Literal, cast

from pydantic import Field

from tfkit.config.compression_sections import LAYERS
from tfkit.config.data_sections import EarlierSection, SharedRunSection
from tfkit.config.keys import (
    COUNT,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    SCRIPT_NAME,
    ClassNames,
    ClosedFraction,
    Count,
    CountFromZero,
    FilePath,
    Fraction,
    Name,
    NameOrPath,
    NotNegative,
    Positive,
    ScriptName,
    Text,
    choice,
    classes_key,
    key,
    labels_per_class_key,
    on_leakage_key,
    suspicious_labels_key,
    teacher_key,
)
from tfkit.config.options import (
    AcceptanceLimits,
    ObjectiveOptions,
    StudentOptions,
    TextAugmentationOptions,
    TextFineTuneOptions,
    TextLoadingOptions,
    TextModelOptions,
    TextPolicyOptions,
    TextPruneOptions,
    TextQuantizeOptions,
    TextTeacherOptions,
    options_of,
)
from tfkit.config.sections import AcceptanceSection, ExportSection
from tfkit.config.task_section import TaskSection
from tfkit.config.training_sections import Section, Solver, TrainingSection
from tfkit.config.tune_section import TuneSection

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
    """`distillation:` - learn from a teacher's answers as well as from the labels.

    Example:
        >>> TextDistillationSection(alpha=0.9).temperature
        4.0
    """

    teacher: NameOrPath | None = teacher_key()
    temperature: Positive = key(POSITIVE, "How much the teacher's answers are softened.", 4.0)
    alpha: ClosedFraction = key("a number in [0, 1]", "Share of the teacher's answers in the loss.", 0.5)
    hidden_states: NotNegative = key(
        NOT_NEGATIVE, "pruning: what the teacher's layers' results count in the loss, beside its answers.", 0.0
    )

    def teacher_options(self) -> TextTeacherOptions:
        """This section as keyword arguments of `tfkit.stages.texts.TextTeacher`; only its model is added."""
        return options_of(self, TextTeacherOptions)


Column = CountFromZero | Name | None
_COLUMN = "a column's name, its number from 0, or null"


class TextSourceSection(Section):
    """Where texts come from, of classifiers and of embeddings."""

    source: Literal["csv", "tsv", "jsonl", "tfds", "built_in"] = choice("Where the texts come from.")
    directory: FilePath | None = key(
        "a folder", "csv, tsv, jsonl: where relative files start. tfds: where data sets are kept.", None
    )
    name: Text | None = key("a TensorFlow Datasets name", "tfds: the data set's name, such as `imdb_reviews`.", None)
    train: FilePath | None = key("a file", "csv, tsv, jsonl: the training file.", None)
    validation: FilePath | None = key("a file", "The validation file; split from train when left out.", None)
    test: FilePath | None = key("a file", "The evaluation file; split from train when left out.", None)
    text_column: Column = key(_COLUMN, "Where the text stands; null: `text`, or column 0 without a header.", None)
    label_column: Column = key(_COLUMN, "Where the label stands; null: `label`, or column 1 without a header.", None)
    separator: Annotated[str, Field(min_length=1, max_length=1)] | None = key(
        "one character, or null", "What separates columns; a comma in csv and a tab in tsv when null.", None
    )
    encoding: Text = key("an encoding's name", "How the files are encoded.", "utf-8")
    header: bool = key("true or false", "Whether the first line names the columns.", True)
    label_names: dict[Text, Text] | None = key(
        "null or {label in the file: name}", "What to call labels, for files that number them.", None
    )
    classes: ClassNames | None = classes_key()
    labels_per_class: Count | None = labels_per_class_key()
    bad_rows: Literal["error", "skip"] = choice("What to do with a row that cannot be used.", "error")
    on_leakage: Literal["keep", "drop", "error"] = on_leakage_key()
    sequence_length: Annotated[int, Field(ge=4, le=65_536)] | None = key(
        "a whole number of 4 or more, or null",
        "Tokens of a text at most, start and end included; chosen from the training texts when null.",
        None,
    )
    buckets: bool = key("true or false", "Batch texts of like length together, so that less padding is computed.", True)
    validation_fraction: Fraction = key(FRACTION, "Share of the training texts kept for early stopping.", 0.1)
    test_fraction: Fraction = key(FRACTION, "Share kept for evaluation where the data has no test file.", 0.2)
    batch_size: Count = key(COUNT, "Texts in a batch.", 32)

    def loading_options(self) -> TextLoadingOptions:
        """This section as keyword arguments of `tfkit.data.text.load_text_splits`; only the seed is added."""
        return options_of(self, TextLoadingOptions)


class TextDataSection(TextSourceSection):
    """`data:` - the texts, their labels and their splits. Relative paths start at the current folder."""

    suspicious_labels: bool = suspicious_labels_key()


class TextAugmentationSection(Section):
    """`augmentation:` - how training texts are varied; not at all when the section is missing.

    Example:
        >>> TextAugmentationSection(delete=0.2).augmentation_options()["delete"]
        0.2
    """

    share: ClosedFraction = key("a number in [0, 1]", "Share of the texts that are changed in an epoch.", 0.5)
    delete: Fraction = key(FRACTION, "Chance of each word to be left out.", 0.1)
    swap: ClosedFraction = key("a number in [0, 1]", "Pairs of words swapped, as a share of the words.", 0.1)
    synonyms: ClosedFraction = key("a number in [0, 1]", "Share of words replaced by a near one of word_vectors.", 0.0)
    word_vectors: FilePath | None = key("a file, or null", "Word vectors as text: a word and its numbers a line.", None)

    def augmentation_options(self) -> TextAugmentationOptions:
        """This section as keyword arguments of `tfkit.data.text.TextAugmentation`."""
        return options_of(self, TextAugmentationOptions)


class TextModelSection(Section):
    """`model:` - the backbone and what is set on it.

    Example:
        >>> TextModelSection(backbone="bert_tiny").classifier_options()["pooling"]
        'mean'
    """

    backbone: NameOrPath = key(
        "a backbone's name, a keras-hub preset, a file or a Hugging Face folder",
        "A name (`bert_tiny`), a keras-hub preset, `hf://...`, or a local Hugging Face folder.",
        "bert_small",
    )
    weights: Literal["pretrained", "random"] | None = key(
        "'pretrained', 'random' or null", "Weights of the backbone; null: what its name has.", None
    )
    vocabulary_size: Count = key(COUNT, "Word pieces that a backbone from scratch learns from the texts.", 2000)
    pooling: Literal["cls", "mean"] = choice("How token vectors become one: the first token's, or their mean.", "mean")
    dropout: Fraction = key(FRACTION, "Dropout before the classifier.", 0.1)

    def classifier_options(self) -> TextModelOptions:
        """What of this section `tfkit.models.text.build_text_classifier` takes."""
        return options_of(self, TextModelOptions)


class TextFineTuneSection(TrainingSection):
    """`fine_tune:` - train the classifier, with as much of the backbone as `method` says.

    Example:
        >>> TextFineTuneSection(method="lora", rank=4).rank
        4
    """

    epochs: Count = key(COUNT, "Passes over the training texts.", 3)
    learning_rate: Positive = key(POSITIVE, "Peak learning rate.", 3e-4)
    weight_decay: NotNegative = key(NOT_NEGATIVE, "Decoupled weight decay.", 0.01)
    method: Literal["all", "head", "last", "lora", "adapters", "bitfit"] = choice(
        "What learns: all of the backbone, only the head (features are computed once), the last layers, low-rank "
        "updates (LoRA), small adapters, or the biases.",
        "all",
    )
    solver: Solver = choice(
        "method head: `lbfgs` fits the head to the end, its penalty and the features' scale chosen on the validation "
        "split, without epochs and what else gradient steps need; `gradient` trains in epochs; `auto`: lbfgs.",
        "auto",
    )
    layers: Count = key(COUNT, "method last: how many of the backbone's last layers learn.", 2)
    rank: Count = key(COUNT, "method lora: the updates' rank; adapters: their width.", 8)
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = key(
        "a number in (0, 1], or null",
        "Learning rate of each block as a share of the one above it: 0.9 is mild, 0.65 strong.",
        None,
    )
    adversarial: Positive | None = key(
        POSITIVE + ", or null", "Train on a moved token table too (FGM): the length of the move, often 1.", None
    )
    r_drop: Positive | None = key(
        POSITIVE + ", or null", "Bring the answers under two dropouts together (R-Drop): its weight, 0.5 to 5.", None
    )
    average_runs: Count = key(
        COUNT, "Trainings with other seeds, of which the weights are averaged as far as that helps.", 1
    )

    def learning_options(self) -> TextFineTuneOptions:
        """The further keyword arguments of `tfkit.training.fine_tune_text` that are this section's own."""
        # Here `auto` is always lbfgs: epochs and the like are for the other methods too.
        fields = {name: getattr(self, name) for name in TextFineTuneOptions.__annotations__}
        return cast(TextFineTuneOptions, fields | {"solver": "lbfgs" if self.solver == "auto" else self.solver})

    def objective_options(self) -> ObjectiveOptions:
        """This section's keys as keyword arguments of `tfkit.training.TextObjectives`."""
        return options_of(self, ObjectiveOptions)


class TextQuantizationSection(TrainingSection):
    """`quantization:` - train on the numbers that a file computes with.

    Example:
        >>> TextQuantizationSection(target="int8").target
        'int8'
    """

    target: Literal["dynamic_int8", "int8"] = choice(
        "`dynamic_int8` rounds the weights, what CPUs run fastest; `int8` everything, for integer processors.",
        "dynamic_int8",
    )
    weight_bits: Literal[8, 4] = choice("int8: bits of a weight.", 8)
    skip: tuple[Text, ...] = key(LAYERS, "int8: layers left in float, such as [*_feedforward_*]; see tfkit check.", ())
    eight_bit_ends: bool = key("true or false", "With 4-bit weights: the first and the last layer keep 8.", True)
    eight_bit: tuple[Text, ...] = key(LAYERS, "With 4-bit weights: further layers that keep 8.", ())
    calibration_examples: Count = key(COUNT, "Training texts that set the first ranges.", 200)
    epochs: Count = key(COUNT, "Passes over the training texts.", 1)
    learning_rate: Positive = key(POSITIVE, "Peak learning rate.", 3e-5)
    weight_decay: NotNegative = key(NOT_NEGATIVE, "Decoupled weight decay.", 0.01)
    moving_epochs: Count = key(COUNT, "int8: epochs in which the ranges of activations still move.", 1)

    def learning_options(self) -> TextQuantizeOptions:
        """The further keyword arguments of `quantize_text` that are this section's own."""
        return options_of(self, TextQuantizeOptions)

    def policy_options(self) -> TextPolicyOptions:
        """What of this section says how numbers are rounded.

        Example:
            >>> TextQuantizationSection(target="int8", weight_bits=4).policy_options()["weight_bits"]
            4
        """
        return options_of(self, TextPolicyOptions)


SEGMENT_IDS_TOLD = (
    "Give .tflite files the third input that MediaPipe's text tasks ask for, and the vocabulary; needs lower-case "
    "WordPiece."
)


class TextExportSection(ExportSection):
    """`export:` - which files are made; every one is then measured on the whole evaluation split."""

    segment_ids: bool = key("true or false", SEGMENT_IDS_TOLD, False)


class TextRecipeConfig(Section):
    """A whole recipe for texts. A stage (`pruning`, `quantization`, `export`) is None when it does not run."""

    recipe: ScriptName = key(SCRIPT_NAME, "The script to run.")
    run: SharedRunSection = SharedRunSection()
    earlier: EarlierSection | None = None
    data: TextDataSection
    task: TaskSection = TaskSection()
    augmentation: TextAugmentationSection | None = None
    model: TextModelSection = TextModelSection()
    fine_tune: TextFineTuneSection = TextFineTuneSection()
    pruning: TextPruningSection | None = None
    quantization: TextQuantizationSection | None = None
    distillation: TextDistillationSection | None = None
    export: TextExportSection | None = None
    acceptance: AcceptanceSection = AcceptanceSection()
    tune: TuneSection | None = None

    def limits(self) -> AcceptanceLimits:
        """What a file must keep to, as keyword arguments of `tfkit.verification.AcceptancePolicy`."""
        skipped = bool(self.quantization and self.quantization.skip) or bool(self.export and self.export.allow_float)
        return self.acceptance.limits(floats_asked=skipped, tolerance=self.task.tolerance)
