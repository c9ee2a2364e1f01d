from .comparison import Change, Comparison, Drift, Histogram, Shift, compare
from .profile import Profile, read_profile, words_of

__all__ = ["Change", "Comparison", "Drift", "Histogram", "Profile", "Shift", "compare", "read_profile", "words_of"]
