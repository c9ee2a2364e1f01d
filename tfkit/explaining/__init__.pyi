from .text_explainer import (
    Explanation,
    Integral,
    OpenedExplainer,
    TextExplainer,
    WordShare,
    integrate_gradients,
    open_explainer,
)
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
