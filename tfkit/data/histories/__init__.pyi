from .catalogue import NOTHING, Catalogue, read_catalogue
from .examples import UserExamples
from .loading import HistorySource, load_history_examples, load_history_splits

__all__ = [
    "NOTHING",
    "Catalogue",
    "HistorySource",
    "UserExamples",
    "load_history_examples",
    "load_history_splits",
    "read_catalogue",
]
