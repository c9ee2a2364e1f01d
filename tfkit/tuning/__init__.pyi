from .result import SweepResult, Tried
from .sweep import tune, tune_recipe

__all__ = ["SweepResult", "Tried", "tune", "tune_recipe"]
