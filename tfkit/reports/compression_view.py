"""What the page tells about compression: sentences, rows and the picture of the layers' differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from tfkit.artifacts import INTEGER, LayerDifference
from tfkit.reports.compression import Compression
from tfkit.reports.drawing import BAD, GOOD, MUTED, Drawing, drawing_style, inline_svg
from tfkit.reports.quantities import MISSING, count, counted, file_size, milliseconds, percent
from tfkit.reports.run_report import ArtifactResult, RunReport

# Only for the type checker: this room loads TensorFlow, and `tfkit --help` must not.
if TYPE_CHECKING:
    from tfkit.stages import ChannelPruning, TransformerPruning

# A tensor that differs by more than this on average does more than round otherwise.
_DRIFT_STEPS = 1.0
_EQUAL = 0.01  # steps, which are whole ones
_WIDTH = 7.6  # inches


@dataclass(frozen=True)
class Row:
    """A name and the figures beside it."""

    name: str
    figures: tuple[str, ...]


@dataclass(frozen=True)
class CompressionView:
    """What the page's section is filled with.

    Attributes:
        coverage_sentence: How many layers are integers.
        stored: The `.tflite` files, whose kernels were counted.
        student_rows: Of a text classifier: before, after and what is left, for each figure.
        channel_rows: Before, expected, measured and what is left, for each figure.
        layers: The int8 file's tensors against the Keras model's.
        difference_sentence: What they show.
        difference_drawing: The same as a picture.
    """

    coverage_sentence: str
    stored: tuple[ArtifactResult, ...]
    student_rows: tuple[Row, ...]
    channel_rows: tuple[Row, ...]
    layers: tuple[LayerDifference, ...]
    difference_sentence: str
    difference_drawing: Markup


def compression_view(report: RunReport) -> CompressionView | None:
    """Prepare the section on compression.

    Args:
        report: The run.

    Returns:
        Its contents; None when the model was not compressed.
    """
    compression = report.compression
    if compression is None:
        return None
    integer = next((file for file in report.artifacts if file.quantization in INTEGER), None)
    layers = integer.layers if integer else ()
    differing = any(layer.worst_steps >= _EQUAL for layer in layers)  # else its picture is an empty frame
    return CompressionView(
        coverage_sentence=coverage_sentence(compression),
        stored=tuple(file for file in report.artifacts if file.stored_weights),
        student_rows=_student_rows(compression.transformer, report) if compression.transformer else (),
        channel_rows=_channel_rows(compression.channels, integer, report) if compression.channels else (),
        layers=layers,
        difference_sentence=_difference_sentence(layers),
        difference_drawing=Markup(inline_svg(difference_drawing(layers))) if differing else Markup(),
    )


def difference_drawing(layers: Sequence[LayerDifference]) -> Drawing:
    """Draw the mean and the worst difference of each tensor, in the file's running order.

    Args:
        layers: One row for each tensor.

    Returns:
        The figure.
    """
    from matplotlib.figure import Figure

    places = range(1, len(layers) + 1)
    with drawing_style():
        figure = Figure(figsize=(_WIDTH, 2.3), layout="constrained")
        axes = figure.add_subplot()
        means = [row.mean_steps for row in layers]
        axes.bar(places, [row.worst_steps for row in layers], color=MUTED, alpha=0.35, width=0.8, label="worst")
        colours = [BAD if mean > _DRIFT_STEPS else GOOD for mean in means]
        axes.bar(places, means, color=colours, width=0.8, label="mean")
        axes.set_xlim(0.3, len(layers) + 0.7)
        axes.set_xlabel("tensors, in running order")
        axes.set_title("Difference from the Keras model (quantisation steps)")
        axes.set_yscale("symlog", linthresh=1.0)  # single values far off would press the means to the ground
        axes.set_ylim(0, max(1.0, *(1.1 * row.worst_steps for row in layers)))  # an axis for equal tensors too
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(True, axis="y")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
    return Drawing(
        figure,
        f"Difference of {counted(len(layers), 'tensor')} from the Keras model; mean at most {max(means):.2f} steps",
    )


def coverage_sentence(compression: Compression) -> str:
    """How many layers are integers, how many were left in float, and how many an exported model has not."""
    counts = Counter(row.precision for row in compression.coverage)
    floats, absent = counts.pop("float32", 0), counts.pop("-", 0)
    integers = ", ".join(f"{counted(number, 'layer')} in {name}" for name, number in counts.most_common())
    left = f"{counted(floats, 'layer')} left in float" if floats else "none left in float"
    gone = f"; {counted(absent, 'layer')} of training only" if absent else ""
    return f"{integers}; {left}{gone}"


def _difference_sentence(layers: Sequence[LayerDifference]) -> str:
    if not layers:
        return ""
    if all(row.worst_steps < _EQUAL for row in layers):
        return f"{counted(len(layers), 'tensor')} compared with the Keras model: equal to the bit, every one of them."
    worst = max(layers, key=lambda row: row.mean_steps)
    drifting = next((row for row in layers if row.mean_steps > _DRIFT_STEPS), None)
    name = worst.layer.removesuffix("_quantizer")
    compared = f"Of {counted(len(layers), 'tensor')} compared with the Keras model"
    said = f"{compared}, '{name}' differs most: {worst.mean_steps:.2f} steps on average"
    if drifting is None:
        return f"{said}. No layer drifts: one step is what rounding may turn."
    first = drifting.layer.removesuffix("_quantizer")
    return f"{said}. The first to differ by more than one step is '{first}' ({drifting.operator})."


def _channel_rows(channels: ChannelPruning, integer: ArtifactResult | None, report: RunReport) -> tuple[Row, ...]:
    time, size = (integer.latency_ms_p50, integer.bytes) if integer else (None, None)
    multiply_adds = channels.multiply_adds_before, channels.multiply_adds_after
    rows = [
        _row("Weights", count, channels.parameters_before, channels.parameters_after, report.parameters),
        _row(f"Multiply-adds for one {report.noun}", _millions, *multiply_adds, multiply_adds[1]),
    ]
    if channels.latency_ms_before is not None:
        times = channels.latency_ms_before, channels.expected_latency_ms, time
        rows.append(_row(f"Time for one {report.noun}", milliseconds, *times))
        rows.append(_row("Size of the int8 file", file_size, channels.bytes_before, channels.expected_bytes, size))
    return tuple(rows)


def _student_rows(pruning: TransformerPruning, report: RunReport) -> tuple[Row, ...]:
    before, after = pruning.before, pruning.after
    file = next((file for file in report.artifacts if file.quantization == "dynamic_int8"), None)
    time, size = (file.latency_ms_p50, file.bytes) if file else (None, None)
    told: tuple[tuple[str, Callable[[Any], str], Any, Any], ...] = (
        ("Layers", count, before.layers, after.layers),
        ("Attention heads in a layer", count, before.heads, after.heads),
        ("Feed-forward neurons in a layer", count, before.feedforward, after.feedforward),
        ("Weights, the token table's among them", count, before.parameters, after.parameters),
        ("Multiply-adds of the encoder for one text", _millions, before.multiply_adds, after.multiply_adds),
        ("Time for one text, dynamic int8 file", milliseconds, pruning.latency_ms_before, time),
        ("Size of the dynamic int8 file", file_size, pruning.bytes_before, size),
    )
    rows = (_row(name, write, was, None, now) for name, write, was, now in told)
    return tuple(Row(row.name, (row.figures[0], *row.figures[2:])) for row in rows)


def _row(name: str, write: Callable[[Any], str], before: Any, expected: Any, measured: Any) -> Row:
    told = tuple(MISSING if value is None else write(value) for value in (before, expected, measured))
    return Row(name, (*told, percent(measured / before, decimals=0) if measured is not None and before else MISSING))


def _millions(number: int) -> str:
    return f"{number / 1e6:.1f} M"
