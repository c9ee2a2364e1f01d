"""Sentences that page and model card share: limits, how time was measured, the machine, warnings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from tfkit.reports.data_summary import DataSummary
from tfkit.reports.quantities import counted, file_size, milliseconds, percent
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
    examples = report.evaluation.examples
    if examples < FEW_EXAMPLES and report.evaluation.task.targets == "classes":
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
    """An ISO time for people: "22 November 2026, 16:50 UTC"."""
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
