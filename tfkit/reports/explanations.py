"""Why the most confident mistakes over texts were made: which words did it, for the page and the JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from tfkit.artifacts import RunDirectory, TextSpec
from tfkit.errors import ModelError
from tfkit.reports.findings import Evaluation, Mistake, mistakes
from tfkit.reports.quantities import percent

# Only for the type checker: these rooms load TensorFlow, and `tfkit --help` must not.
if TYPE_CHECKING:
    from tfkit.data.text import TextExamples
    from tfkit.explaining import Explanation, WordShare

METHOD = "integrated gradients (Sundararajan, Taly and Yan 2017), from a text of mask tokens to the text"
MOST_EXPLAINED = 12
_SECONDS = 60.0  # a base-sized encoder on 512 tokens takes minutes a text
_FEWEST_POINTS = 0.05  # a share below it is shown by its tint alone, beside the strongest, which is always told
_WEAKEST_TINT = 4  # per cent of the page's colour: a fainter one is no more than a smudge
_MOST_CHARACTERS = 400


@dataclass(frozen=True)
class Explanations:
    """The explained mistakes of a run.

    Attributes:
        model: The Keras model that was asked, relative to the run's folder; empty when none could be.
        mistakes: Which mistakes, and why each was made, the surest first.
        notes: Sentences about what could not be explained, and why.
    """

    model: str
    mistakes: tuple[tuple[Mistake, Explanation], ...]
    notes: tuple[str, ...] = ()

    @property
    def gap(self) -> float:
        """The largest share of what a text's words moved that their sum misses."""
        return max((explanation.gap for _, explanation in self.mistakes), default=0.0)

    @property
    def summary(self) -> str:
        """A few words for the terminal."""
        return f"{len(self.mistakes)} texts, at most {percent(self.gap)} unexplained" if self.mistakes else "none"

    def of(self, position: int) -> Explanation | None:
        """Why the mistake at a position of the evaluation split was made; None when it was not explained."""
        return next((explained for mistake, explained in self.mistakes if mistake.position == position), None)


@dataclass(frozen=True)
class Mark:
    """A stretch of a text as the page shows it.

    Attributes:
        text: The stretch: a word, or what stands between two.
        side: `for` the label, `against` it, or empty for what is no word.
        tint: How strong its colour is, 0..60; 0 for a word that hardly spoke.
        told: Its share in whole per cent, with its sign alone; empty where it is too small to tell.
        share: The same with a decimal, for whoever asks.
    """

    text: str
    side: str = ""
    tint: int = 0
    told: str = ""
    share: str = ""


def explain_mistakes(
    run: RunDirectory,
    evaluation: Evaluation,
    test: TextExamples,
    text: TextSpec,
    *,
    seconds: float = _SECONDS,
    progress: Callable[[int, int, str], None] | None = None,
) -> Explanations:
    """Ask the run's own Keras model which words made its most confident mistakes.

    Args:
        run: The run, whose `models/` hold the model.
        evaluation: Its answers on the evaluation split.
        test: The evaluation split.
        text: The texts the model takes.
        seconds: When this time has passed no further text is begun; a note tells how many were left.
        progress: Called with texts done, texts in all and what is being done.

    Returns:
        The surest 12 mistakes with the words that made them.
    """
    from tfkit.explaining import open_explainer

    if not evaluation.task.of_classes:
        return Explanations("", (), ("words are weighed for classes only, not for labels or numbers",))
    wrong = mistakes(evaluation)[:MOST_EXPLAINED]
    if not wrong:
        return Explanations("", ())
    try:
        opened = open_explainer(run.finished_models, text)
    except ModelError as fault:  # an odd model must not cost the run its report
        return Explanations("", (), (str(fault),))
    explained: list[tuple[Mistake, Explanation]] = []
    notes, began = list(opened.notes), time.perf_counter()
    for done, mistake in enumerate(wrong):
        if explained and time.perf_counter() - began > seconds:
            notes.append(f"{len(wrong) - done} more were not explained: {seconds:.0f} seconds were used up")
            break
        (words,) = test.select(np.array([mistake.position])).texts
        chosen = evaluation.class_names.index(mistake.predicted)
        explained.append((mistake, opened.explainer.explain(words, class_index=chosen)))
        if progress is not None:
            progress(done + 1, len(wrong), f"mistake {done + 1}/{len(wrong)}")
    return Explanations(opened.model.relative_to(run.path).as_posix(), tuple(explained), tuple(notes))


def explanations_document(explanations: Explanations) -> dict[str, object]:
    """The explained mistakes as plain values for report.json."""
    return {
        "method": METHOD,
        "model": explanations.model,
        "notes": explanations.notes,
        "mistakes": [
            {
                "position": mistake.position,
                "name": mistake.name,
                "true": mistake.true,
                "predicted": mistake.predicted,
                **asdict(explanation),
            }
            for mistake, explanation in explanations.mistakes
        ],
    }


def marked(explanation: Explanation) -> tuple[Mark, ...]:
    """A text cut into its words, each with what it spoke for, and what stands between them.

    Args:
        explanation: Why the text got its label.

    Returns:
        Stretches that together are the text, with its spaces made single; of long texts the beginning. What the
        model did not read is one stretch at the end.
    """
    text, words = explanation.text, explanation.words
    strongest = max((abs(word.share) for word in words), default=0.0)
    marks, at = [], 0
    for word in words:
        if word.end > _MOST_CHARACTERS:
            break
        marks += _between(text[at : word.start])
        marks.append(_mark(word, strongest))
        at = word.end
    rest = text[at:_MOST_CHARACTERS].rstrip()
    ellipsis = "…" if len(text) > _MOST_CHARACTERS else ""
    return (*marks, *_between(rest + ellipsis))


def further_words(explanation: Explanation) -> tuple[WordShare, ...]:
    """The words of a long text that its page does not show and that should not be missed: at most three."""
    beyond: Sequence[WordShare] = [word for word in explanation.words if word.end > _MOST_CHARACTERS]
    telling = [word for word in beyond if abs(word.share) >= _FEWEST_POINTS]
    return tuple(sorted(telling, key=lambda word: -abs(word.share))[:3])


def signed(share: float, *, decimals: int = 0) -> str:
    """A share with its sign, in per cent.

    Example:
        >>> signed(-0.114)
        '−11 %'
    """
    rounded = round(100 * share, decimals)
    return f"{rounded:+.{decimals}f} %".replace("-", "−") if rounded else "0 %"


def _mark(word: WordShare, strongest: float) -> Mark:
    telling = abs(word.share) >= _FEWEST_POINTS or (strongest > 0 and abs(word.share) == strongest)
    tint = round(60 * abs(word.share) / strongest) if strongest else 0
    return Mark(
        " ".join(word.word.split()),
        side="for" if word.share >= 0 else "against",
        tint=tint if tint >= _WEAKEST_TINT else 0,
        told=signed(word.share).removesuffix(" %") if telling else "",
        share=signed(word.share, decimals=1),
    )


def _between(text: str) -> list[Mark]:
    stretch = " ".join(text.split())
    if not stretch:
        return [Mark(" ")] if text else []
    return [Mark(f"{' ' if text[0].isspace() else ''}{stretch}{' ' if text[-1].isspace() else ''}")]
