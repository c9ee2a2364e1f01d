"""The sections of a recipe: every key, its type, its default and what it means."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

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
    FilePath,
    Fraction,
    NameOrPath,
    NotNegative,
    Positive,
    Text,
    all_different,
    choice,
    key,
    text_of_number,
)

ExportFormat = Literal["saved_model", "tflite_float32", "tflite_float16", "tflite_dynamic_int8", "tflite_int8"]
EXPORT_FORMATS: tuple[ExportFormat, ...] = (
    "saved_model",
    "tflite_float32",
    "tflite_float16",
    "tflite_dynamic_int8",
    "tflite_int8",
)
# What `tfkit.data.load_image_splits` takes; the other keys of `data:` say how images are fitted and batched.
_LOADING_KEYS = (
    "source",
    "directory",
    "name",
    "train",
    "validation",
    "test",
    "classes",
    "labels_per_class",
    "channels",
    "validation_fraction",
    "test_fraction",
    "bad_images",
)

# What `tfkit.training.Optimization` takes: of head: the first ones, of fine_tune: all.
_OPTIMIZATION_KEYS = (
    "epochs",
    "learning_rate",
    "optimizer",
    "weight_decay",
    "label_smoothing",
    "class_weights",
    "early_stopping",
)
_FURTHER_OPTIMIZATION_KEYS = ("warmup", "schedule", "ema", "gradient_accumulation")


class Section(BaseModel):
    """What all sections share: unknown keys and wrong types are faults, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RunSection(Section):
    """`run:` - where the run's files go, and the seed of everything random."""

    name: Annotated[str, BeforeValidator(text_of_number)] = key(
        "a folder name without slashes",
        "The run's folder below `directory`; the recipe file's own name when left out.",
        "",
        pattern=r"^[^/\\]*$",
    )
    directory: FilePath = key("a folder", "The folder that holds all runs.", Path("runs"))
    overwrite: bool = key(FLAG, "Set an existing run of this name aside first; nothing is ever deleted.", False)
    seed: int = key("a whole number in [0, 4294967295]", "The same seed gives the same weights.", 0, ge=0, lt=2**32)


class DataSection(Section):
    """`data:` - the images, their labels and their splits. Relative paths start at the current folder."""

    source: Literal["image_folder", "npz", "csv", "tfds", "digits"] = choice("Where the images come from.")
    directory: FilePath | None = key(
        "a folder",
        "image_folder: the folder of class folders (or of train/ with val/ or test/). npz, csv: "
        "where relative files start. tfds: where data sets are kept.",
        None,
    )
    name: Text | None = key("a TensorFlow Datasets name", "tfds: the data set's name, such as `beans`.", None)
    train: FilePath | None = key("a file", "npz, csv: the training file.", None)
    validation: FilePath | None = key("a file", "npz, csv: the validation file; split from train when left out.", None)
    test: FilePath | None = key("a file", "npz, csv: the evaluation file; split from train when left out.", None)
    classes: Annotated[tuple[Text, ...], Field(min_length=2), AfterValidator(all_different)] | None = key(
        "a list of 2 or more different class names", "Keep only these classes, in this order.", None
    )
    labels_per_class: Count | None = key(
        COUNT + ", or null", "Keep so many training examples a class; the others are left out.", None
    )
    image_size: Count | tuple[Count, Count] = key(
        "a whole number of pixels or [height, width]", "The size that the model takes, in pixels.", 224
    )
    channels: Literal[1, 3] = choice("1 for grey, 3 for RGB.", 3)
    resize: Literal["crop", "pad", "stretch"] = choice("How an image of another shape is fitted.", "crop")
    validation_fraction: Fraction = key(FRACTION, "Share of the training images kept for early stopping.", 0.1)
    test_fraction: Fraction = key(FRACTION, "Share kept for evaluation where the data has no test split.", 0.2)
    batch_size: Count = key(COUNT, "Images in a batch.", 32)
    cache_mb: Annotated[int, Field(ge=0)] = key(
        "a whole number of 0 or more", "Decoded images are held in memory up to this size, in MiB.", 1024
    )
    bad_images: Literal["error", "skip"] = choice("What to do with an image that cannot be read.", "error")

    @property
    def image_height_width(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return (self.image_size, self.image_size) if isinstance(self.image_size, int) else self.image_size

    def loading_options(self) -> dict[str, Any]:
        """This section as keyword arguments of `tfkit.data.load_image_splits`; only the seed is added."""
        return {name: getattr(self, name) for name in _LOADING_KEYS}


class AugmentationSection(Section):
    """`augmentation:` - how training images are varied; none when the section is missing."""

    policy: Literal["none", "light", "rand_augment"] = choice(
        "`light` crops, flips and shifts colours a little; `rand_augment` does much more.", "light"
    )
    mixing: Literal["mixup", "cutmix"] | None = key(
        "'mixup', 'cutmix' or null", "Mix pairs of images and labels.", None
    )
    flip: bool = key(FLAG, "Mirror images left to right; false for digits, text and signs.", True)

    def batch_options(self) -> dict[str, Any]:
        """This section as keyword arguments of `tfkit.data.training_batches` and of the training stages."""
        return {"augmentation": self.policy, "mixing": self.mixing, "flip": self.flip}


class ModelSection(Section):
    """`model:` - the backbone and what is set on it."""

    backbone: NameOrPath = key(
        "a backbone's name, a keras-hub preset, a file or an earlier run's folder",
        "A name (`mobilenet_v2`), a keras-hub preset, `hf://...`, a .keras or .h5 file, or `runs/NAME`.",
        "mobilenet_v2",
    )
    weights: NameOrPath | None = key(
        "'imagenet', 'random', a weights file or null",
        "Weights of the backbone; null takes the published ones, or those of the file or run it comes from.",
        None,
    )
    width: Positive = key(POSITIVE, "Width multiplier of MobileNets.", 1.0)
    pooling: Literal["average", "max"] = choice("How the backbone's feature map becomes a vector.", "average")
    dropout: Fraction = key(FRACTION, "Dropout before the classifier.", 0.2)
    l2: NotNegative = key(NOT_NEGATIVE, "L2 penalty of the classifier's weights.", 0.0)

    def classifier_options(self) -> dict[str, Any]:
        """What of this section `tfkit.models.build_classifier` takes."""
        return {"pooling": self.pooling, "dropout": self.dropout, "l2": self.l2}


class HeadSection(Section):
    """`head:` - train the classifier on a frozen backbone, whose features are computed once."""

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

    def optimization_options(self) -> dict[str, Any]:
        """What of this section `tfkit.training.Optimization` takes."""
        return {name: getattr(self, name) for name in _OPTIMIZATION_KEYS}

    def learning_options(self) -> dict[str, Any]:
        """The further keyword arguments of `tfkit.training.train_head` that are this section's own."""
        batch_size = {} if self.batch_size is None else {"batch_size": self.batch_size}
        return {"cached_views": self.cached_views, **batch_size}


class FineTuneSection(Section):
    """`fine_tune:` - go on training with some or all of the backbone unfrozen."""

    epochs: Count = key(COUNT, "Passes over the training images.", 5)
    unfreeze: ClosedFraction | Text = key(
        "'all', a fraction in [0, 1] or a layer's name",
        "What is trained: everything, the last share of layers, or all from the named layer on.",
        "all",
    )
    learning_rate: Positive = key(POSITIVE, "Peak learning rate.", 1e-5)
    optimizer: Literal["adam", "adamw", "sgd"] = choice("Optimizer.", "adamw")
    weight_decay: NotNegative = key(NOT_NEGATIVE, "Decoupled weight decay (adamw, sgd).", 0.0)
    warmup: Fraction = key(FRACTION, "Share of all steps in which the learning rate rises from 0.", 0.1)
    schedule: Literal["cosine", "constant"] = choice("The learning rate after the warm-up.", "cosine")
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
    batch_norm: Literal["frozen", "train"] = choice(
        "`frozen` keeps the running statistics as they are; `train` updates them.", "frozen"
    )
    jit: Literal["auto"] | bool = key("'auto', true or false", "Compile the training step with XLA.", "auto")

    def optimization_options(self) -> dict[str, Any]:
        """What of this section `tfkit.training.Optimization` takes."""
        return {name: getattr(self, name) for name in (*_OPTIMIZATION_KEYS, *_FURTHER_OPTIMIZATION_KEYS)}

    def learning_options(self) -> dict[str, Any]:
        """The further keyword arguments of `tfkit.training.fine_tune` that are this section's own."""
        return {
            "unfreeze_from": self.unfreeze,
            "batch_norm": self.batch_norm,
            "precision": self.precision,
            "jit": self.jit,
        }

    def unfreezing_options(self) -> dict[str, Any]:
        """The other keys, as keyword arguments of `tfkit.training.fine_tune`."""
        return {"unfreeze_from": self.unfreeze, **self.model_dump(include={"precision", "batch_norm", "jit"})}


class ExportSection(Section):
    """`export:` - which files are made; every one is then measured on the whole evaluation split."""

    formats: Annotated[tuple[ExportFormat, ...], Field(min_length=1), AfterValidator(all_different)] = key(
        "a list of different formats out of " + ", ".join(EXPORT_FORMATS),
        "The files to make.",
        ("saved_model", "tflite_float32", "tflite_int8"),
    )
    calibration_examples: Count = key(COUNT, "Training images that set the ranges of int8 files.", 200)


class AcceptanceSection(Section):
    """`acceptance:` - limits; a file that misses one is refused and the run exits with status 3."""

    max_accuracy_drop: ClosedFraction = key(
        "a number in [0, 1]",
        "Accuracy that a file may lose against Keras, as a fraction (0.01 is one point).",
        0.01,
    )
    min_agreement: ClosedFraction = key("a number in [0, 1]", "Least share of answers equal to those of Keras.", 0.98)
    max_bytes: Count | None = key(COUNT + ", or null", "Largest size of a .tflite file, in bytes.", None)
    max_latency_ms_p95: Positive | None = key(POSITIVE + ", or null", "Longest 95th-percentile latency, in ms.", None)
    latency_threads: Count = key(COUNT, "Threads used when latency is measured.", 1)

    def limits(self) -> dict[str, Any]:
        """The limits as keyword arguments of `tfkit.verification.AcceptancePolicy`."""
        return self.model_dump(exclude={"latency_threads"})


class RecipeConfig(Section):
    """A whole recipe. `head`, `fine_tune` and `export` are None when missing, and their stages do not run.

    Example:
        >>> RecipeConfig(recipe="finetune_image", data=DataSection(source="digits")).model.backbone
        'mobilenet_v2'
    """

    recipe: str = key(
        "the name of a recipe script, such as finetune_image", "The script to run.", pattern="^[a-z0-9_]+$"
    )
    run: RunSection = RunSection()
    data: DataSection
    augmentation: AugmentationSection = AugmentationSection(policy="none")
    model: ModelSection = ModelSection()
    head: HeadSection | None = None
    fine_tune: FineTuneSection | None = None
    export: ExportSection | None = None
    acceptance: AcceptanceSection = AcceptanceSection()
