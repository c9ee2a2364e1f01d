"""Metrics in Prometheus' text format: https://prometheus.io/docs/instrumenting/exposition_formats."""

from collections.abc import Iterable, Iterator, Mapping


def metric_family(
    name: str, told: str, samples: Iterable[tuple[Mapping[str, str], float]], *, kind: str = "gauge"
) -> Iterator[str]:
    """The lines of one metric; none without samples.

    Args:
        name: The metric's.
        told: What it is, without a full stop.
        samples: Labels and a value each.
        kind: `gauge` or `counter`.

    Example:
        >>> list(metric_family("texts_total", "Texts", [({"topic": "fees"}, 3)], kind="counter"))
        ['# HELP texts_total Texts.', '# TYPE texts_total counter', 'texts_total{topic="fees"} 3']
    """
    for place, (labels, value) in enumerate(samples):
        if not place:
            yield f"# HELP {name} {told}."
            yield f"# TYPE {name} {kind}"
        written = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"{name}{{{written}}} {value:.10g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
