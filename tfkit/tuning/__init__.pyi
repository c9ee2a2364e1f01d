from .result import SweepResult, Tried
from .sweep import study_folder, tune, tune_recipe

__all__ = ["SweepResult", "Tried", "study_folder", "tune", "tune_recipe"]
