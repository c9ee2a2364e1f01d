"""What `tfkit verify` found, as a table: one file in full, several beside each other."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from tfkit.artifacts import TensorSpec
from tfkit.operations.values import Verified
from tfkit.reports import ArtifactResult
from tfkit.reports.quantities import counted, file_size, milliseconds, percent, small_difference
from tfkit.tasks import task_of
from tfkit.terminal import plain_table


def verified_table(verified: Verified, *, judged: bool = False) -> Table:
    """Draw what was measured; a notebook shows it as it is.

    Args:
        verified: What `tfkit.verify` gave.
        judged: Whether limits were given: each file has a verdict then. One that was refused has it in any case.

    Returns:
        Of one file everything that is known of it, of several a row each.

    Example:
        >>> verified_table(tfkit.verify("runs/digits", data="photos/test"))  # doctest: +SKIP
    """
    judged = judged or not verified.accepted
    return _in_full(verified, judged=judged) if len(verified.files) == 1 else _in_rows(verified, judged=judged)


def verified_notes(verified: Verified) -> list[str]:
    """What is to be said below the table: why files are refused, and what to mind of those that are not."""
    notes = []
    if verified.examples is not None and len(verified.files) > 1:
        notes.append(f"measured on {len(verified.examples)} {_noun(verified)}; --json tells every figure")
    for result in verified.files:
        notes += [f"refused: {refusal}" for refusal in result.refusals]
        for fault in result.portability_faults if not result.refusals else ():
            notes.append(f"mind: {result.file}: {fault}; ask whoever made it for a file of the stock converter")
    return notes


def _in_rows(verified: Verified, *, judged: bool) -> Table:
    table = plain_table(["file"], ["size", verified.metric, "agreement", "p50"], ["verdict"] if judged else [])
    if verified.reference is not None:
        table.add_row("Keras reference", "", _told(verified, verified.reference), end_section=True)
    for result in verified.files:
        told = percent(None) if verified.examples is None else _told(verified, result.quality)
        figures = (file_size(result.bytes), told, percent(result.agreement, decimals=2))
        verdict = [_verdict(result)] if judged else []
        table.add_row(Text(result.file), *figures, milliseconds(result.latency_ms_p50), *verdict)
    return table


def _in_full(verified: Verified, *, judged: bool) -> Table:
    result = verified.files[0]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, text in (*_what_it_is(result), *_how_good_it_is(verified)):
        grid.add_row(name, Text(text))
    if judged:
        grid.add_row("verdict", _verdict(result))
    return grid


def _what_it_is(result: ArtifactResult) -> Iterator[tuple[str, str]]:
    """Tensors, operators and speed of one file."""
    yield "file", f"{result.label}, {file_size(result.bytes)}"
    for kind, tensors in (("input", result.signature.inputs), ("output", result.signature.outputs)):
        yield from ((kind, _tensor(tensor)) for tensor in tensors)
    if result.operators:
        ordered = sorted(result.operators.items(), key=lambda item: (-item[1], item[0]))
        yield "operators", ", ".join(f"{name} {count}" for name, count in ordered)
        yield "float operators", f"{result.float_ops} of {sum(result.operators.values())}"
    if result.min_runtime is not None:
        yield "runtime", f"TensorFlow Lite {result.min_runtime} or later"
    if (npu := result.npu) is not None:
        time = "" if npu.estimated_ms is None else f", {milliseconds(npu.estimated_ms)} by Vela's estimate"
        total = npu.npu_operators + npu.cpu_operators
        yield "npu", f"{npu.npu_operators} of {total} operators on {npu.accelerator}{time}"
    if result.latency_ms_p50 is not None:
        threads = counted(result.latency_threads, "thread") if result.latency_threads else "own threads"
        times = f"p50 {milliseconds(result.latency_ms_p50)}, p95 {milliseconds(result.latency_ms_p95)}"
        yield "latency", f"{times} ({threads}, {result.latency_runs} runs; {result.latency_measures})"


def _how_good_it_is(verified: Verified) -> Iterator[tuple[str, str]]:
    """Accuracy and agreement of one file; nothing without labelled images or texts."""
    result = verified.files[0]
    if verified.examples is None:
        return
    if result.quality is None:
        yield "accuracy", "not known: the data has one label each, and the file gives several"
    else:
        reference = verified.reference
        keras = "" if reference is None else f"; the Keras reference has {_told(verified, reference)}"
        told = f"{_told(verified, result.quality)} of {len(verified.examples)} {_noun(verified)}{keras}"
        yield next(iter(result.figures), "accuracy"), told
    if result.agreement is not None:
        largest, mean = small_difference(result.max_difference), small_difference(result.mean_difference)
        same = f"{percent(result.agreement, decimals=2)} of the answers are those of the reference"
        yield "agreement", f"{same}; scores differ by {mean} on average, {largest} at most"


def _told(verified: Verified, value: float | None) -> str:
    """A deciding figure: a share in per cent, R2 as it is."""
    if value is None or verified.examples is None or task_of(verified.examples.labels).is_share:
        return percent(value, decimals=2)
    return f"{value:.4f}"


def _noun(verified: Verified) -> str:
    return "texts" if hasattr(verified.examples, "texts") else "images"


def _verdict(result: ArtifactResult) -> Text:
    if result.refusals:
        return Text("refused", style="bold red")
    if result.quality is None:
        return Text("within the limits; no labels compared")
    return Text("accepted", style="green")


def _tensor(tensor: TensorSpec) -> str:
    shape = ", ".join("any" if size is None else str(size) for size in tensor.shape)
    scale = f", scale {tensor.scale:.6g}, zero point {tensor.zero_point}" if tensor.scale else ""
    return f"{tensor.name}: {tensor.dtype} [{shape}]{scale}"
