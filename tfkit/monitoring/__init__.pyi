from .choosing import choose_to_label
from .comparison import Change, Comparison, Drift, Histogram, Shift, compare
from .profile import Profile, read_profile, words_of
from .stream import ChangePoint, change_points

__all__ = [
    "Change",
    "ChangePoint",
    "Comparison",
    "Drift",
    "Histogram",
    "Profile",
    "Shift",
    "change_points",
    "choose_to_label",
    "compare",
    "read_profile",
    "words_of",
]
