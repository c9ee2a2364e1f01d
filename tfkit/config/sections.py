"""A whole recipe, and the sections about its files; the other sections are in modules of their own."""

from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import AfterValidator, Field

from tfkit.artifacts.format import FORMAT_NAMES
from tfkit.config.compression_sections import DistillationSection, PruningSection, QuantizationSection
from tfkit.config.data_sections import AugmentationSection, DataSection, EarlierSection, ModelSection, SharedRunSection
from tfkit.config.keys import (
    COUNT,
    POSITIVE,
    SCRIPT_NAME,
    ClosedFraction,
    Count,
    LargeCount,
    Positive,
    ScriptName,
    Text,
    all_different,
    key,
)
from tfkit.config.options import AcceptanceLimits
from tfkit.config.task_section import ImageTaskSection
from tfkit.config.training_sections import FineTuneSection, HeadSection, Section
from tfkit.config.tune_section import TuneSection

if TYPE_CHECKING:  # the list of formats is a value; pydantic takes it for a type
    ExportFormat = str
else:
    ExportFormat = Literal[FORMAT_NAMES]


class ExportSection(Section):
    """`export:` - which files are made; every one is then measured on the whole evaluation split.

    Example:
        >>> ExportSection(formats=("tflite_int8",)).calibration_examples
        200
    """

    formats: Annotated[tuple[ExportFormat, ...], Field(min_length=1), AfterValidator(all_different)] = key(
        "a list of different formats out of " + ", ".join(FORMAT_NAMES),
        "The files to make.",
        ("saved_model", "tflite_float32", "tflite_int8"),
    )
    calibration_examples: Count = key(COUNT, "Training images that set the ranges of int8 files.", 200)
    allow_float: tuple[Text, ...] = key(
        "a list of operators, or of layers or patterns, such as [ERF, block_1_*]",
        "Operators that may stay in float in an int8 file made after training.",
        (),
    )


class AcceptanceSection(Section):
    """`acceptance:` - limits; a file that misses one is refused and the run exits with status 3.

    Example:
        >>> AcceptanceSection(min_agreement=0.9).limits()["min_agreement"]
        0.9
    """

    max_accuracy_drop: ClosedFraction = key(
        "a number in [0, 1]",
        "Accuracy (F1 of labels, R2 of numbers) that a file may lose against Keras, as a fraction (0.01: one point).",
        0.01,
    )
    min_agreement: ClosedFraction = key("a number in [0, 1]", "Least share of answers equal to those of Keras.", 0.98)
    max_bytes: LargeCount | None = key(COUNT + ", or null", "Largest size of a .tflite file, in bytes.", None)
    max_latency_ms_p95: Positive | None = key(POSITIVE + ", or null", "Longest 95th-percentile latency, in ms.", None)
    min_runtime: str | None = key(
        "a version of TensorFlow Lite such as '2.14', in quotes, or null",
        "The oldest runtime that must read the .tflite files.",
        None,
        pattern=r"^\d+(\.\d+){1,2}$",
    )
    latency_threads: Count = key(COUNT, "Threads used when latency is measured.", 1)
    examples: Count | None = key(
        COUNT + ", or null",
        "How many examples of a huge test split the model and its files are judged on, as many of each class as there "
        "are, drawn with `run.seed`; null: all.",
        None,
    )

    def limits(self, *, floats_asked: bool = False, tolerance: float | None = None) -> AcceptanceLimits:
        """The limits as keyword arguments of `tfkit.verification.AcceptancePolicy`.

        Args:
            floats_asked: Whether the recipe leaves layers of int8 files in float; the exporter refuses every other
                float operator.
            tolerance: Of numbers: how far two may be apart and the same.

        Example:
            >>> AcceptanceSection(max_bytes=100_000).limits()["max_bytes"]
            100000
        """
        limits = cast(AcceptanceLimits, self.model_dump(exclude={"latency_threads", "examples"}))
        limits["tolerance"] = tolerance
        if floats_asked:
            limits["max_float_ops"] = None
        return limits


class RecipeConfig(Section):
    """A whole recipe. A stage (`head`, `fine_tune`, `pruning`, `quantization`, `export`) is None when it does not run.

    Example:
        >>> RecipeConfig(recipe="finetune_image", data=DataSection(source="digits")).model.backbone
        'mobilenet_v2'
    """

    recipe: ScriptName = key(SCRIPT_NAME, "The script to run.")
    run: SharedRunSection = SharedRunSection()
    earlier: EarlierSection | None = None
    data: DataSection
    task: ImageTaskSection = ImageTaskSection()
    augmentation: AugmentationSection = AugmentationSection(policy="none")
    model: ModelSection = ModelSection()
    head: HeadSection | None = None
    fine_tune: FineTuneSection | None = None
    pruning: PruningSection | None = None
    quantization: QuantizationSection | None = None
    distillation: DistillationSection | None = None
    export: ExportSection | None = None
    acceptance: AcceptanceSection = AcceptanceSection()
    tune: TuneSection | None = None

    def limits(self) -> AcceptanceLimits:
        """What a file must keep to, as keyword arguments of `tfkit.verification.AcceptancePolicy`.

        Example:
            >>> RecipeConfig(recipe="finetune_image", data=DataSection(source="digits")).limits()["max_accuracy_drop"]
            0.01
        """
        skipped = bool(self.quantization and self.quantization.skip) or bool(self.export and self.export.allow_float)
        return self.acceptance.limits(floats_asked=skipped, tolerance=self.task.tolerance)
