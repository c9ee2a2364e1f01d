"""Who teaches a recipe's model: its own float model, an earlier run's, or one of a file."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkit.artifacts import RunDirectory
from tfkit.errors import ModelError

if TYPE_CHECKING:
    from tfkit.config import RecipeConfig, TextRecipeConfig
    from tfkit.data.text import TextExamples, Tokenizer
    from tfkit.stages.texts import TextTeacher

_SEEN = 100  # texts that two tokenisers must cut alike


def taught_by(config: "RecipeConfig | TextRecipeConfig") -> str:
    """Who teaches, in words; empty without `distillation:`."""
    return config.distillation.teacher or "the run's own float model" if config.distillation else ""


def find_teacher(config: "RecipeConfig", model: Any, class_names: tuple[str, ...]) -> Any:
    """Load the teacher that a recipe for images names, and refuse one that cannot teach its classifier.

    Args:
        config: The recipe.
        model: Its classifier, not trained yet.
        class_names: Its classes; empty where they are not known.

    Returns:
        The teacher; None without distillation, and where the run's own float model teaches.

    Raises:
        ModelError: When it cannot be loaded, or student and teacher do not fit.
    """
    from tfkit import models

    teacher = _named_teacher(config, class_names)
    objective = teaching(config, model if teacher is None else teacher)
    if objective is not None:
        objective(models.logits_model(model))
    return teacher


def find_text_teacher(
    config: "TextRecipeConfig", model: Any, tokenizer: "Tokenizer", train: "TextExamples", *, sequence_length: int
) -> Any:
    """As `find_teacher`, for a recipe for texts: the teacher must be given the same tokens.

    Args:
        config: The recipe.
        model: Its classifier, not trained yet.
        tokenizer: The classifier's tokeniser.
        train: The training texts.
        sequence_length: Tokens of a text.

    Returns:
        The teacher; None without distillation, and where the run's own float model teaches.

    Raises:
        ModelError: When it cannot be loaded, takes other tokens or shorter texts, or student and teacher do not fit.
    """
    from tfkit import models

    teacher = _named_teacher(config, train.class_names)
    if teacher is None:
        return None
    named = Path(taught_by(config))
    _refuse_other_tokens(named, tokenizer, train, sequence_length=sequence_length)
    taught = text_teacher(config, teacher)
    assert taught is not None
    distilling = taught.objective()(models.logits_model(model))
    few = tokenizer(train.texts[:1], sequence_length=sequence_length)
    try:
        distilling.teacher(few, training=False)
    except Exception as fault:  # what each family of encoders raises for a longer text than it has positions for
        raise ModelError(
            f"the teacher '{named}' cannot read texts of {sequence_length} tokens, as the student does",
            hint="set data.sequence_length to what the teacher's run had",
        ) from fault
    return teacher


def teaching(config: "RecipeConfig", teacher: Any) -> Callable[[Any], Any] | None:
    """What `tfkit.training.train_on` takes as `objective`: it puts the student into a distiller."""
    from tfkit import compression, models
    from tfkit.tasks import task_named

    if config.distillation is None or teacher is None:
        return None
    options = config.distillation.distiller_options()
    pairs = tuple(compression.FeaturePair(**pair) for pair in config.distillation.feature_options())
    task = task_named(config.task.kind)
    return partial(compression.distiller, teacher=models.logits_model(teacher), features=pairs, task=task, **options)


def text_teacher(config: "TextRecipeConfig", model: Any) -> "TextTeacher | None":
    """A model as a recipe's teacher; None without `distillation:`, or without a model."""
    from tfkit.stages.texts import TextTeacher
    from tfkit.tasks import task_named

    if config.distillation is None or model is None:
        return None
    return TextTeacher(model=model, task=task_named(config.task.kind), **config.distillation.teacher_options())


def _named_teacher(config: "RecipeConfig | TextRecipeConfig", class_names: tuple[str, ...]) -> Any:
    from tfkit import models

    named = config.distillation.teacher if config.distillation else None
    if named is None:
        return None
    teacher = models.load_model_file(Path(named))
    known = RunDirectory.of_model(Path(named)).class_names
    if known and class_names and known != class_names and len(known) == len(class_names):
        first = next(place for place, pair in enumerate(zip(class_names, known, strict=True)) if pair[0] != pair[1])
        raise ModelError(
            f"the teacher '{named}' knows other classes, or another order: number {first} is '{known[first]}' to it, "
            f"and '{class_names[first]}' to the student",
            hint="set data.classes to the teacher's classes, in its order",
        )
    return teacher


def _refuse_other_tokens(named: Path, tokenizer: "Tokenizer", train: "TextExamples", *, sequence_length: int) -> None:
    """The ids of a batch are the student's: a teacher with another vocabulary would read other words."""
    import numpy as np

    from tfkit.data.text import open_tokenizer
    from tfkit.data.text.tokenizer import vocabulary_of

    folder = RunDirectory.of_model(named).tokenizer
    if not folder.is_dir():
        raise ModelError(
            f"nothing says which tokens the teacher '{named}' takes: there is no tokeniser in '{folder}'",
            hint="name an earlier run's folder, or a file in its models",
        )
    other = open_tokenizer(folder)
    few = train.texts[:_SEEN]
    own, theirs = (one(few, sequence_length=sequence_length)["token_ids"] for one in (tokenizer, other))
    if vocabulary_of(tokenizer.layer) != vocabulary_of(other.layer) or not np.array_equal(own, theirs):
        raise ModelError(
            f"the teacher '{named}' has another tokeniser than the student: {other.vocabulary_size} tokens and "
            f"{tokenizer.vocabulary_size}, which mean other words",
            hint="choose a teacher and a backbone with one vocabulary, such as BERT, DistilBERT and MiniLM (uncased)",
        )
