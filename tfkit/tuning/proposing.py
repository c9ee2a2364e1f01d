"""What a trial tries: Optuna's proposals, the same for the same trials before it, however often a sweep was stopped."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from tfkit.config import Choices, Range
from tfkit.config.yaml_document import Plain

# What a trial's record says beside Optuna's own: that it is the recipe as it is; which process runs it; what it tries;
# which trial it does again, for the how-manieth time; why it failed; how long it took.
RECIPE, PROCESS, VALUES, REPEATS, ATTEMPT, FAILED, SECONDS, STOPPED = (
    "recipe", "process", "values", "repeats", "attempt", "failed", "seconds", "stopped",
)  # fmt: skip
INTERRUPTED = "interrupted"
MOST_ATTEMPTS = 3

_FIRST_AT_RANDOM = 8
Space = Mapping[str, Choices | Range]


def is_unfinished(trial: FrozenTrial) -> bool:
    """Whether a trial is to be done again: its process ended in the middle of it, for the first or second time."""
    given_up = FAILED in trial.user_attrs or trial.user_attrs.get(ATTEMPT, 1) >= MOST_ATTEMPTS
    return trial.state == TrialState.FAIL and not given_up


def place_of(trial: FrozenTrial, trials: list[FrozenTrial]) -> int:
    """A trial's number among those that were not stopped in the middle: that of a sweep that nobody stopped."""
    return sum(other.number < trial.number and not is_unfinished(other) for other in trials)


class ByPlace(BaseSampler):
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), with a seed of its own for each place.

    Optuna's own begins its draws anew with each process: a sweep that goes on would try its first values again.

    Args:
        seed: The sweep's.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._inner: BaseSampler = self._at(0)

    def _at(self, place: int) -> BaseSampler:
        drawn = np.random.SeedSequence((self._seed, place)).generate_state(1)[0]
        return TPESampler(seed=int(drawn), n_startup_trials=_FIRST_AT_RANDOM)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._inner = self._at(place_of(trial, study.get_trials(deepcopy=False)))
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)


def suggested(trial: optuna.Trial, space: Space, recipe: Mapping[str, Plain]) -> dict[str, Plain]:
    """What a trial tries, by `section.key`.

    Args:
        trial: Optuna's.
        space: What may be tried.
        recipe: What the recipe itself says: the first trial tries that, within the space or not.
    """
    is_recipe = bool(trial.user_attrs.get(RECIPE))
    return {
        key: recipe[key] if is_recipe and not values.has(recipe[key]) else _suggested(trial, key, values)
        for key, values in space.items()
    }


def parameters_of(space: Space, values: Mapping[str, Plain]) -> dict[str, Any]:
    """Values as Optuna's parameters; those that are not in the space are left out."""
    return {key: _named(value) for key, value in values.items() if space[key].has(value)}


def _suggested(trial: optuna.Trial, key: str, values: Choices | Range) -> Plain:
    if isinstance(values, Choices):
        by_name = {_named(value): value for value in values.values}
        return by_name[trial.suggest_categorical(key, list(by_name))]
    if values.whole:
        step = int(values.step or 1)
        last = int(values.low) + (int(values.high) - int(values.low)) // step * step
        return trial.suggest_int(key, int(values.low), last, log=values.log, step=step)
    return trial.suggest_float(key, values.low, values.high, log=values.log, step=values.step)


def _named(value: Plain) -> Any:
    """A value as Optuna keeps it: lists and mappings as their JSON."""
    return json.dumps(value) if isinstance(value, list | dict) else value
