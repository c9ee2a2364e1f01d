"""Several trainings of one text classifier from one start, as the one model that their weights' mean is."""

from collections.abc import Callable
from dataclasses import dataclass

import keras

from tfkit.graph import give_weights, refuse_difference
from tfkit.keras_types import Inputs
from tfkit.training.fitting import Progress
from tfkit.training.weight_averaging import average_weights, greedy_soup


@dataclass(frozen=True, eq=False)
class AveragedRuns:
    """What `average_runs` gave.

    Attributes:
        model: The mean of the runs that went in.
        best: Which run is the best single one; the first where there was nothing to choose by.
        note: How the mean came to be, in a sentence.
    """

    model: keras.Model
    best: int
    note: str


def average_runs(models: list[keras.Model], score: Callable[[keras.Model], float] | None) -> AveragedRuns:
    """The mean of several trained models, of those that help (Wortsman et al. 2022, arXiv:2203.05482).

    Args:
        models: Trained from one start, with other seeds.
        score: Accuracy on validation data; None averages all.

    Returns:
        The mean; never worth less on the validation data than the best single run.

    Example:
        >>> averaged = average_runs([model, teacher], score=None)
    """
    if score is None:
        note = f"mean of the weights of all {len(models)} runs: there was no validation text to choose by"
        return AveragedRuns(average_weights(models), 0, note)
    soup = greedy_soup(models, score)
    singles = ", ".join(f"{single:.1%}" for single in soup.single_scores)
    mean = f"mean of the weights of {len(soup.members)} of {len(models)} runs"
    note = f"{mean}: validation {soup.score:.1%}; single runs {singles}"
    return AveragedRuns(soup.model, soup.members[0], note)


def progress_of_run(progress: Progress | None, run: int, runs: int) -> Progress | None:
    """One run's progress as a part of the progress over all of them."""
    if progress is None or runs == 1:
        return progress
    return lambda done, total, text: progress(run * total + done, runs * total, f"run {run + 1}/{runs}, {text}")


def copied(model: keras.Model, inputs: Inputs | None = None) -> keras.Model:
    """A model of the same layers with the same weights, to train one run on.

    Args:
        model: The model.
        inputs: A few real inputs that the two are compared on; see `tfkit.graph.refuse_difference`.

    Returns:
        The copy.

    Raises:
        ModelError: When a layer of the copy does not compute what the model's does.

    Example:
        >>> copied(model).output_shape
        (None, 2)
    """
    copy = keras.models.clone_model(model)
    give_weights(copy, model.get_weights())
    refuse_difference(model, copy, inputs, what="copy for one run")
    return copy
