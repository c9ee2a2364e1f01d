"""The files a search can make: how numbers are stored, how many channels stay, and how it is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

Precision = Literal["int8", "selective", "mixed_int4", "int4", "int16x8", "dynamic_int8"]
Widths = Literal["even", "ranked"]

PRECISION_TITLES: Mapping[Precision, str] = {
    "int8": "int8",
    "selective": "int8, partly float",
    "mixed_int4": "mixed 4-bit weights",
    "int4": "4-bit weights",
    "int16x8": "16-bit activations",
    "dynamic_int8": "dynamic int8",
}
PRECISIONS: tuple[Precision, ...] = tuple(PRECISION_TITLES)
# These compute in float somewhere.
FLOAT_PRECISIONS: tuple[Precision, ...] = ("selective", "dynamic_int8")
# Shares of the float model's answers in the loss (Hinton et al. 2015); 0 trains on the labels only.
TAUGHT = (0.0, 0.5, 0.9)


@dataclass(frozen=True)
class Variant:
    """One way to make a file of the float model.

    Attributes:
        precision: How weights and activations are stored.
        keep: The share of channels that stay, in (0, 1].
        widths: `even` keeps the same share of every layer; `ranked` takes the channels that matter least in the
            whole model, until as little is left.
        trained: Whether it is trained quantisation-aware; else it is quantised after training.
        distillation: Share of the float model's answers in the loss of whatever is trained.

    Example:
        >>> Variant("int8", keep=0.5, trained=True, distillation=0.5).title
        '50 % channels, int8, QAT, taught 0.5'
    """

    precision: Precision = "int8"
    keep: float = 1.0
    widths: Widths = "even"
    trained: bool = False
    distillation: float = 0.0

    @property
    def plain(self) -> "Variant":
        """The same file with everything that does not count for it at its default."""
        whole = self.keep >= 1 or self.precision == "selective"
        trained = self.trained and self.precision != "dynamic_int8"
        return replace(
            self,
            keep=1.0 if whole else self.keep,
            widths="even" if whole else self.widths,
            trained=trained,
            distillation=self.distillation if trained or not whole else 0.0,
        )

    @property
    def learns(self) -> bool:
        """Whether anything is trained to make it.

        Example:
            >>> Variant("int8", trained=True).learns, Variant("int8").learns
            (True, False)
        """
        return self.trained or self.keep < 1

    @property
    def base(self) -> str:
        """The name of the float model that it is quantised from."""
        if self.keep >= 1:
            return "whole"
        return f"channels_{100 * self.keep:g}_{self.widths}{self._taught}".replace(".", "_")

    @property
    def name(self) -> str:
        """Short and unique in a search, fit for a file's name.

        Example:
            >>> Variant("int8", keep=0.5, trained=True).name
            '50_even_int8_qat'
        """
        start = "" if self.keep >= 1 else f"{100 * self.keep:g}_{self.widths}_"
        return f"{start}{self.precision}{'_qat' if self.trained else ''}{self._taught}".replace(".", "_")

    @property
    def title(self) -> str:
        """What it is, for people.

        Example:
            >>> Variant("int8", trained=True).title
            'int8, QAT'
        """
        told = []
        if self.keep < 1:
            share = "narrowest widths" if self.keep < 0.1 else f"{100 * self.keep:g} % channels"
            told.append(f"{share}, ranked" if self.widths == "ranked" else share)
        told += [PRECISION_TITLES[self.precision], "QAT" if self.trained else "after training"]
        told += [f"taught {self.distillation:g}"] if self.distillation else []
        return ", ".join(told)

    @property
    def _taught(self) -> str:
        return f"_taught_{100 * self.distillation:g}" if self.distillation else ""


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
