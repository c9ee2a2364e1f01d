"""What a report shows of generated replies."""

from dataclasses import asdict, dataclass

from tfkit.stages.replying import Reply, ReplyMeasures

_SHOWN = 12


@dataclass(frozen=True)
class Replies:
    """What the file that ships answered.

    Attributes:
        file: Its name.
        measures: How good that was.
        test: The reply to each test question, with the answer that was wanted.
        out_of_scope: The replies to questions that nothing is known about.
    """

    file: str
    measures: ReplyMeasures
    test: tuple[tuple[Reply, str], ...]
    out_of_scope: tuple[Reply, ...]

    @property
    def sentence(self) -> str:
        """The main figures in words."""
        found = self.measures
        told = [f"{100 * found.exact:.1f} % of {found.questions} replies are the wanted answer"]
        if found.grounded is not None:
            told.append(f"{100 * found.refused:.1f} % are left open")
            told.append(f"{100 * found.grounded:.1f} % of the others stand in what they cite")
        if found.out_of_scope_refused is not None:
            share = f"{100 * found.out_of_scope_refused:.1f} %"
            told.append(f"of {found.out_of_scope} questions about other things {share} are left open")
        if found.tokens_per_second is not None:
            told.append(f"{found.tokens_per_second:.0f} tokens per second")
        return "; ".join(told)

    @property
    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """Each figure with its name and what it means."""
        found = self.measures

        def share(value: float | None) -> str:
            return "–" if value is None else f"{100 * value:.1f} %"

        rows = [
            ("Exact", share(found.exact), "replies that are the wanted answer, letter by letter"),
            ("Alike", f"{found.semantic:.3f}", "mean cosine of reply and wanted answer; 1 is the same"),
            ("Left open", share(found.refused), "test questions that got no answer"),
            ("Right when given", share(found.right_when_given), "of the replies that were given"),
        ]
        if found.grounded is not None:
            rows.append(("Grounded", share(found.grounded), "of these, replies whose words stand in what they cite"))
        if found.out_of_scope_refused is not None:
            told = f"of {found.out_of_scope} questions that nothing is known about"
            rows.append(("Other questions left open", share(found.out_of_scope_refused), told))
        if found.tokens_per_second is not None:
            told = "prompts read with them, on this machine"
            rows.append(("Tokens per second", f"{found.tokens_per_second:,.0f}", told))
        if found.unfinished:
            rows.append(("Unfinished", str(found.unfinished), "replies that did not come to an end"))
        rows += [
            (name.capitalize(), str(count), "left open by filters.toxicity")
            for name, count in sorted(found.filtered.items())
        ]
        return tuple(rows)

    @property
    def document(self) -> dict[str, object]:
        """The same for `report.json`."""
        return {
            "file": self.file,
            **asdict(self.measures),
            "test": [{**asdict(reply), "wanted": wanted} for reply, wanted in self.test],
            "out_of_scope_replies": [asdict(reply) for reply in self.out_of_scope],
        }

    @property
    def shown(self) -> tuple[tuple[Reply, str], ...]:
        """Some replies to test questions, wrong ones first."""
        ordered = sorted(self.test, key=lambda pair: pair[0].text == pair[1])
        wrong = [pair for pair in ordered if pair[0].text != pair[1]][: _SHOWN // 2]
        right = [pair for pair in ordered if pair[0].text == pair[1]][: _SHOWN - len(wrong)]
        return (*wrong, *right)
