from .integrated_gradients import Integral, integrate_gradients
from .kept_models import OpenedExplainer, open_explainer
from .text_explainer import Explanation, TextExplainer, WordShare
from .words import Word, words_of

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
