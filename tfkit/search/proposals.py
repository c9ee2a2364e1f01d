"""What to try next: Optuna's tree-structured Parzen estimator proposes, from what was measured so far."""

from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from tfkit.search.variants import TAUGHT, Precision, Variant

_RANDOM_FIRST = 4


@dataclass(frozen=True)
class Proposal:
    """A variant that was proposed; its figures are to be told."""

    variant: Variant
    trial: optuna.Trial


class Proposals:
    """Proposes variants that may be better than those measured (Bergstra et al. 2011, `optuna.samplers.TPESampler`).

    Args:
        precisions: How numbers may be stored.
        keeps: Shares of channels that may stay, the largest first.
        seed: The same seed and the same figures give the same proposals.
    """

    def __init__(self, precisions: Sequence[Precision], keeps: Sequence[float], *, seed: int) -> None:
        self._keeps = tuple(keeps)
        self._space: dict[str, BaseDistribution] = {
            "precision": CategoricalDistribution(tuple(precisions)),
            "keep": IntDistribution(0, len(self._keeps) - 1),
            "widths": CategoricalDistribution(("even", "ranked")),
            "trained": CategoricalDistribution((False, True)),
            "distillation": CategoricalDistribution(TAUGHT),
        }
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=_RANDOM_FIRST)
        self._study = optuna.create_study(sampler=sampler)

    def know(self, variant: Variant, *, target: float, excess: float) -> None:
        """Tell the figures of a variant that nobody proposed.

        Args:
            variant: Which; one outside the space is passed over.
            target: What is to be small: bytes or milliseconds.
            excess: How far it is beyond the budget's limits; 0 or less within them.
        """
        if variant.keep not in self._keeps or variant.precision not in self._space["precision"].choices:  # type: ignore[attr-defined]
            return
        values = {**vars(variant), "keep": self._keeps.index(variant.keep)}
        constraints = {"budget": excess}
        trial = optuna.create_trial(params=values, distributions=self._space, value=target, constraints=constraints)
        self._study.add_trial(trial)

    def ask(self) -> Proposal:
        """The next variant to look at."""
        trial = self._study.ask(self._space)
        values = {**trial.params, "keep": self._keeps[trial.params["keep"]]}
        return Proposal(Variant(**values).plain, trial)

    def tell(self, proposal: Proposal, *, target: float, excess: float) -> None:
        """Tell the figures of a proposal; as for `know`."""
        proposal.trial.set_constraint("budget", excess)
        self._study.tell(proposal.trial, target)

    def pass_over(self, proposal: Proposal, *, known: bool) -> None:
        """Tell that a proposal was not made: it was predicted to be no better, or its figures are `known` already.

        What is known says nothing new of its neighbours; what is predicted to be no better speaks against them.
        """
        states = optuna.trial.TrialState
        self._study.tell(proposal.trial, state=states.FAIL if known else states.PRUNED)
