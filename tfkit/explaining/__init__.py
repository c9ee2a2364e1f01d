"""Why a model answered as it did."""

from tfkit.explaining.integrated_gradients import Integral, integrate_gradients
from tfkit.explaining.kept_models import OpenedExplainer, open_explainer
from tfkit.explaining.text_explainer import Explanation, TextExplainer, WordShare
from tfkit.explaining.words import Word, words_of

__all__ = [
    "Explanation",
    "Integral",
    "OpenedExplainer",
    "TextExplainer",
    "Word",
    "WordShare",
    "integrate_gradients",
    "open_explainer",
    "words_of",
]
