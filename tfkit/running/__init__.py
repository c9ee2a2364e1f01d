"""Plan, check and run a recipe: what `tfkit.run` and `tfkit.check` do, and what recipe scripts are made of."""

from tfkit.running.display import Display, SilentDisplay
from tfkit.running.recipe import check, run, run_config

__all__ = ["Display", "SilentDisplay", "check", "run", "run_config"]
