"""What a watched stream of texts has told, as one value: the command, its page and its metrics read it."""

from dataclasses import dataclass, field

from tfkit.monitoring.alarms import Alarm
from tfkit.monitoring.windows import Tally


@dataclass
class Monitored:
    """What a stream has told so far.

    Attributes:
        run: The name of the run whose answers are topics.
        cross: That of the run whose answers are moods; empty for none.
        topics: All topics there can be.
        moods: All moods there can be; one empty mood without a second run.
        tally: What was counted.
        alarms: The last thousand, oldest first.
        raised: Those of this call.
        bad: Lines that could not be used.
        faults: What was wrong with the first of them, in this call.
        waiting: Alarms that nobody has taken yet.
        undelivered: Why, in words; empty when all were taken.
    """

    run: str
    cross: str
    topics: tuple[str, ...]
    moods: tuple[str, ...]
    tally: Tally
    alarms: list[Alarm] = field(default_factory=list)
    raised: list[Alarm] = field(default_factory=list)
    bad: int = 0
    faults: list[str] = field(default_factory=list)
    waiting: list[Alarm] = field(default_factory=list)
    undelivered: str = ""
