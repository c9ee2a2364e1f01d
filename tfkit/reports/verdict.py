"""The run's outcome in plain words: what page, model card and terminal open with."""

from __future__ import annotations

from dataclasses import dataclass

from tfkit.reports.findings import accuracy_interval
from tfkit.reports.quantities import count, counted, file_size, milliseconds, percent, points
from tfkit.reports.run_report import ArtifactResult, Evaluation, RunReport
from tfkit.reports.task_view import FIGURES, told_figure


@dataclass(frozen=True)
class Verdict:
    """The outcome.

    Attributes:
        accepted: Whether the run passed.
        headline: The outcome in one line.
        sentences: What it rests on.
        reasons: Why files were refused, each a sentence; empty for an accepted run.
    """

    accepted: bool
    headline: str
    sentences: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Tile:
    """One figure to remember: what it is, the figure, and what to read it against."""

    title: str
    figure: str
    remark: str


def verdict(report: RunReport) -> Verdict:
    """Say how the run ended.

    Args:
        report: The run.

    Returns:
        The outcome in words.
    """
    return Verdict(
        accepted=report.accepted,
        headline=_headline(report),
        sentences=_sentences(report),
        reasons=tuple(reason for file in report.artifacts for reason in file.refusals),
    )


def tiles(report: RunReport) -> tuple[Tile, ...]:
    """Choose the few figures to remember of a run: the model, the file to ship, what transfer brought.

    Args:
        report: The run.

    Returns:
        Two to four tiles.
    """
    evaluation = report.evaluation
    chosen = [Tile("Keras model", evaluation.task.told(evaluation.keras), _keras_remark(report))]
    smallest, fastest = smallest_accepted(report), _fastest_accepted(report)
    if smallest:
        chosen.append(Tile("Smallest accepted file", file_size(smallest.bytes), _described(smallest, evaluation)))
    if fastest:
        threads = counted(fastest.latency_threads, "thread") if fastest.latency_threads else "the runtime's threads"
        remark = f"{fastest.label}, median for one {report.noun} on {threads} of this machine"
        chosen.append(Tile("Fastest accepted file", milliseconds(fastest.latency_ms_p50), remark))
    if control := report.control:
        remark = (
            f"points: {control.counterpart} {evaluation.task.told(control.counterpart_accuracy)}, "
            f"{control.name} {evaluation.task.told(control.accuracy)}"
        )
        chosen.append(Tile("Gained by transfer", points(control.counterpart_accuracy - control.accuracy), remark))
    return tuple(chosen)


def smallest_accepted(report: RunReport) -> ArtifactResult | None:
    """The file to try first on a device: the smallest accepted one; None when there is none."""
    return min((file for file in report.artifacts if file.accepted), key=lambda file: file.bytes, default=None)


def _fastest_accepted(report: RunReport) -> ArtifactResult | None:
    # A SavedModel's time includes decoding and a round trip between processes: it is not in this race.
    timed = [file for file in report.artifacts if file.accepted and file.format == "tflite" and file.latency_ms_p50]
    return min(timed, key=lambda file: file.latency_ms_p50 or 0.0, default=None)


def _keras_remark(report: RunReport) -> str:
    evaluation = report.evaluation
    if evaluation.task.targets != "classes":
        others = [f"{FIGURES[name]} {told_figure(name, value)}" for name, value in _others(evaluation)]
        return f"{FIGURES[evaluation.metric]}, on {counted(evaluation.examples, report.noun)}; {'; '.join(others)}"
    low, high = accuracy_interval(evaluation.keras, evaluation.examples)
    return (
        f"right, of {counted(evaluation.examples, report.noun)}; for more {report.noun}s of the same kind expect "
        f"{percent(low, decimals=0)} to {percent(high, decimals=0)}"
    )


def _others(evaluation: Evaluation) -> list[tuple[str, float]]:
    return list(evaluation.quality.figures.items())[1:]


def _described(file: ArtifactResult, evaluation: Evaluation) -> str:
    if file.quality is None:
        return file.label
    told = "right on " if evaluation.task.targets == "classes" else f"{evaluation.task.unit} "
    return f"{file.label}, {told}{evaluation.task.told(file.quality)}"


def _headline(report: RunReport) -> str:
    files = len(report.artifacts)
    refused = sum(not file.accepted for file in report.artifacts)
    if not report.accepted and not refused:
        return "Refused: the run did not pass its acceptance"
    if not files:
        return "Trained; no file was exported"
    if refused == files:
        return (
            "Refused: the file must not be shipped"
            if files == 1
            else f"Refused: none of the {files} files may be shipped"
        )
    if refused:
        return f"Refused: {refused} of {files} files must not be shipped"
    # Of the files, not of the model: whether it is right often enough is for people to say.
    each = "the file answers" if files == 1 else f"all {files} files answer"
    return f"Accepted: {each} as the trained model does"


def _sentences(report: RunReport) -> tuple[str, ...]:
    evaluation = report.evaluation
    of = counted(evaluation.examples, f"evaluation {report.noun}")
    if evaluation.task.targets == "classes":
        right = count(round(evaluation.keras * evaluation.examples))
        sentences = [f"The trained Keras model names {right} of {of} correctly ({percent(evaluation.keras)})."]
    else:
        figures = [f"{FIGURES[name]} {told_figure(name, value)}" for name, value in evaluation.quality.figures.items()]
        sentences = [f"On {of} the trained Keras model has {'; '.join(figures)}."]
    if report.artifacts:
        each = "every exported file was" if len(report.artifacts) > 1 else "the exported file was"
        sentences.append(f"Then {each} run on the same {report.noun}s in its own runtime and compared with Keras.")
    smallest = smallest_accepted(report)
    if smallest:
        told = evaluation.task.told(smallest.quality)
        named = (
            f" and names {told} correctly"
            if evaluation.task.targets == "classes"
            else f"; {evaluation.task.unit} {told}"
        )
        accuracy = named if smallest.quality is not None else ""
        sentences.append(
            f"The smallest accepted file is {smallest.file}: it takes {file_size(smallest.bytes)}{accuracy}."
        )
    return tuple(sentences)
