"""What a pruned model will take, from the measured operator times of the whole one."""

from collections.abc import Sequence
from typing import Protocol

from tfkit.compression.channels.costs import LayerCost


class MeasuredOperator(Protocol):
    @property
    def name(self) -> str: ...


class MeasuredProfile(Protocol):
    @property
    def operators(self) -> Sequence[MeasuredOperator]: ...


def predict_latency(profile: MeasuredProfile, *, before: Sequence[LayerCost], after: Sequence[LayerCost]) -> float:
    raise NotImplementedError
