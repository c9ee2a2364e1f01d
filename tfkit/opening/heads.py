"""What a model's outputs are and what shall become of them: found in the model, told, or asked with `--task`."""

from pathlib import Path
from typing import Any, Literal

from tfkit.artifacts import TaskName
from tfkit.errors import ModelError

Task = Literal["classification", "multilabel", "regression"]
_ASK = (
    "say what they are: --task classification (logits: the largest is the class), --task multilabel (several labels "
    "at once) or --task regression; --labels FILE names classes"
)


def judge_head(model: Any, path: Path, said: TaskName | None, *, named: int | None) -> tuple[Any, TaskName, str]:
    """A model as it is served: a score for each class, and what its scores are.

    Args:
        model: The Keras model.
        path: Its file.
        said: `--task`; None for nothing.
        named: How many classes the labels or the data name; None for nothing known.

    Returns:
        The model - one sigmoid unit made into two scores -, the task, and what a reader of the scores must know;
        empty for softmax scores.

    Raises:
        ModelError: When the outputs are several or no row of scores, are numbers, or nobody knows what they are.
    """
    from tfkit.exporters import with_two_scores
    from tfkit.graph import read_head
    from tfkit.models import is_of_numbers

    if said in (None, "regression") and is_of_numbers(model):  # it says so itself
        return model, "regression", ""
    head = read_head(model)
    task, note = task_of(head.activation, head.units, path, said, named=named)
    if head.units == 1 and task == "classification":
        return with_two_scores(model, head), task, note
    return model, task, note


def task_of(
    activation: str, units: int, path: Path, said: TaskName | None, *, named: int | None
) -> tuple[TaskName, str]:
    """What the scores behind an activation are, and what to tell; see `judge_head`."""
    if said == "regression":
        raise numbers_refused(path)
    if units == 1:
        return "classification", _of_one_unit(activation, path, said, named)
    if said is not None:
        return said, _NOTES.get((said, activation), "")
    if activation == "softmax":
        return "classification", ""
    if activation == "sigmoid":
        return "multilabel", _SEVERAL
    if named == units:
        return "classification", _NOTES.get(("classification", activation), _UNSUMMED)
    ends = {"linear": "linear units", "unknown": "a layer that does not say what it gives"}
    raise ModelError(
        f"'{path}' ends in {ends.get(activation, activation)}: {units} numbers that may be logits or anything else",
        hint=_ASK,
    )


def numbers_refused(path: Path) -> ModelError:
    """What is told of a model whose outputs the user calls numbers."""
    return ModelError(
        f"'{path}' gives numbers (--task regression); of models from elsewhere tfkit exports and proves classifiers",
        hint="`tfkit predict --task regression` shows them; a recipe of task.kind regression proves its own",
    )


_SEVERAL = (
    "ends in sigmoid units: scores of several labels that do not sum to 1; each label of .5 or more is given "
    "(--task classification: only the largest)"
)
_UNSUMMED = "the scores are no probabilities: they need not sum to 1; the largest is the class"
_NOTES = {
    ("classification", "linear"): "ends in linear units: the scores are logits, not probabilities; end it in softmax "
    "for those",
    ("classification", "sigmoid"): "ends in sigmoid units: the scores do not sum to 1; the largest is the class",
    ("multilabel", "sigmoid"): _SEVERAL,
}


def _of_one_unit(activation: str, path: Path, said: TaskName | None, named: int | None) -> str:
    if said == "multilabel":
        raise ModelError(f"'{path}' ends in one unit, which is no several labels", hint="--task classification")
    if activation == "sigmoid":
        return "ends in one sigmoid unit: two classes, the second one over .5; the file gives a score for each"
    if activation == "linear" and (said == "classification" or named == 2):
        return "ends in one linear unit: taken as the logit of the second of two classes"
    raise ModelError(
        f"'{path}' ends in one unit that is no sigmoid ({activation}): a logit of two classes, or a number",
        hint="say which: --task classification or --task regression",
    )
