from .by_answers import heat_map, lime, shap_values
from .methods import HeatMapMethod, refuse_missing_method
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
    "HeatMapMethod",
    "Integral",
    "OpenedExplainer",
    "TextExplainer",
    "Word",
    "WordShare",
    "blur",
    "faithfulness",
    "grad_cam",
    "heat_map",
    "integrate_gradients",
    "integrated_gradients",
    "lime",
    "occlusion",
    "open_explainer",
    "refuse_missing_method",
    "shap_values",
    "words_of",
]
