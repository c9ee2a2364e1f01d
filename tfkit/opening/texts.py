"""Which texts a Keras model takes, and how the files of its run hold texts and labels."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkit.artifacts import InputSpec, RunDirectory, TextSpec
from tfkit.data.targets import CLASSES
from tfkit.errors import DataError, ModelError, TfkitError
from tfkit.inputs import Reading, input_of

if TYPE_CHECKING:
    from tfkit.data.examples import Examples
    from tfkit.data.targets import Targets

_SPECIFICATION = "specification.json"
# What `data:` of a recipe says about a file that another file of the same kind has in common with it.
_LAYOUT = ("text_column", "label_column", "header", "separator", "encoding", "label_names")
_LAYOUT_OF_USERS = ("user_column", "item_column", "time_column", "header", "separator", "encoding", "next_fraction")
_LAYOUT_OF_QUESTIONS = ("question_column", "answer_column", "header", "separator", "encoding")
_OPTIONS = {  # in hints: a recipe's keys as they are called on the command line
    "data.text_column": "--text-column",
    "data.label_column": "--label-column",
    "data.header=false": "--no-header",
    ", or leave them out with data.bad_rows=skip": "",
}


def keras_takes_texts(path: Path, *, tokenizer: Path | None = None) -> bool:
    """Whether a Keras file is one of texts: its run has a tokeniser, or one was named."""
    return tokenizer is not None or (RunDirectory.of_model(path).tokenizer / _SPECIFICATION).is_file()


def keras_text(path: Path, *, tokenizer: Path | None = None, sequence_length: int | None = None) -> TextSpec:
    """The texts that a Keras file takes.

    Args:
        path: A `.keras` file, or a run's folder.
        tokenizer: The tokeniser's folder; the run's when None.
        sequence_length: Tokens of a text; what the run had when None.

    Returns:
        Length and tokeniser.

    Raises:
        ModelError: When neither says how long the texts are.
        ExportError: When the run's tokeniser has changed since it ended.
    """
    run = RunDirectory.of_model(path)
    if tokenizer is None and run.tokenizer.is_dir():
        run.vouches_for(*run.tokenizer.iterdir())
    length = sequence_length or _recorded_length(run)
    if length is None:
        raise ModelError(f"'{path}' does not say how many tokens a text has", hint="say it: --sequence-length 32")
    return TextSpec(length, tokenizer or run.tokenizer)


def read_labelled(
    data: Path,
    model: Path,
    spec: InputSpec,
    *,
    class_names: tuple[str, ...] | None,
    text_column: str | None = None,
    label_column: str | None = None,
    header: bool | None = None,
    targets: "Targets" = CLASSES,
    progress: Callable[[int, int], None] | None = None,
) -> "Examples":
    """Labelled examples; a file of rows has the same layout as those that the model's run was made from.

    Args:
        data: What `Input.labelled` takes: of texts a .csv, .jsonl, or other file, which is read as tsv is.
        model: The model, anywhere in a run's folder, or outside of any.
        spec: The images or texts it takes.
        class_names: The model's classes; None takes those of the file.
        text_column: The column's name or number; the run's when None, and so are the others.
        label_column: See there.
        header: Whether the first line names the columns.
        targets: What the labels are.
        progress: Called with images read and those in all.

    Returns:
        The images or texts.

    Raises:
        DataError: When they cannot be read, or a label is none of the model's.
    """
    said = {"text_column": column(text_column), "label_column": column(label_column), "header": header}
    layout = layout_of_run(model) | {name: value for name, value in said.items() if value is not None}
    try:
        return input_of(spec).labelled(data, spec, Reading(class_names, targets, layout, progress))
    except DataError as fault:
        raise told_by_options(fault) from None


def told_by_options(fault: DataError) -> DataError:
    """A fault of a file of texts, whose hint names options of the command line instead of a recipe's keys."""
    hint = fault.hint or ""
    for key, option in _OPTIONS.items():
        hint = hint.replace(key, option)
    return DataError(str(fault), hint=hint)


def _recorded_length(run: RunDirectory) -> int | None:
    for file, keys in (
        (run.data_report, ("token_lengths", "sequence_length")),
        (run.report_json, ("model", "text", "sequence_length")),
    ):
        try:
            found: object = json.loads(file.read_text(encoding="utf-8"))
            for key in keys:
                found = found[key] if isinstance(found, dict) else None
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(found, int):
            return found
    return None


def layout_of_run(model: Path) -> dict[str, Any]:
    """What the recipe of the run around a model says about its files of rows; nothing outside of a run.

    Args:
        model: The run's folder, or anything in it.
    """
    from tfkit.config import RecommendRecipeConfig, ReplyRecipeConfig, TextRecipeConfig, load_recipe

    layouts = {
        TextRecipeConfig: _LAYOUT,
        RecommendRecipeConfig: _LAYOUT_OF_USERS,
        ReplyRecipeConfig: _LAYOUT_OF_QUESTIONS,
    }
    for folder in (model, *model.absolute().parents[:4]):
        recipe = RunDirectory(folder).recipe
        if not recipe.is_file():
            continue
        try:
            config = load_recipe(recipe, may_run=False)  # others may have made this folder
        except TfkitError:  # of another version: the file's own words are all there is
            return {}
        layout = next((its for kind, its in layouts.items() if isinstance(config, kind)), None)
        if layout is None:
            return {}
        if config.data.source not in ("csv", "tsv", "jsonl"):
            return {}
        return {name: getattr(config.data, name) for name in layout}
    return {}


def column(word: str | None) -> str | int | None:
    """A column as it is said on the command line: its name, or its number."""
    return int(word) if word is not None and word.isdecimal() else word
