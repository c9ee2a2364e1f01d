"""The section about a sweep: which keys are tried with which values, how often, and where it is kept."""

from pydantic import JsonValue

from tfkit.config.keys import COUNT, FLAG, POSITIVE, Count, Positive, Text, key
from tfkit.config.training_sections import Section


class TuneSection(Section):
    """`tune:` - what `tfkit tune` tries; `tfkit run` does not read it.

    Example:
        >>> TuneSection(space={"head.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}).trials
        20
    """

    space: dict[str, JsonValue] = key(
        "a mapping from keys such as head.learning_rate to [values] or {low, high, log, step}",
        "What is tried: for each `section.key` a list of values, or the ends of a range, with `log` or `step`.",
        {},
    )
    trials: Count = key(COUNT, "Trainings in all; the first one is the recipe as it is.", 20)
    max_minutes: Positive | None = key(
        POSITIVE + ", or null", "No trial is begun later than this after the command.", None
    )
    metric: Text | None = key(
        "the name of the task's deciding figure, or null",
        "The figure of the validation split that decides: the task's own (accuracy, f1, r2), and no other.",
        None,
    )
    seed: int = key(
        "a whole number in [0, 4294967295]", "Seed of the proposals; trainings have run.seed.", 0, ge=0, lt=2**32
    )
    prune: bool = key(FLAG, "Stop a trial that is worse than the median of the others at the same epoch.", True)
    storage: Text | None = key(
        "null, 'journal' or the address of a database",
        "Where trials are kept: null is a SQLite file in the study's folder, `journal` a file for network disks, an "
        "address such as postgresql://... is shared by many machines.",
        None,
    )
