from .alarms import Alarm, Watch
from .choosing import choose_to_label
from .comparison import Change, Comparison, Drift, Histogram, Shift, compare
from .feed import Feed, Fields, Line, parsed
from .monitored import Monitored
from .profile import Profile, read_profile, words_of
from .stream import ChangePoint, change_points
from .windows import Tally, Window

__all__ = [
    "Alarm",
    "Change",
    "ChangePoint",
    "Comparison",
    "Drift",
    "Feed",
    "Fields",
    "Histogram",
    "Line",
    "Monitored",
    "Profile",
    "Shift",
    "Tally",
    "Watch",
    "Window",
    "change_points",
    "choose_to_label",
    "compare",
    "parsed",
    "read_profile",
    "words_of",
]
