"""The sections of a recipe for generated replies."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tfkit.config.data_sections import RunSection
from tfkit.config.faults import Places
from tfkit.config.keys import (
    COUNT,
    FLAG,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    SCRIPT_NAME,
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
    all_different,
    choice,
    key,
)
from tfkit.config.options import AcceptanceLimits, OptimizationOptions, ReplyLoadingOptions, options_of
from tfkit.config.rules import fraction_rules, source_rules
from tfkit.config.sections import AcceptanceSection
from tfkit.config.training_sections import Section
from tfkit.config.yaml_document import KeyPath, Tree

_FORMATS = "tflite_float32, tflite_dynamic_int8, litertlm"
_FILES = ("csv", "tsv", "jsonl")
_NEEDED = {source: ("train",) for source in _FILES}
_READ_BY = {
    **dict.fromkeys(("directory", "train", "validation", "test", "question_column", "answer_column"), _FILES),
    "separator": ("csv", "tsv"),
}
Column = CountFromZero | Name | None
_COLUMN = "a column's name, its number from 0, or null"
_QUESTION = "{question}"
TINY = "tiny_llama"


class ReplyDataSection(Section):
    """`data:` - questions with their answers, and who is judged on."""

    source: Literal["csv", "tsv", "jsonl", "built_in"] = choice("Tables, a row for each question; or a shop's own.")
    directory: FilePath | None = key("a folder", "Where relative files start.", None)
    train: FilePath | None = key("a file", "Questions and answers to learn from, and to answer from.", None)
    validation: FilePath | None = key("a file, or null", "On which settings are chosen; null: a share of train.", None)
    test: FilePath | None = key("a file, or null", "On which the model is judged; null: a share of train.", None)
    question_column: Column = key(_COLUMN, "What is asked; null: `question`, or column 0 without a header.", None)
    answer_column: Column = key(_COLUMN, "What is answered; null: `answer`, or column 1 without a header.", None)
    header: bool = key(FLAG, "Whether the first line of each table names the columns.", True)
    separator: Annotated[str, Field(min_length=1, max_length=1)] | None = key(
        "one character, or null", "What separates columns; a comma in csv and a tab in tsv when null.", None
    )
    encoding: Text = key("an encoding's name", "How the files are encoded.", "utf-8")
    batch_size: Count = key(COUNT, "Questions in a batch.", 16)
    validation_fraction: Fraction = key(FRACTION, "Share of the questions on which settings are chosen.", 0.1)
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = key(
        "a number in (0, 1)", "Share of the questions that the model is judged on.", 0.2
    )
    bad_rows: Literal["error", "skip"] = choice("What to do with a row that cannot be used.", "error")

    def loading_options(self) -> ReplyLoadingOptions:
        """This section as keyword arguments of `tfkit.data.replies.load_reply_splits`; only the seed is added."""
        return options_of(self, ReplyLoadingOptions)


class LanguageModelSection(Section):
    """`model:` - the language model, and how a question is put to it."""

    backbone: NameOrPath = key(
        f"{TINY}, or a folder of Hugging Face or keras-hub", "A pretrained backbone, or a small one from the start."
    )
    layers: Count = key(COUNT, f"Of {TINY}: its layers.", 4)
    width: Count = key(COUNT, f"Of {TINY}: numbers of a token, a multiple of its heads.", 128)
    heads: Count = key(COUNT, f"Of {TINY}: attention heads.", 4)
    vocabulary: Count = key(COUNT, f"Of {TINY}: tokens at most, learned from the training texts.", 2000)
    template: Annotated[str, Field(min_length=1)] | None = key(
        f"a text with {_QUESTION} in it, or null", f"What stands around a question; null: as for {TINY}.", None
    )
    stop: Text | None = key("a token, or null", f"What ends an answer; null: as for {TINY}.", None)
    length: Annotated[int, Field(ge=16, le=8192)] = key(
        "a whole number in [16, 8192]", "Tokens of known answers, question and reply in all.", 256
    )
    answer_length: Count = key(COUNT, "Tokens of a reply at most, its stop with them.", 64)
    prefill: Count = key(COUNT, "Tokens of a prompt that the files read at once.", 32)


class GroundingSection(Section):
    """`grounding:` - known answers are found for each question, and the model answers from them, or is not sure."""

    index: NameOrPath = key(
        "words, or the folder of a run of embed_text",
        "How known questions are found: by parts of words, or by a run's embedder.",
        "words",
    )
    passages: Annotated[int, Field(ge=1, le=20)] = key(
        "a whole number in [1, 20]", "Different known answers that are put before a question.", 3
    )
    oracle: ClosedFraction = key(
        "a number in [0, 1]",
        "Share of the questions whose right answer is put among the found where it is missing, to learn and to judge "
        "likelihoods; with the others a model learns to say that it is not sure.",
        0.8,
    )
    answered: Annotated[float, Field(gt=0, le=1)] = key(
        "a number in (0, 1]", "Share of the validation questions that are to be answered; sets the threshold.", 0.95
    )
    refusal: Text = key("a text", "What is said when nothing is known.", "I am not sure; a colleague will answer you.")
    out_of_scope: FilePath | None = key(
        "a text file, one question a line, or null",
        "Questions that nothing is known about, to measure how many are left open; null: those of built_in.",
        None,
    )

    @property
    def embedder(self) -> str | None:
        """The run whose embedder finds known questions; None where their words do."""
        return None if self.index == "words" else self.index


class ReplyTrainingSection(Section):
    """`fine_tune:` - learn to answer; questions and known answers are read and not learned."""

    epochs: Count = key(COUNT, "Passes over the training questions.", 5)
    learning_rate: Positive = key(POSITIVE, "Peak learning rate.", 2e-4)
    rank: Count | None = key(
        COUNT + ", or null", "Rank of low-rank updates (LoRA), which alone then learn; null: everything learns.", None
    )
    optimizer: Literal["adam", "adamw", "sgd"] = choice("Optimizer.", "adamw")
    weight_decay: NotNegative = key(NOT_NEGATIVE, "Decoupled weight decay (adamw, sgd).", 0.01)
    warmup: Fraction = key(FRACTION, "Share of all steps in which the learning rate rises from 0.", 0.1)
    schedule: Literal["cosine", "linear", "constant"] = choice("The learning rate after the warm-up.", "cosine")
    early_stopping: Count | None = key(
        "a whole number of epochs of 1 or more, or null",
        "Stop after so many epochs without a better validation loss; best weights are kept.",
        None,
    )
    gradient_accumulation: Count = key(COUNT, "Batches whose gradients make one step.", 1)

    def optimization_options(self) -> OptimizationOptions:
        """What of this section `tfkit.training.Optimization` takes."""
        return {
            "epochs": self.epochs, "learning_rate": self.learning_rate, "optimizer": self.optimizer,
            "weight_decay": self.weight_decay, "warmup": self.warmup, "schedule": self.schedule,
            "early_stopping": self.early_stopping, "gradient_accumulation": self.gradient_accumulation,
            "label_smoothing": 0.0, "class_weights": None, "ema": None,
        }  # fmt: skip


class FilterSection(Section):
    """`filters:` - what questions and replies must not hold."""

    personal_data: bool = key(FLAG, "Write over addresses, numbers and links in questions and in replies.", False)
    region: Name | None = key("two capitals such as US, or null", "Whose phone numbers are written without +.", None)
    toxicity: NameOrPath | None = key(
        "the folder of a run of finetune_text, or null", "A classifier that questions and replies are shown to.", None
    )
    toxic: tuple[Text, ...] = key("a list of its labels", "Of toxicity: labels with which nothing is answered.", ())


class ReplyExportSection(Section):
    """`export:` - which files are made; every one is then measured on all questions that are judged on."""

    formats: Annotated[
        tuple[Literal["tflite_float32", "tflite_dynamic_int8", "litertlm"], ...],
        Field(min_length=1),
        AfterValidator(all_different),
    ] = key(
        f"a list of different formats out of {_FORMATS}",
        "The files to make.",
        ("tflite_float32", "tflite_dynamic_int8", "litertlm"),
    )


class ReplyAcceptanceSection(AcceptanceSection):
    """`acceptance:` - limits; a file that misses one is refused and the run exits with status 3."""

    max_accuracy_drop: ClosedFraction = key(
        "a number in [0, 1]",
        "Log-likelihood of a token that a file may lose against Keras: 0.02 is a perplexity 2 % larger.",
        0.02,
    )
    min_agreement: ClosedFraction = key(
        "a number in [0, 1]", "Least share of an answer's tokens after which the same one is likeliest.", 0.95
    )


class ReplyRecipeConfig(Section):
    """A whole recipe for generated replies.

    Example:
        >>> given = {"data": ReplyDataSection(source="built_in"), "model": LanguageModelSection(backbone="tiny_llama")}
        >>> ReplyRecipeConfig(recipe="finetune_reply", **given).grounding.passages
        3
    """

    recipe: ScriptName = key(SCRIPT_NAME, "The script to run.")
    run: RunSection = RunSection()
    data: ReplyDataSection
    model: LanguageModelSection
    grounding: GroundingSection | None = GroundingSection()
    fine_tune: ReplyTrainingSection | None = ReplyTrainingSection()
    filters: FilterSection = FilterSection()
    export: ReplyExportSection | None = None
    acceptance: ReplyAcceptanceSection = ReplyAcceptanceSection()

    def limits(self) -> AcceptanceLimits:
        """What a file must keep to, as keyword arguments of `tfkit.verification.AcceptancePolicy`."""
        return self.acceptance.limits()


def broken_reply_rules(tree: Tree, at_fault: set[KeyPath], places: Places) -> list[str]:
    """Sentences for every rule that the recipe breaks; see `tfkit.config.rules.broken_rules`."""
    sentences = []
    data, model = tree.get("data"), tree.get("model")
    if isinstance(data, dict) and ("data", "source") not in at_fault:
        sentences += source_rules(data, places, needed=_NEEDED, read_by=_READ_BY)
        sentences += fraction_rules(data, places)
        threshold = tree.get("grounding", {}) is not None
        if threshold and data.get("validation_fraction") == 0 and data.get("validation") is None:
            place = places.of(("data", "validation_fraction"))
            sentences.append(
                f"data.validation_fraction is 0, and grounding.answered sets a threshold on its questions {place}"
            )
    if isinstance(model, dict):
        sentences += _model_rules(model, at_fault, places)
    filters = tree.get("filters")
    if isinstance(filters, dict) and (filters.get("toxicity") is None) != (not filters.get("toxic")):
        sentences.append(f"filters.toxicity and filters.toxic need each other {places.of(('filters',))}")
    return sentences


def _model_rules(model: Tree, at_fault: set[KeyPath], places: Places) -> list[str]:
    sentences, tiny = [], model.get("backbone") == TINY
    template = model.get("template")
    if isinstance(template, str) and template.count(_QUESTION) != 1:
        sentences.append(f"model.template must hold {_QUESTION} once {places.of(('model', 'template'))}")
    if not tiny and ("model", "backbone") not in at_fault:
        missing = [name for name in ("template", "stop") if model.get(name) is None]
        if missing:
            sentences.append(
                f"model.{' and model.'.join(missing)}: a pretrained backbone has its own; see chat_template in its "
                f"tokenizer_config.json {places.of(('model',))}"
            )
    if tiny:
        said = [name for name in ("template", "stop") if model.get(name) is not None]
        sentences += [
            f"model.{name} is for pretrained backbones: {TINY} has its own {places.of(('model', name))}"
            for name in said
        ]
        width, heads = model.get("width", 128), model.get("heads", 4)
        if type(width) is int and type(heads) is int and heads > 0 and (width % (2 * heads) or heads % 2):
            sentences.append(
                f"model.width must be a multiple of twice model.heads, and these even; got {width} and {heads} "
                f"{places.of(('model',))}"
            )
    length, answer = model.get("length", 256), model.get("answer_length", 64)
    if isinstance(length, int) and isinstance(answer, int) and answer >= length:
        sentences.append(
            f"model.answer_length {answer} leaves no room for a question in model.length {length} "
            f"{places.of(('model',))}"
        )
    return sentences
