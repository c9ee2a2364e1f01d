"""The files a search can make: how numbers are stored, how many channels stay, and how it is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

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
