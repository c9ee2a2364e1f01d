"""How `tfkit verify` shows its figures: one file in full, several as a table."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfkit.terminal.display import Display


def show_results(
    display: "Display", results: list[Any], examples: Any, keras_accuracy: float | None, *, judged: bool
) -> None:
    """Show what was measured: one file in full, several as a table.

    Args:
        display: Where.
        results: One `tfkit.reports.ArtifactResult` a file.
        examples: The labelled images or texts; None without them.
        keras_accuracy: The accuracy of the reference, a fraction; None without one.
        judged: Whether a limit was given to judge by.
    """
    judged = judged or any(result.refusals for result in results)
    if len(results) == 1:
        _show_file(display, results[0], examples, keras_accuracy, judged=judged)
    else:
        _show_table(display, results, examples, keras_accuracy, judged=judged)
    for result in results:
        for refusal in result.refusals:
            display.note(f"refused: {refusal}")
        for fault in result.portability_faults if not result.refusals else ():
            display.note(f"mind: {result.file}: {fault}; ask whoever made it for a file of the stock converter")


def _show_file(display: "Display", result: Any, examples: Any, keras_accuracy: float | None, *, judged: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, text in [*_what_it_is(result), *_how_good_it_is(result, examples, keras_accuracy)]:
        grid.add_row(name, Text(text))
    if judged:
        grid.add_row("verdict", _verdict(result))
    display.table(grid)


def _what_it_is(result: Any) -> list[tuple[str, str]]:
    """Tensors, operators and speed of one file."""
    from tfkit.reports.quantities import counted, file_size, milliseconds

    rows = [("file", f"{result.label}, {file_size(result.bytes)}")]
    for kind, tensors in (("input", result.signature.inputs), ("output", result.signature.outputs)):
        rows += [(kind, _tensor(tensor)) for tensor in tensors]
    if result.operators:
        ordered = sorted(result.operators.items(), key=lambda item: (-item[1], item[0]))
        rows.append(("operators", ", ".join(f"{name} {count}" for name, count in ordered)))
        rows.append(("float operators", f"{result.float_ops} of {sum(result.operators.values())}"))
    if result.min_runtime is not None:
        rows.append(("runtime", f"TensorFlow Lite {result.min_runtime} or later"))
    if result.npu is not None:
        total = result.npu.npu_operators + result.npu.cpu_operators
        time = (
            "" if result.npu.estimated_ms is None else f", {milliseconds(result.npu.estimated_ms)} by Vela's estimate"
        )
        rows.append(("npu", f"{result.npu.npu_operators} of {total} operators on {result.npu.accelerator}{time}"))
    if result.latency_ms_p50 is not None:
        threads = counted(result.latency_threads, "thread") if result.latency_threads else "own threads"
        times = f"p50 {milliseconds(result.latency_ms_p50)}, p95 {milliseconds(result.latency_ms_p95)}"
        rows.append(("latency", f"{times} ({threads}, {result.latency_runs} runs; {result.latency_measures})"))
    return rows


def _how_good_it_is(result: Any, examples: Any, keras_accuracy: float | None) -> list[tuple[str, str]]:
    """Accuracy and agreement of one file; nothing without labelled images."""
    from tfkit.reports.quantities import percent, small_difference

    if examples is None:
        return []
    keras = f"; the Keras reference has {_told(examples, keras_accuracy)}" if keras_accuracy is not None else ""
    metric = next(iter(result.figures), "accuracy")
    rows = [(metric, f"{_told(examples, result.quality)} of {len(examples)} {_noun(examples)}{keras}")]
    if result.quality is None:
        rows = [("accuracy", "not known: the data has one label each, and the file gives several")]
    if result.agreement is not None:
        largest, mean = small_difference(result.max_difference), small_difference(result.mean_difference)
        same = f"{percent(result.agreement, decimals=2)} of the answers are those of the reference"
        rows.append(("agreement", f"{same}; scores differ by {mean} on average, {largest} at most"))
    return rows


def _told(examples: Any, value: float | None) -> str:
    """A deciding figure: a share in per cent, R2 as it is."""
    from tfkit.reports.quantities import percent
    from tfkit.tasks import task_of

    if value is None or task_of(examples.labels).is_share:
        return percent(value, decimals=2)
    return f"{value:.4f}"


def _noun(examples: Any) -> str:
    return "texts" if hasattr(examples, "texts") else "images"


def _verdict(result: Any) -> Any:
    from rich.text import Text

    if result.refusals:
        return Text("refused", style="bold red")
    if result.quality is None:
        return Text("within the limits; no labels compared")
    return Text("accepted", style="green")


def _tensor(tensor: Any) -> str:
    shape = ", ".join("any" if size is None else str(size) for size in tensor.shape)
    scale = f", scale {tensor.scale:.6g}, zero point {tensor.zero_point}" if tensor.scale else ""
    return f"{tensor.name}: {tensor.dtype} [{shape}]{scale}"


def _show_table(
    display: "Display", results: list[Any], examples: Any, keras_accuracy: float | None, *, judged: bool
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from tfkit.reports.quantities import file_size, milliseconds, percent

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False)
    table.add_column("file", overflow="fold")
    metric = next((name for result in results for name in result.figures), "accuracy")
    for heading in ("size", metric, "agreement", "p50"):
        table.add_column(heading, justify="right", no_wrap=True)
    if judged:
        table.add_column("verdict", no_wrap=True)
    if keras_accuracy is not None:
        table.add_row("Keras reference", "", _told(examples, keras_accuracy), end_section=True)
    for result in results:
        told = percent(None) if examples is None else _told(examples, result.quality)
        shares = (told, percent(result.agreement, decimals=2))
        times = milliseconds(result.latency_ms_p50)
        table.add_row(
            Text(result.file), file_size(result.bytes), *shares, times, *([_verdict(result)] if judged else [])
        )
    display.table(table)
    if examples is not None:
        display.note(f"measured on {len(examples)} {_noun(examples)}; --json tells every figure")
