"""The sections of a recipe for recommenders."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tfkit.config.data_sections import RunSection
from tfkit.config.embedding_sections import EmbeddingFormat
from tfkit.config.faults import Places
from tfkit.config.keys import (
    COUNT,
    FLAG,
    FRACTION,
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
from tfkit.config.options import AcceptanceLimits, HistoryLoadingOptions, options_of
from tfkit.config.rules import fraction_rules, source_rules
from tfkit.config.sections import AcceptanceSection
from tfkit.config.training_sections import Section
from tfkit.config.yaml_document import KeyPath, Tree

_FORMATS = "saved_model, tflite_float32, tflite_float16, tflite_dynamic_int8"
_FILES = ("csv", "tsv", "jsonl")
_NEEDED = {source: ("ratings",) for source in _FILES}
_READ_BY = {"directory": _FILES, "ratings": _FILES, "items": _FILES, "separator": ("csv", "tsv")}
Column = CountFromZero | Name | None
_COLUMN = "a column's name, its number from 0, or null"


class HistoryDataSection(Section):
    """`data:` - who took what, what is known of the items, and who is judged on."""

    source: Literal["csv", "tsv", "jsonl", "shop"] = choice(
        "Tables, a row for each time that somebody took something; or `shop`, which is made up."
    )
    directory: FilePath | None = key("a folder", "Where relative files start.", None)
    ratings: FilePath | None = key("a file", "Who took what: ratings, purchases or clicks.", None)
    items: FilePath | None = key(
        "a file, or null", "What is known of the items, a row each; null: what occurs in ratings.", None
    )
    user_column: Column = key(_COLUMN, "Who took it; null: `user`, or column 0 without a header.", None)
    item_column: Column = key(
        _COLUMN, "What was taken, in both tables; null: `item`, or column 1 (of items 0) without a header.", None
    )
    time_column: Column = key(_COLUMN, "When, a number that grows; null: the rows are in order.", None)
    rating_column: Column = key(_COLUMN, "How good it was, a number; null: every row counts.", None)
    min_rating: float | None = key("a number, or null", "Rows with a smaller rating do not count.", None)
    name_column: Column = key(_COLUMN, "Of items: what people call it; null: its key.", None)
    text_columns: tuple[CountFromZero | Name, ...] = key(
        "a list of columns' names or numbers", "Of items: what tells of it in words.", ()
    )
    header: bool = key(FLAG, "Whether the first line of each table names the columns.", True)
    separator: Annotated[str, Field(min_length=1, max_length=1)] | None = key(
        "one character, or null", "What separates columns; a comma in csv and a tab in tsv when null.", None
    )
    encoding: Text = key("an encoding's name", "How the files are encoded.", "utf-8")
    min_items: Count = key(COUNT, "Users with fewer different items are left out.", 5)
    next_fraction: Annotated[float, Field(gt=0, lt=1)] = key(
        "a number in (0, 1)",
        "Of each user that is judged on, the share of items, the latest, that is to be found.",
        0.2,
    )
    validation_fraction: Fraction = key(FRACTION, "Share of the users on which settings are chosen.", 0.1)
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = key(
        "a number in (0, 1)", "Share of the users that the model is judged on.", 0.2
    )
    bad_rows: Literal["error", "skip"] = choice("What to do with a row that cannot be used.", "error")

    def loading_options(self) -> HistoryLoadingOptions:
        """This section as keyword arguments of `tfkit.data.histories.load_history_splits`; only the seed is added."""
        return options_of(self, HistoryLoadingOptions)


class RecommenderSection(Section):
    """`model:` - weights between items, solved for in closed form from who took what and from the items' texts."""

    history_length: Annotated[int, Field(ge=1, le=4096)] = key(
        "a whole number in [1, 4096]", "Items of a history that the model takes; of longer ones the latest.", 100
    )
    item_texts: NameOrPath | None = key(
        "words, the folder of a run of embed_text, or null",
        "How items' texts become numbers: by their words (TF-IDF), or by a run's embedder; null: not at all.",
        "words",
    )
    regularization: Annotated[tuple[Positive, ...], Field(min_length=1), AfterValidator(all_different)] = key(
        "a list of numbers above 0", "How strongly weights are held small; of several the best on validation.", (500.0,)
    )
    text_weight: Annotated[tuple[NotNegative, ...], Field(min_length=1), AfterValidator(all_different)] = key(
        "a list of numbers of 0 or more", "How much texts count beside what was taken; of several likewise.", (20.0,)
    )
    new_items: Fraction = key(
        FRACTION, "Share of the items that are hidden once, to measure how new ones are found by their texts.", 0.1
    )

    @property
    def embedder(self) -> str | None:
        """The run whose embedder makes numbers of the items' texts; None where their words do, or nothing."""
        return None if self.item_texts == "words" else self.item_texts

    @property
    def backbone(self) -> str:
        """What reports call the model."""
        return "weights between items"


class RecommenderExportSection(Section):
    """`export:` - which files are made; every one is then measured on all users that are judged on."""

    formats: Annotated[tuple[EmbeddingFormat, ...], Field(min_length=1), AfterValidator(all_different)] = key(
        f"a list of different formats out of {_FORMATS}",
        "The files to make.",
        ("saved_model", "tflite_float32", "tflite_dynamic_int8"),
    )


class RecommenderAcceptanceSection(AcceptanceSection):
    """`acceptance:` - limits; a file that misses one is refused and the run exits with status 3."""

    max_accuracy_drop: ClosedFraction = key(
        "a number in [0, 1]", "Recall of ten that a file may lose against Keras, as a fraction.", 0.01
    )
    min_agreement: ClosedFraction = key("a number in [0, 1]", "Least share of the ten listed items as in Keras.", 0.98)


class RecommendRecipeConfig(Section):
    """A whole recipe for a recommender.

    Example:
        >>> RecommendRecipeConfig(recipe="recommend", data=HistoryDataSection(source="shop")).model.history_length
        100
    """

    recipe: ScriptName = key(SCRIPT_NAME, "The script to run.")
    run: RunSection = RunSection()
    data: HistoryDataSection
    model: RecommenderSection = RecommenderSection()
    export: RecommenderExportSection | None = None
    acceptance: RecommenderAcceptanceSection = RecommenderAcceptanceSection()

    def limits(self) -> AcceptanceLimits:
        """What a file must keep to, as keyword arguments of `tfkit.verification.AcceptancePolicy`."""
        return self.acceptance.limits()


def broken_recommend_rules(tree: Tree, at_fault: set[KeyPath], places: Places) -> list[str]:
    """Sentences for every rule that the recipe breaks; see `tfkit.config.rules.broken_rules`."""
    sentences = []
    data, model = tree.get("data"), tree.get("model")
    if isinstance(data, dict) and ("data", "source") not in at_fault:
        sentences += source_rules(data, places, needed=_NEEDED, read_by=_READ_BY)
        sentences += fraction_rules(data, places)
        if data.get("min_rating") is not None and data.get("rating_column") is None:
            sentences.append(f"data.min_rating needs data.rating_column {places.of(('data', 'min_rating'))}")
    if isinstance(data, dict) and isinstance(model, dict) and data.get("validation_fraction") == 0:
        tried = [len(value) for name in ("regularization", "text_weight") if isinstance(value := model.get(name), list)]
        if max(tried, default=1) > 1:
            place = places.of(("data", "validation_fraction"))
            sentences.append(
                f"data.validation_fraction is 0, and model has several values to choose from on its users {place}"
            )
    return sentences
