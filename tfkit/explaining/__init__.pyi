from .pictures import Faithfulness, blur, faithfulness, grad_cam, integrated_gradients, occlusion
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
    "Faithfulness",
    "Integral",
    "OpenedExplainer",
    "TextExplainer",
    "Word",
    "WordShare",
    "blur",
    "faithfulness",
    "grad_cam",
    "integrate_gradients",
    "integrated_gradients",
    "occlusion",
    "open_explainer",
    "words_of",
]
