"""How many weights are pruned at which step of the optimizer."""

from dataclasses import dataclass

from tfkit.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class _Steps:
    begin_step: int = 0
    end_step: int = -1
    frequency: int = 100

    def __post_init__(self) -> None:
        if faults := self._faults():
            raise ConfigError(
                f"{type(self).__name__}: " + "; ".join(faults),
                hint="sparsity is the share of weights that become zero, 0.8 for 80 %; steps are the optimizer's",
            )

    def last_update(self, step: int) -> int | None:
        """The newest step, up to and with this one, after which masks are set anew.

        Args:
            step: How many steps the optimizer has made.

        Returns:
            A step of the schedule: every `frequency`th from `begin_step` on, and `end_step` itself. None before it.
        """
        if step < self.begin_step:
            return None
        if 0 <= self.end_step <= step:
            return self.end_step
        return step - (step - self.begin_step) % self.frequency

    def _faults(self) -> list[str]:
        faults = []
        if self.begin_step < 0:
            faults.append(f"begin_step must be 0 or more; got {self.begin_step}")
        if self.end_step < -1:
            faults.append(f"end_step must be a step, or -1 for as long as training lasts; got {self.end_step}")
        elif 0 <= self.end_step < self.begin_step:
            faults.append(f"end_step {self.end_step} comes before begin_step {self.begin_step}")
        if self.frequency < 1:
            faults.append(f"frequency must be 1 step or more; got {self.frequency}")
        return faults


@dataclass(frozen=True, kw_only=True)
class ConstantSparsity(_Steps):
    """The same share of weights is zero from the first step on; which ones may change.

    Names and meaning are those of tensorflow-model-optimization.

    Attributes:
        target_sparsity: Share of zero weights, in [0, 1).
        begin_step: Optimizer step after which the first masks are set.
        end_step: Step after which masks stay as they are; -1: they are set anew as long as training lasts.
        frequency: Steps from one setting of the masks to the next.
    """

    target_sparsity: float

    @property
    def final(self) -> float:
        """Sparsity at the end."""
        return self.target_sparsity

    def sparsity(self, step: int, *, final: float | None = None) -> float:
        """Share of zero weights wanted at a step; `final`: for a layer with a budget of its own."""
        return self.target_sparsity if final is None else final

    def _faults(self) -> list[str]:
        return [*share_faults(target_sparsity=self.target_sparsity), *super()._faults()]


@dataclass(frozen=True, kw_only=True)
class PolynomialDecay(_Steps):
    """The share of zero weights rises quickly first and slowly at last.

    Zhu & Gupta 2017 (https://arxiv.org/abs/1710.01878), with the names of tensorflow-model-optimization:
    `final + (initial - final) * (1 - (step - begin_step) / (end_step - begin_step)) ** power`. Leave a third of the
    training after `end_step` for the remaining weights to recover.

    Attributes:
        initial_sparsity: Share of zero weights at `begin_step`, in [0, 1).
        final_sparsity: Share of zero weights from `end_step` on, in [0, 1).
        begin_step: Optimizer step after which the first masks are set.
        end_step: Step after which masks stay as they are.
        frequency: Steps from one setting of the masks to the next. `end_step` is always one of them.
        power: Exponent.

    Example:
        >>> round(PolynomialDecay(final_sparsity=0.8, end_step=1000).sparsity(500), 6)
        0.7
    """

    final_sparsity: float
    initial_sparsity: float = 0.0
    power: float = 3.0

    @property
    def final(self) -> float:
        """Sparsity at the end."""
        return self.final_sparsity

    def sparsity(self, step: int, *, final: float | None = None) -> float:
        """Share of zero weights wanted at a step; `final`: for a layer with a budget of its own.

        Example:
            >>> decay = PolynomialDecay(final_sparsity=0.8, end_step=1000)
            >>> decay.sparsity(0), round(decay.sparsity(1000), 6)
            (0.0, 0.8)
        """
        final = self.final_sparsity if final is None else final
        done = (step - self.begin_step) / max(1, self.end_step - self.begin_step)
        if step >= self.end_step:
            return final
        return final + (self.initial_sparsity - final) * float((1 - max(0.0, done)) ** self.power)

    def _faults(self) -> list[str]:
        shares = share_faults(initial_sparsity=self.initial_sparsity, final_sparsity=self.final_sparsity)
        falls = self.final_sparsity < self.initial_sparsity
        faults = [*shares, *super()._faults()]
        if falls and not shares:
            faults.append(f"final_sparsity {self.final_sparsity} is less than initial_sparsity {self.initial_sparsity}")
        if self.end_step == -1:
            faults.append("end_step must be given: the decay has to end")
        if self.power <= 0:
            faults.append(f"power must be more than 0; got {self.power}")
        return faults


@dataclass(frozen=True, kw_only=True)
class NOfM(_Steps):
    """In each group of `m` consecutive input weights of an output, the `n` largest are kept: 2 of 4 by default.

    The pattern of sparse tensor cores (Mishra et al. 2021, https://arxiv.org/abs/2104.08378). LiteRT's CPU kernels do
    not use it.

    Attributes:
        n: Weights kept in a group.
        m: Weights in a group; divides the number of input channels of every pruned layer.
        begin_step: Optimizer step after which the first masks are set.
        end_step: Step after which masks stay as they are; the same as `begin_step` prunes once; -1: they are set
            anew as long as training lasts.
        frequency: Steps from one setting of the masks to the next.

    Example:
        >>> NOfM(n=2, m=4).final
        0.5
    """

    n: int = 2
    m: int = 4

    @property
    def final(self) -> float:
        """Sparsity at the end."""
        return 1 - self.n / self.m

    def _faults(self) -> list[str]:
        faults = []
        if self.n < 1:
            faults.append(f"n must be 1 or more; got {self.n}")
        if self.n >= self.m:
            faults.append(f"n must be less than m, or nothing is pruned; got n={self.n}, m={self.m}")
        return [*faults, *super()._faults()]


Schedule = PolynomialDecay | ConstantSparsity | NOfM


def share_faults(**shares: float) -> list[str]:
    """What is wrong with shares of zero weights, by their names.

    Example:
        >>> share_faults(final_sparsity=1.5)
        ['final_sparsity must be in [0, 1); got 1.5']
    """
    wrong = {name: share for name, share in shares.items() if not 0 <= share < 1}
    return [f"{name} must be in [0, 1); got {share}" for name, share in wrong.items()]
