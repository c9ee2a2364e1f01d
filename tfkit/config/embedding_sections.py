"""The sections of a recipe for sentence embeddings that differ from those for text classifiers."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from tfkit.artifacts.format import FORMATS
from tfkit.config.data_sections import RunSection
from tfkit.config.keys import (
    COUNT,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    SCRIPT_NAME,
    ClosedFraction,
    Count,
    FilePath,
    Fraction,
    NotNegative,
    Positive,
    ScriptName,
    all_different,
    choice,
    key,
)
from tfkit.config.options import AcceptanceLimits, ContrastiveOptions, TextModelOptions, options_of
from tfkit.config.sections import AcceptanceSection
from tfkit.config.text_sections import SEGMENT_IDS_TOLD, TextModelSection, TextSourceSection
from tfkit.config.training_sections import Section, TrainingSection
from tfkit.config.tune_section import TuneSection

_SHARE = "a number in [0, 1]"
# tflite_int8 needs quantisation-aware training, which embedders do not have yet.
_FORMATS = tuple(one.name for one in FORMATS if not (one.is_integer or one.of_language_models))
if TYPE_CHECKING:
    EmbeddingFormat = str
else:
    EmbeddingFormat = Literal[_FORMATS]


class EmbeddingDataSection(TextSourceSection):
    """`data:` - the texts, what belongs together, and their splits. Relative paths start at the current folder."""

    labels_are_texts: bool = key(
        "true or false",
        "Whether labels are texts (answers, passages), which are then what is searched; else training texts are.",
        False,
    )


class EmbeddingModelSection(TextModelSection):
    """`model:` - the backbone and what is set on it."""

    dropout: Fraction = key(FRACTION, "Dropout of the pooled vector in training.", 0.0)

    def embedder_options(self) -> TextModelOptions:
        """What of this section `tfkit.models.text.build_text_embedder` takes."""
        return options_of(self, TextModelOptions)


class ContrastiveSection(TrainingSection):
    """`fine_tune:` - bring texts of one label near each other, away from the others of their batch."""

    epochs: Count = key(COUNT, "Passes over the training texts.", 3)
    learning_rate: Positive = key(POSITIVE, "Peak learning rate.", 1e-4)
    weight_decay: NotNegative = key(NOT_NEGATIVE, "Decoupled weight decay.", 0.01)
    method: Literal["all", "last", "lora", "adapters", "bitfit"] = choice(
        "What learns: all of the backbone, the last layers, low-rank updates (LoRA), small adapters, or the biases.",
        "all",
    )
    layers: Count = key(COUNT, "method last: how many of the backbone's last layers learn.", 2)
    rank: Count = key(COUNT, "method lora: the updates' rank; adapters: their width.", 8)
    temperature: Positive = key(POSITIVE, "What cosines are divided by in the loss.", 0.05)

    def learning_options(self) -> ContrastiveOptions:
        """The further keyword arguments of `train_embedder` that are this section's own."""
        return options_of(self, ContrastiveOptions)


class SearchSection(Section):
    """`search:` - what is answered, and when "not sure"."""

    min_confidence: ClosedFraction = key(_SHARE, 'An answer less probable than this is "not sure".', 0.5)
    novel_share: Fraction = key(
        FRACTION,
        'Share of the validation texts that may be too far from every known text; farther ones: "not sure".',
        0.05,
    )
    answers: FilePath | None = key(
        "a file, or null",
        "What to reply to each label: a CSV of `label` and `answer`; null replies with the label.",
        None,
    )
    out_of_scope: FilePath | None = key(
        "a file, or null", "Texts that no label fits, one a line: how many of them are answered is measured.", None
    )


class EmbeddingExportSection(Section):
    """`export:` - which files are made; every one is then measured on the whole evaluation split."""

    formats: Annotated[tuple[EmbeddingFormat, ...], Field(min_length=1), AfterValidator(all_different)] = key(
        "a list of different formats out of " + ", ".join(_FORMATS),
        "The files to make.",
        ("saved_model", "tflite_float32", "tflite_dynamic_int8"),
    )
    segment_ids: bool = key("true or false", SEGMENT_IDS_TOLD, False)


class EmbeddingAcceptanceSection(AcceptanceSection):
    """`acceptance:` - limits; a file that misses one is refused and the run exits with status 3."""

    min_agreement: ClosedFraction = key(_SHARE, "Least share of texts with the same nearest text as with Keras.", 0.95)
    min_cosine: ClosedFraction = key(_SHARE, "Least cosine of any text's vector with that of Keras.", 0.98)


class EmbeddingRecipeConfig(Section):
    """A whole recipe for sentence embeddings. A stage (`fine_tune`, `export`) is None when it does not run."""

    recipe: ScriptName = key(SCRIPT_NAME, "The script to run.")
    run: RunSection = RunSection()
    data: EmbeddingDataSection
    model: EmbeddingModelSection = EmbeddingModelSection()
    fine_tune: ContrastiveSection | None = None
    search: SearchSection = SearchSection()
    export: EmbeddingExportSection | None = None
    acceptance: EmbeddingAcceptanceSection = EmbeddingAcceptanceSection()
    tune: TuneSection | None = None

    def limits(self) -> AcceptanceLimits:
        """What a file must keep to, as keyword arguments of `tfkit.verification.AcceptancePolicy`."""
        return self.acceptance.limits()
