"""The names of what makes heat maps of any model, and what each needs; nothing is loaded for them."""

from importlib.util import find_spec
from typing import Literal

from tfkit.errors import ConfigError

HeatMapMethod = Literal["occlusion", "shap", "lime"]


def refuse_missing_method(method: str, *, asked: str) -> None:
    """Tell before anything is computed that a method's library is not installed.

    Args:
        method: How heat maps are made.
        asked: What asks for it: a recipe's key or an option.

    Raises:
        ConfigError: When it is shap or lime, and that is missing.
    """
    if method in ("shap", "lime") and find_spec(method) is None:
        raise ConfigError(f"{asked} {method} needs {method}", hint="pip install 'tfkit[explain]'")
