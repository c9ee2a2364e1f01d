"""The sections about a run's place, its images and its network: every key, its type, its default and its meaning."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from tfkit.config.keys import (
    COUNT,
    FLAG,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    ClassNames,
    ClosedFraction,
    Count,
    FilePath,
    Fraction,
    NameOrPath,
    NotNegative,
    Pixels,
    Positive,
    Text,
    choice,
    classes_key,
    key,
    labels_per_class_key,
    on_leakage_key,
    suspicious_labels_key,
    text_of_number,
)
from tfkit.config.options import AugmentationOptions, ClassifierOptions, DecoderOptions, LoadingOptions, options_of
from tfkit.config.training_sections import Section


def _folder_name(name: str) -> str:
    if name in (".", "..") or name != name.strip() or not name.isprintable() or len(name.encode()) > 200:
        raise ValueError("no folder name")
    return name


class RunSection(Section):
    """`run:` - where the run's files go, and the seed of everything random.

    Example:
        >>> RunSection(name="photos").directory.as_posix()
        'runs'
    """

    name: Annotated[str, BeforeValidator(text_of_number), AfterValidator(_folder_name)] = key(
        "a folder name without slashes, line breaks or outer blanks, not '.' or '..'",
        "The run's folder below `directory`; the recipe file's own name when left out.",
        "",
        pattern=r"^[^/\\]*$",
    )
    directory: FilePath = key("a folder", "The folder that holds all runs.", Path("runs"))
    overwrite: bool = key(FLAG, "Set an existing run of this name aside first; nothing is ever deleted.", False)
    seed: int = key("a whole number in [0, 4294967295]", "The same seed gives the same weights.", 0, ge=0, lt=2**32)


class SharedRunSection(RunSection):
    """`run:` of images and text classifiers - also which devices train.

    Example:
        >>> SharedRunSection(name="photos").distribution
        'none'
    """

    distribution: Literal["auto", "none", "data_parallel"] = choice(
        "Which devices of this host train: `none`, one. `auto`, all GPUs that share a batch equally. "
        "`data_parallel`, all GPUs, or without any all logical CPUs; refused where there are not two. Batch size and "
        "learning rate are those of the whole training.",
        "none",
    )


class EarlierSection(Section):
    """`earlier:` - go on from the model of a finished run, on new examples, without forgetting the old ones.

    Example:
        >>> EarlierSection(run=Path("runs/intents")).replay
        0.25
    """

    run: FilePath = key("an earlier run's folder", "The finished run whose float model learns on.")
    replay: ClosedFraction = key(
        "a number in [0, 1]",
        "Share of the earlier training examples that is learned from again, as many of each class as there are.",
        0.25,
    )
    max_forgetting: ClosedFraction | None = key(
        "a number in [0, 1], or null",
        "What a file may lose on the earlier test examples against the earlier float model, as a fraction (0.01: one "
        "point); null: anything.",
        0.02,
    )


class DataSection(Section):
    """`data:` - the images, their labels and their splits. Relative paths start at the current folder.

    Example:
        >>> DataSection(source="digits", image_size=32).image_height_width
        (32, 32)
    """

    source: Literal["image_folder", "npz", "csv", "tfds", "digits", "shapes"] = choice("Where the images come from.")
    directory: FilePath | None = key(
        "a folder",
        "image_folder: the folder of class folders (or of train/ with val/ or test/), of segmentation of images/ and "
        "masks/. npz, csv: "
        "where relative files start. tfds: where data sets are kept.",
        None,
    )
    name: Text | None = key("a TensorFlow Datasets name", "tfds: the data set's name, such as `beans`.", None)
    train: FilePath | None = key("a file", "npz, csv: the training file.", None)
    validation: FilePath | None = key("a file", "npz, csv: the validation file; split from train when left out.", None)
    test: FilePath | None = key("a file", "npz, csv: the evaluation file; split from train when left out.", None)
    classes: ClassNames | None = classes_key()
    labels_per_class: Count | None = labels_per_class_key()
    image_size: Pixels | tuple[Pixels, Pixels] = key(
        "a whole number of pixels or [height, width]", "The size that the model takes, in pixels.", 224
    )
    channels: Literal[1, 3] = choice("1 for grey, 3 for RGB.", 3)
    resize: Literal["crop", "pad", "stretch"] = choice("How an image of another shape is fitted.", "crop")
    validation_fraction: Fraction = key(FRACTION, "Share of the training images kept for early stopping.", 0.1)
    test_fraction: Fraction = key(FRACTION, "Share kept for evaluation where the data has no test split.", 0.2)
    batch_size: Count = key(COUNT, "Images in a batch.", 32)
    cache_mb: Annotated[int, Field(ge=0, le=2**30)] = key(
        "a whole number of 0 or more",
        "Decoded images are held in memory up to this size, in MiB, and beyond it on disk until the run ends; "
        "0 decodes them again in every epoch.",
        1024,
    )
    bad_images: Literal["error", "skip"] = choice("What to do with an image that cannot be read.", "error")
    max_pixels: Annotated[int, Field(ge=1, le=2**34)] = key(
        COUNT, "An image of more pixels than this is not decoded and counts as one that cannot be read.", 178_956_970
    )
    on_leakage: Literal["keep", "drop", "error"] = on_leakage_key()
    suspicious_labels: bool = suspicious_labels_key()
    max_lost_fraction: Fraction = key(
        FRACTION,
        "Share of the images that may break or vanish during a run before it stops; others of their label stand in.",
        0.02,
    )

    @property
    def image_height_width(self) -> tuple[int, int]:
        """(height, width) in pixels.

        Example:
            >>> DataSection(source="digits", image_size=(32, 64)).image_height_width
            (32, 64)
        """
        return (self.image_size, self.image_size) if isinstance(self.image_size, int) else self.image_size

    def loading_options(self) -> LoadingOptions:
        """This section as keyword arguments of `tfkit.data.load_image_splits`; only the seed is added.

        Example:
            >>> DataSection(source="digits", labels_per_class=10).loading_options()["labels_per_class"]
            10
        """
        return options_of(self, LoadingOptions)


class AugmentationSection(Section):
    """`augmentation:` - how training images are varied; none when the section is missing.

    Example:
        >>> AugmentationSection(policy="light", flip=False).batch_options()
        {'augmentation': 'light', 'mixing': None, 'flip': False}
    """

    policy: Literal["none", "light", "rand_augment"] = choice(
        "`light` crops, flips and shifts colours a little; `rand_augment` does much more.", "light"
    )
    mixing: Literal["mixup", "cutmix"] | None = key(
        "'mixup', 'cutmix' or null", "Mix pairs of images and labels.", None
    )
    flip: bool = key(FLAG, "Mirror images left to right; false for digits, text and signs.", True)

    def batch_options(self) -> AugmentationOptions:
        """This section as keyword arguments of `tfkit.data.training_batches` and of the training stages."""
        return {"augmentation": self.policy, "mixing": self.mixing, "flip": self.flip}


class ModelSection(Section):
    """`model:` - the backbone and what is set on it.

    Example:
        >>> ModelSection(backbone="resnet8", pooling="max").classifier_options()["pooling"]
        'max'
    """

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
    custom_objects: NameOrPath | None = key(
        "a Python file, an importable module or null",
        "Where layers of your own are defined, for a backbone file that has such. It is run.",
        None,
    )
    input_range: tuple[float, float] | None = key(
        "[low, high], or null", "Of a backbone from a file: what pixels 0 and 255 became outside of it.", None
    )
    input_mean: Annotated[tuple[float, ...], Field(max_length=3)] = key(
        "a list of one number, or of one a channel",
        "What was taken from the pixels outside of it, in 0..255, or in `input_range`.",
        (),
    )
    input_std: Annotated[tuple[float, ...], Field(max_length=3)] = key(
        "a list of one number, or of one a channel", "What they were divided by then.", ()
    )
    input_channels: Literal["rgb", "bgr"] = choice("The order of the channels that it takes.", "rgb")
    width: Positive = key(POSITIVE, "Width multiplier of MobileNets.", 1.0)
    pooling: Literal["average", "max", "token"] | None = key(
        "'average', 'max', 'token' or null",
        "How a feature map becomes a vector; null takes the class token where there is one, else the average.",
        None,
    )
    dropout: Fraction = key(FRACTION, "Dropout before the classifier.", 0.2)
    l2: NotNegative = key(NOT_NEGATIVE, "L2 penalty of the classifier's weights.", 0.0)
    decoder_channels: Count = key(COUNT, "segmentation, detection: channels of the decoder's maps.", 64)

    def classifier_options(self) -> ClassifierOptions:
        """What of this section `tfkit.models.build_classifier` takes."""
        return options_of(self, ClassifierOptions)

    def decoder_options(self) -> DecoderOptions:
        """What of this section `tfkit.models.build_segmenter` takes."""
        return {"channels": self.decoder_channels, "dropout": self.dropout, "l2": self.l2}
