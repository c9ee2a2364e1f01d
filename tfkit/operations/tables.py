"""Latencies, a queue of examples to label and the ancestry of a file, as a terminal or a notebook draws them."""

from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from tfkit.errors import printable
from tfkit.operations.ancestry import Ancestry
from tfkit.operations.queueing import LabelQueue
from tfkit.operations.timing import Timed
from tfkit.reports.quantities import counted, file_size, milliseconds
from tfkit.terminal import plain_table

_STATES = {
    "same": "here, the same bytes",
    "changed": "here, with OTHER bytes than went in",
    "missing": "not here",
    "named": "a name, no file",
}
_SHOWN = 12  # characters of a digest


def timed_table(timed: Timed) -> Table:
    """Draw latencies, a file in a row.

    Args:
        timed: What `tfkit.operations.time_model` gave.
    """
    table = plain_table(["file", "kind"], ["size", "p50", "p95", "mean", "runs"])
    for file in timed.files:
        latency = file.latency
        times = map(milliseconds, (latency.latency_ms_p50, latency.latency_ms_p95, latency.latency_ms_mean))
        table.add_row(Text(str(file.file)), file.kind, file_size(file.bytes), *times, str(latency.runs))
    return table


def timed_notes(timed: Timed) -> list[str]:
    """What was timed, and on what machine, in sentences."""
    notes = []
    for measures, threads in dict.fromkeys((file.latency.measures, file.latency.threads) for file in timed.files):
        used = counted(threads, "thread") if threads else "the runtime's own threads"
        notes.append(f"measured: {measures}; {used}")
    host = timed.host
    machine = f"{host.processor}, {counted(host.cores, 'core')}, {host.memory_gib:.0f} GiB, {host.operating_system}"
    return [*notes, f"on {machine}"]


def queue_table(queue: LabelQueue, *, most: int = 10) -> Table:
    """Draw the first examples of a queue, the most doubtful at the top.

    Args:
        queue: What `tfkit.label_queue` gave.
        most: How many of them.
    """
    table = plain_table([queue.columns[0], "suggested"], ["confidence"])
    for row in queue.rows[:most]:
        sure = "" if row.confidence is None else f"{row.confidence:.2f}"
        table.add_row(Text(printable(row.name)), Text(printable(row.suggested)), sure)
    return table


def ancestry_tree(found: Ancestry, *, title: str) -> Tree:
    """Draw where a file comes from: its recipe and data, and each model that went in with its own.

    Args:
        found: What `tfkit.operations.trace` gave.
        title: What stands at the root: the file's name.
    """
    tree = Tree(_line(title, ""))
    _grow(tree, found)
    return tree


def _grow(tree: Tree, found: Ancestry) -> None:
    said = found.lineage
    if said.run is not None:
        tree.add(_line("run", said.run))
    if said.recipe_sha256 is not None:
        tree.add(_line("recipe", f"sha256 {said.recipe_sha256[:_SHOWN]}"))
    if said.data_sha256:
        counts = ", ".join(f"{count} {name}" for name, count in said.examples.items())
        tree.add(_line("data", f"sha256 {said.data_sha256[:_SHOWN]}: {counts}"))
    if said.figures:
        tree.add(_line("Keras model", ", ".join(f"{name} {value:.4g}" for name, value in said.figures.items())))
    tree.add(_line("made by", ", ".join(f"{name} {version}" for name, version in said.versions.items())))
    for one in found.ancestors:
        digest = "" if one.parent.sha256 is None else f"sha256 {one.parent.sha256[:_SHOWN]}, "
        branch = tree.add(_line(one.parent.role, f"{one.parent.name} ({digest}{_STATES[one.state]})"))
        if one.ancestry is not None:
            _grow(branch, one.ancestry)


def _line(name: str, told: str) -> Text:
    return Text.assemble((name, "bold"), f"  {printable(told)}" if told else "")
