"""The coverage tables of `tfkit check`: what compression will do with each layer."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfkit.cli.display import Display
    from tfkit.compression import CompressionCoverage

_MOST_NAMES = 6


def show_coverage(display: "Display", coverage: "CompressionCoverage") -> None:
    """Show what quantisation and pruning will do, layers that are treated alike in one row.

    Args:
        display: The terminal.
        coverage: What was found out before training.
    """
    if coverage.quantization:
        display.table(_quantization_table(coverage))
    if coverage.pruning is not None:
        display.table(_pruning_table(coverage.pruning))
    if coverage.channels is not None:
        display.table(_channel_table(coverage.channels))


def _quantization_table(coverage: "CompressionCoverage") -> Any:
    from tfkit.compression import grouped_coverage

    table = _table("in the file", "layers", "why", "kinds")
    for group in grouped_coverage(coverage.quantization):
        style = "bold" if group.precision == "float32" else ""
        precision = "not there" if group.precision == "-" else group.precision
        table.add_row(precision, str(group.layers), group.reason, _listed(group.kinds), style=style)
    return table


def _pruning_table(coverage: Any) -> Any:
    table = _table("pruning", "layers", "weights", "which")
    reasons: dict[str, list[Any]] = {}
    for row in coverage.layers:
        reasons.setdefault("pruned" if row.pruned else f"dense: {row.reason}", []).append(row)
    for reason, rows in reasons.items():
        weights = sum(row.weights for row in rows)
        table.add_row(reason, str(len(rows)), f"{weights:,}", _listed([row.layer for row in rows]))
    return table


def _channel_table(plan: Any) -> Any:
    table = _table("channels", "groups", "before", "which")
    kinds: dict[str, list[Any]] = {}
    for group in plan.groups:
        narrower = len(group.kept) < group.width
        kinds.setdefault("narrower" if narrower else f"whole: {group.pinned or 'narrow enough'}", []).append(group)
    for kind, groups in kinds.items():
        before = sum(group.width for group in groups)
        table.add_row(kind, str(len(groups)), f"{before:,}", _listed([group.name for group in groups]))
    return table


def _table(first: str, second: str, third: str, fourth: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False)
    table.add_column(first)
    table.add_column(second, justify="right")
    table.add_column(third, justify="left" if third == "why" else "right")
    table.add_column(fourth, style="dim")
    return table


def _listed(names: Any) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
