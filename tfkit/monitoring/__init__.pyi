from .choosing import choose_to_label
from .comparison import Change, Comparison, Drift, Histogram, Shift, compare
from .profile import Profile, read_profile, words_of

__all__ = [
    "Change",
    "Comparison",
    "Drift",
    "Histogram",
    "Profile",
    "Shift",
    "choose_to_label",
    "compare",
    "read_profile",
    "words_of",
]
