"""`tfkit predict --explain`: which words gave a text its label."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkit.artifacts import RunDirectory
from tfkit.errors import ModelError

# Only for the type checker: this room loads TensorFlow, and `tfkit --help` must not.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tfkit.explaining import Explanation, WordShare

_MOST_WORDS = 16  # a table of more is no answer: of longer texts the strongest are shown
_NO_RUN = "name the folder of the run that made it, or a .keras file of a text classifier"
_BAR = 12  # characters of the longest bar


def models_to_explain(path: Path) -> tuple[Path, ...]:
    """The Keras models that a path on the command line names, the one its files were made from first.

    Raises:
        ModelError: When there are none: an exported file has no gradients.
    """
    from tfkit.opening.targets import is_keras_file

    if path.is_file() and is_keras_file(path):
        return (path,)
    run = RunDirectory(path)
    found = run.finished_models
    if found:
        return found
    if not path.exists():
        raise ModelError(f"there is no '{path}'", hint="name a run's folder, or a .keras file")
    around = next(
        (folder for folder in path.absolute().parents[:4] if RunDirectory(folder).float_model.is_file()), None
    )
    hint = f"its run keeps the Keras model: tfkit predict {around} TEXT --explain" if around else _NO_RUN
    raise ModelError(f"'{path}' cannot be explained: an exported file has no gradients", hint=hint)


def refuse_unexplainable(path: Path, *, classifies_texts: bool) -> None:
    """Tell at once, before TensorFlow is started, that nothing can be explained.

    Raises:
        ModelError: When there is no Keras model, or it is no classifier of texts.
    """
    models_to_explain(path)
    if not classifies_texts:
        raise ModelError(f"'{path}' cannot be explained: it is no classifier of texts", hint="leave --explain out")


@dataclass(frozen=True)
class Explained:
    """Why some texts got their labels.

    Attributes:
        model: The Keras model that was asked.
        labels: The label of each text.
        explanations: Which words gave it.
        notes: Sentences about models that could not be asked.
    """

    model: Path
    labels: tuple[str, ...]
    explanations: "tuple[Explanation, ...]"
    notes: tuple[str, ...]

    def added_to(self, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The answers as JSON keeps them, each with its explanation."""
        told = []
        for answer, label, explanation in zip(answers, self.labels, self.explanations, strict=True):
            plain = {"label": label, "model": str(self.model), "notes": self.notes, **asdict(explanation)}
            del plain["text"], plain["class_index"]
            told.append({**answer, "explanation": plain})
        return told

    def show(self) -> None:
        """Print the words of each text, and which model was asked."""
        from tfkit.terminal.display import PlainConsole

        console = PlainConsole()
        console.print(f"\nexplained with {self.model}", style="dim", soft_wrap=True)
        for note in self.notes:
            console.print(f"  {note}", style="dim", soft_wrap=True)
        for label, explanation in zip(self.labels, self.explanations, strict=True):
            _show(explanation, label=label, console=console)


def explain_texts(
    path: Path,
    texts: Sequence[str],
    answers: "NDArray[np.integer[Any]]",
    class_names: Sequence[str],
    *,
    tokenizer: Path | None,
    sequence_length: int | None,
) -> Explained:
    """Ask the Keras model of a path which words gave each text its label.

    Args:
        path: A run's folder, or a `.keras` file.
        texts: n texts.
        answers: int (n,), the label of each, as a position in `class_names`.
        class_names: The labels.
        tokenizer: For a file outside of its run; so is the next.
        sequence_length: Tokens of a text at most.

    Returns:
        One explanation for each text.

    Raises:
        ModelError: When nothing there has gradients.
    """
    from tfkit.explaining import open_explainer
    from tfkit.opening.texts import keras_text

    text = keras_text(path, tokenizer=tokenizer, sequence_length=sequence_length)
    opened = open_explainer(models_to_explain(path), text)
    told = tuple(
        opened.explainer.explain(one, class_index=int(answer)) for one, answer in zip(texts, answers, strict=True)
    )
    return Explained(opened.model, tuple(class_names[answer] for answer in answers), told, opened.notes)


def _show(explanation: "Explanation", *, label: str, console: Any) -> None:
    """A table of words, each with a bar: to the right it spoke for the label, to the left against it."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    words = _strongest(explanation.words)
    longest = max((abs(word.share) for word in words), default=0.0) or 1.0
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False)
    table.add_column("word", overflow="fold")
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("against", justify="right", no_wrap=True)
    table.add_column("for", no_wrap=True)
    for word in words:
        bar = "█" * round(_BAR * abs(word.share) / longest)
        sides = ("", Text(bar, style="green")) if word.share >= 0 else (Text(bar, style="red"), "")
        table.add_row(Text(" ".join(word.word.split())), _percent(word.share), *sides)
    title = Text.assemble("\nwhy ", (label, "bold"), f": {' '.join(explanation.text.split())}\n")
    console.print(title, soft_wrap=True)
    if words:
        console.print(table)
    for line in _remarks(explanation, len(words)):
        console.print(Text(f"  {line}", style="dim"), soft_wrap=True)


def _strongest(words: "Sequence[WordShare]") -> "list[WordShare]":
    """The strongest words of a text, in its order."""
    chosen = sorted(words, key=lambda word: -abs(word.share))[:_MOST_WORDS]
    return sorted(chosen, key=lambda word: word.start)


def _remarks(explanation: "Explanation", shown: int) -> list[str]:
    told = []
    if (weaker := len(explanation.words) - shown) > 0:
        told.append(f"{weaker} weaker words are not shown")
    if explanation.read_characters < len(explanation.text):
        told.append("the model reads no further than the last of its words: the text was cut")
    told.append(
        f"without its words {explanation.blank_score:.1%}, with them {explanation.score:.1%}; the words add up to that "
        f"change but for {explanation.gap:.2%} of what they moved ({explanation.steps} steps of integrated gradients)"
    )
    return told


def _percent(share: float) -> str:
    rounded = round(100 * share)
    return f"{rounded:+d} %".replace("-", "−") if rounded else "0 %"
