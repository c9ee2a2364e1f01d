"""What models answered, as tables: labels with their scores, texts that were found, and words that decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from tfkit.operations.values import FoundTexts, Prediction, Replies
from tfkit.terminal import plain_table

# Only for the type checker: this room loads TensorFlow, and an exported file is asked without.
if TYPE_CHECKING:
    from tfkit.explaining import Explanation, WordShare

_NOT_SURE = "not sure"
_MOST_WORDS = 16  # a table of more is no answer: of longer texts the strongest are shown
_BAR = 12  # characters of the longest bar


def prediction_table(told: Prediction, *, top: int = 5) -> Table:
    """Draw the labels of each picture or text, of masks their shares, or what users are offered.

    What is not given is dim.

    Args:
        told: What `tfkit.predict` gave.
        top: Labels to show for each.

    Example:
        >>> prediction_table(tfkit.predict("runs/digits", ["photos"]), top=3)  # doctest: +SKIP
    """
    numbers, asked = told.asked.gives_numbers, told.asked
    if told.kind == "user":
        return _offered_table(told, top=top)
    table = plain_table([told.kind, asked.output_noun if numbers else "label"], [asked.figure_noun])
    for one, row, given in zip(told.inputs, told.best(top=top), told.given(), strict=True):
        for place, (label, score) in enumerate(row):
            style = "" if label in given else "dim"
            shown = f"{score:.5g}" if numbers else f"{score:.3f}"
            table.add_row(Text(one if place == 0 else ""), Text(label, style=style), Text(shown, style=style))
        table.add_section()
    return table


def _offered_table(told: Prediction, *, top: int) -> Table:
    """What each user took, and below it what is offered."""
    table = plain_table(["took, and is offered"], ["score"], ["because of"] if told.reasons else [])
    for number, (one, row) in enumerate(zip(told.inputs, told.best(top=top), strict=True)):
        table.add_row(Text(one, style="bold"))
        reasons = {reason.item: reason.because for reason in told.reasons[number]} if told.reasons else {}
        for item, score in row:
            because = ", ".join(f"{name} {lost:+.2f}" for name, lost in reasons.get(item, ()))
            table.add_row(Text(f"  {item}"), f"{score:.3f}", *([Text(because)] if told.reasons else []))
        table.add_section()
    return table


def found_table(told: FoundTexts, *, nearest: bool = False) -> Table:
    """Draw what a model of sentence embeddings found; what is not the answer is dim.

    Args:
        told: What `tfkit.predict` gave.
        nearest: Show the nearest indexed texts instead of the answers.
    """
    table = plain_table(["text", "nearest" if nearest else "answer", "label"], ["cosine" if nearest else "confidence"])
    for one in told.answers:
        rows = [(near.text, near.label, near.cosine) for near in one.nearest]
        if not nearest:
            rows = [(one.answer or _NOT_SURE, one.label, one.confidence)]
        for place, (found, label, figure) in enumerate(rows):
            style = "" if place == 0 and (nearest or one.answer) else "dim"
            asked = Text(one.text if place == 0 else "")
            table.add_row(asked, Text(found, style=style), Text(label, style=style), Text(f"{figure:.3f}", style=style))
        table.add_section()
    return table


def reply_table(told: Replies) -> Table:
    """Draw what a language model replies; what it does not answer is dim.

    Args:
        told: What `tfkit.predict` gave.
    """
    table = plain_table(["question", "reply"], ["alike", "tokens/s"])
    for one in told.replies:
        alike = "" if one.similarity is None else f"{one.similarity:.3f}"
        speed = f"{one.tokens / one.seconds:.0f}" if one.seconds else ""
        said = one.text if one.ended else f"{one.text} …"
        asked = f"{one.question} (too long: its end was not read)" if one.cut else one.question
        table.add_row(Text(asked), Text(said or "–", style="dim" if one.refused else ""), alike, speed)
        table.add_section()
    return table


def word_table(explanation: Explanation) -> Table | None:
    """Draw the words of a text, each with a bar: to the right it spoke for the label, to the left against it.

    Args:
        explanation: Why the text got its label.

    Returns:
        The table of the strongest words, in the text's order; None of a text without words.
    """
    words = _strongest(explanation.words)
    longest = max((abs(word.share) for word in words), default=0.0) or 1.0
    table = plain_table(["word"], ["share", "against"], ["for"])
    for word in words:
        bar = "█" * round(_BAR * abs(word.share) / longest)
        sides = ("", Text(bar, style="green")) if word.share >= 0 else (Text(bar, style="red"), "")
        table.add_row(Text(" ".join(word.word.split())), _percent(word.share), *sides)
    return table if words else None


def word_notes(explanation: Explanation) -> list[str]:
    """What is to be said below its words: what is not shown, what was cut, and how far they add up."""
    told = []
    if (weaker := len(explanation.words) - _MOST_WORDS) > 0:
        told.append(f"{weaker} weaker words are not shown")
    if explanation.read_characters < len(explanation.text):
        told.append("the model reads no further than the last of its words: the text was cut")
    told.append(
        f"without its words {explanation.blank_score:.1%}, with them {explanation.score:.1%}; the words add up to that "
        f"change but for {explanation.gap:.2%} of what they moved ({explanation.steps} steps of integrated gradients)"
    )
    return told


def _strongest(words: Sequence[WordShare]) -> list[WordShare]:
    """The strongest words of a text, in its order."""
    chosen = sorted(words, key=lambda word: -abs(word.share))[:_MOST_WORDS]
    return sorted(chosen, key=lambda word: word.start)


def _percent(share: float) -> str:
    rounded = round(100 * share)
    return f"{rounded:+d} %".replace("-", "−") if rounded else "0 %"
