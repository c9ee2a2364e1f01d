"""The Keras model of a run that can say why its files answer as they do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfkit.artifacts import TextSpec
from tfkit.data.text import open_tokenizer
from tfkit.errors import ModelError
from tfkit.explaining.text_explainer import TextExplainer
from tfkit.models import load_model_file


@dataclass(frozen=True, eq=False)
class OpenedExplainer:
    """A text explainer, and which model it asks.

    Attributes:
        explainer: Explains texts.
        model: The model's file.
        notes: Sentences about models that were passed over; empty when it is the one that was exported.
    """

    explainer: TextExplainer
    model: Path
    notes: tuple[str, ...] = ()


def open_explainer(models: Sequence[Path], text: TextSpec) -> OpenedExplainer:
    """Load the first of some models that passes gradients on to its tokens' vectors.

    Args:
        models: Model files, the most wanted first, as `RunDirectory.finished_models` gives them.
        text: The texts they take.

    Returns:
        The explainer.

    Raises:
        ModelError: When none of them can explain a text; says why for each.

    Example:
        >>> run = RunDirectory(Path("runs/intents"))  # doctest: +SKIP
        >>> open_explainer(run.finished_models, spec).explainer.explain("where is my card?")  # doctest: +SKIP
    """
    tokenizer = open_tokenizer(text.tokenizer)
    passed_over: list[str] = []
    for path in models:
        try:
            explainer = TextExplainer(load_model_file(path), tokenizer, sequence_length=text.sequence_length)
            explainer.refuse_without_gradients()
        except ModelError as fault:
            passed_over.append(f"{path.name} was passed over: {fault}")
        else:
            return OpenedExplainer(explainer, path, tuple(passed_over))
    told = "; ".join(passed_over) or "no Keras model was kept"
    raise ModelError(f"no text can be explained: {told}", hint="run the recipe again: a run keeps its models/*.keras")
