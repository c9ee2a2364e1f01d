"""Sentences that page and model card share: the verdict, limits, how time was measured, the machine, warnings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tfkit.reports.data_summary import DataSummary
from tfkit.reports.findings import Evaluation, accuracy_interval
from tfkit.reports.quantities import count, counted, file_size, milliseconds, percent, points
from tfkit.reports.run_report import ArtifactResult, RunReport, float_accuracy

# In the order they are told; a limit that is null in the recipe does not hold.
_LIMITS: Mapping[str, Callable[[Any, str], str]] = {
    "max_accuracy_drop": lambda drop, _: (
        f"{{metric}} at most {_points(drop)} below Keras's, before and after compression"
    ),
    "min_agreement": lambda share, noun: f"the same answer as Keras on at least {percent(share)} of the {noun}s",
    "min_cosine": lambda cosine, noun: f"a cosine of at least {cosine:g} between any {noun}'s vector and Keras's",
    "max_float_ops": lambda ops, _: f"{'no' if ops == 0 else f'at most {ops}'} float operations if it is int8",
    "min_runtime": lambda version, _: f"a TensorFlow Lite runtime of {version} that reads it",
    "max_bytes": lambda size, _: f"a size of at most {file_size(size)}",
    "max_latency_ms_p95": lambda limit, _: f"a p95 of at most {milliseconds(limit)}",
}
# A smaller evaluation split cannot tell one point of accuracy from chance.
FEW_EXAMPLES = 100
# A compressed model this much worse than its float self is told to be so, even where the recipe allows more.
_MUCH_LOST = 0.01


def limits(policy: Mapping[str, Any], *, noun: str, unit: str = "accuracy") -> str:
    """The limits of the acceptance as one phrase, such as "a size of at most 4.0 MB; and a p95 of at most 20 ms".

    Args:
        policy: The limits, by their names in the recipe.
        noun: What one example is called.
        unit: What the deciding figure is called.

    Returns:
        The phrase; empty without limits.
    """
    metric = f"an {unit}" if unit[0].lower() in "aeiouf" else f"a {unit}"  # an F1
    told = [say(policy[name], noun) for name, say in _LIMITS.items() if policy.get(name) is not None]
    told = [phrase.replace("{metric}", metric) for phrase in told]
    return f"{'; '.join(told[:-1])}; and {told[-1]}" if len(told) > 1 else "".join(told)


def timing(report: RunReport) -> tuple[str, ...]:
    """How the latencies were measured, one sentence for each way of measuring."""
    ways: dict[str, list[ArtifactResult]] = {}
    for file in report.artifacts:
        if file.latency_ms_p50 is not None:
            threads = counted(file.latency_threads, "thread") if file.latency_threads else "the runtime's own threads"
            ways.setdefault(f"{file.latency_measures}, {threads}", []).append(file)
    return tuple(f"Time of {_labels(files)}: {way}; {_runs(files)}." for way, files in ways.items())


def warnings(report: RunReport, data: DataSummary) -> tuple[str, ...]:
    """What a reader must know before believing the accuracy."""
    told = []
    if data.leakage:
        leaked = counted(len(data.leakage), f"{report.noun} lies", f"{report.noun}s lie")
        told.append(
            f"{leaked} in two splits at once; if one of them is the evaluation split, the accuracy is flattered."
        )
    if data.near_leakage:
        groups = counted(len(data.near_leakage), "group")
        told.append(f"{groups} of {report.noun}s that look the same lie in two splits; the accuracy may be flattered.")
    examples = report.evaluation.examples
    if examples < FEW_EXAMPLES and report.evaluation.task.of_classes:
        told.append(
            f"with {counted(examples, f'evaluation {report.noun}')} one {report.noun} more or less moves the accuracy "
            f"by {100 / examples:.1f} points; evaluate on more before deciding on small differences."
        )
    whole, last = float_accuracy(report.stages), report.evaluation.keras
    if whole is not None and whole - last > _MUCH_LOST:
        task, allowed = report.evaluation.task, _points(report.policy["max_accuracy_drop"])
        told.append(
            f"compression cost {100 * (whole - last):.1f} points of {task.unit}: the float model had "
            f"{task.told(whole)}, the compressed one {task.told(last)}. A file may lose {allowed}."
        )
    told += _slower_than_float(report)
    return tuple(told)


def _slower_than_float(report: RunReport) -> list[str]:
    """Which whole-number files are slower here than the float32 file that they replace."""
    timed = {file.quantization: file for file in report.artifacts if file.format == "tflite" and file.latency_ms_p50}
    plain = timed.pop("none", None)
    slower = [
        f"{file.label} ({milliseconds(file.latency_ms_p50)})"
        for file in timed.values()
        if plain and file.quantization != "float16" and file.latency_ms_p50 > plain.latency_ms_p50  # type: ignore[operator]
    ]
    if not plain or not slower:
        return []
    return [
        f"on this machine, {report.host.processor}, {' and '.join(slower)} took longer than {plain.label} "
        f"({milliseconds(plain.latency_ms_p50)}): whole numbers are not faster on every processor; measure on yours."
    ]


def environment(report: RunReport) -> tuple[tuple[str, str], ...]:
    """The machine and its software, as names and values."""
    host = report.host
    versions = ", ".join(f"{name} {version}" for name, version in host.versions.items())
    return (
        ("Processor", f"{host.processor}, {counted(host.cores, 'core')}"),
        ("Memory", f"{host.memory_gib:.1f} GiB"),
        ("Operating system", host.operating_system),
        ("Python", host.python),
        ("Packages", versions),
    )


def date(created: str) -> str:
    """An ISO time for people.

    Example:
        >>> date("2026-11-22T16:50:00+00:00")
        '22 November 2026, 16:50 UTC'
    """
    moment = datetime.fromisoformat(created)
    return f"{moment.day} {moment:%B %Y, %H:%M} {moment.tzname() or ''}".strip()


def _points(share: float) -> str:
    return f"{100 * share:.3g} {'point' if share == 0.01 else 'points'}"


def _labels(files: list[ArtifactResult]) -> str:
    labels = [file.label for file in files]
    return f"{', '.join(labels[:-1])} and {labels[-1]}" if len(labels) > 1 else labels[0]


def _runs(files: list[ArtifactResult]) -> str:
    warmups, runs = ({getattr(file, f"latency_{kind}") or 0 for file in files} for kind in ("warmup_runs", "runs"))
    timed = f"{min(runs)} to {max(runs)}" if len(runs) > 1 else f"{max(runs)}"
    return f"{max(warmups)} warm-up runs, then {timed} timed ones"


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
        gained = control.counterpart_accuracy - control.accuracy
        told = points(gained) if evaluation.task.is_share else f"{gained:+.3f}"
        compared = f"{control.counterpart} {evaluation.task.told(control.counterpart_accuracy)}"
        remark = f"{compared}, {control.name} {evaluation.task.told(control.accuracy)}"
        remark = f"points: {remark}" if evaluation.task.is_share else remark
        chosen.append(Tile(control.gain, told, remark))
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
    if not evaluation.task.of_classes:
        others = [evaluation.task.told_figure(name, value) for name, value in _others(evaluation)]
        first = f"{evaluation.task.figures[evaluation.metric]}, on {counted(evaluation.examples, report.noun)}"
        return "; ".join([first, *others])
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
    told = "right on " if evaluation.task.of_classes else f"{evaluation.task.unit} "
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
    if evaluation.task.of_classes:
        right = count(round(evaluation.keras * evaluation.examples))
        sentences = [f"The trained Keras model names {right} of {of} correctly ({percent(evaluation.keras)})."]
    else:
        figures = [evaluation.task.told_figure(*figure) for figure in evaluation.quality.figures.items()]
        sentences = [f"On {of} the trained Keras model has {'; '.join(figures)}."]
    if report.artifacts:
        each = "every exported file was" if len(report.artifacts) > 1 else "the exported file was"
        sentences.append(f"Then {each} run on the same {report.noun}s in its own runtime and compared with Keras.")
    smallest = smallest_accepted(report)
    if smallest:
        told = evaluation.task.told(smallest.quality)
        named = f" and names {told} correctly" if evaluation.task.of_classes else f"; {evaluation.task.unit} {told}"
        accuracy = named if smallest.quality is not None else ""
        sentences.append(
            f"The smallest accepted file is {smallest.file}: it takes {file_size(smallest.bytes)}{accuracy}."
        )
    return tuple(sentences)
