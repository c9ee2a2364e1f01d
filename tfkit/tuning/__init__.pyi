from .result import SweepResult, Tried
from .sweep import tune, tune_recipe
from .table import trial_table

__all__ = ["SweepResult", "Tried", "trial_table", "tune", "tune_recipe"]
