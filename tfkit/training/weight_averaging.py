"""One model out of several trained ones: the mean of their weights (model soups)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from tfkit.errors import ModelError
from tfkit.graph import give_weights, refuse_difference
from tfkit.keras_types import Inputs
from tfkit.models.low_rank import low_rank_layers
from tfkit.training.fitting import Progress


@dataclass(frozen=True, eq=False)
class Soup:
    """What `greedy_soup` gave.

    Attributes:
        model: The mean of its members; a new model.
        members: Positions of the models that went in, best first.
        score: Of the mean.
        single_scores: Of each model given, in their order.
    """

    model: keras.Model
    members: tuple[int, ...]
    score: float
    single_scores: tuple[float, ...]


def average_weights(models: Sequence[keras.Model], *, shares: Sequence[float] | None = None) -> keras.Model:
    """The mean of several models' weights, as one model that costs what one costs.

    Wortsman et al. 2022 (arXiv:2203.05482): models fine-tuned from the same pretrained weights, with other seeds or
    settings, lie in one basin, and their mean is often better than each. Models trained from scratch do not.

    Args:
        models: Models of the same layers; merge LoRA first (`merge_adaptation`).
        shares: What each counts, 0 or more; they are scaled to sum 1. Default: all alike.

    Returns:
        A new model. Weights that are no floats (counters) are the first model's.

    Raises:
        ModelError: When there is no model, their weights differ in number or shape, the shares do not fit, or a copy
            of the first model does not answer as that one.

    Example:
        >>> soup = average_weights([model, teacher])
    """
    portions = np.asarray([1.0] * len(models) if shares is None else shares, np.float64)
    faults = _faults(models, portions)
    if faults:
        raise ModelError(
            "the models cannot be averaged: " + "; ".join(faults),
            hint="give models that were fine-tuned from one start, with the same layers and classes; "
            "merge_adaptation first where they hold LoRA",
        )
    portions = portions / portions.sum()
    averaged = keras.models.clone_model(models[0])
    give_weights(averaged, models[0].get_weights())
    refuse_difference(models[0], averaged, what="copy that holds the mean")
    sums = []
    for weights in zip(*(model.get_weights() for model in models), strict=True):
        kept = weights[0]
        if np.issubdtype(kept.dtype, np.floating):
            mean = sum(portion * weight.astype(np.float64) for portion, weight in zip(portions, weights, strict=True))
            kept = np.asarray(mean).astype(kept.dtype)
        sums.append(kept)
    give_weights(averaged, sums)
    return averaged


def greedy_soup(models: Sequence[keras.Model], score: Callable[[keras.Model], float]) -> Soup:
    """Average the models that help, the best first: recipe 1 of Wortsman et al. 2022.

    Args:
        models: As for `average_weights`.
        score: What a model is worth on held-out validation data (never the test set); higher is better.

    Returns:
        The mean, never worth less than the best single model.

    Raises:
        ModelError: As `average_weights`.

    Example:
        >>> soup = greedy_soup([model, teacher], score=lambda candidate: 1.0)
        >>> len(soup.single_scores)
        2
    """
    average_weights(models)  # refuses what does not fit before anything is scored
    singles = tuple(float(score(model)) for model in models)
    order = sorted(range(len(models)), key=lambda index: -singles[index])
    members, best = [order[0]], singles[order[0]]
    for index in order[1:]:
        tried = float(score(average_weights([models[member] for member in (*members, index)])))
        if tried >= best:
            members, best = [*members, index], tried
    return Soup(average_weights([models[member] for member in members]), tuple(members), best, singles)


def _faults(models: Sequence[keras.Model], portions: np.ndarray) -> list[str]:
    if not models:
        return ["there is none"]
    faults = [f"model {index} holds LoRA" for index, model in enumerate(models, start=1) if low_rank_layers(model)]
    first = [tuple(weight.shape) for weight in models[0].weights]
    for index, model in enumerate(models[1:], start=2):
        shapes = [tuple(weight.shape) for weight in model.weights]
        if len(shapes) != len(first):
            faults.append(f"model {index} has {len(shapes)} weights, the first {len(first)}")
        elif odd := [pair for pair in zip(models[0].weights, shapes, strict=True) if tuple(pair[0].shape) != pair[1]]:
            weight, shape = odd[0]
            faults.append(f"'{weight.path}' is {tuple(weight.shape)} in the first model and {shape} in model {index}")
    if len(portions) != len(models):
        faults.append(f"{len(portions)} shares for {len(models)} models")
    if (portions < 0).any() or not portions.sum() > 0 or not np.isfinite(portions).all():
        faults.append("shares must be 0 or more, and not all 0")
    return faults


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
