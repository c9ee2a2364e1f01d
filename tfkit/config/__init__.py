"""What a recipe may say: its sections, the YAML loader and `key=value` overrides."""

from tfkit.config.loader import dump_recipe, load_recipe
from tfkit.config.sections import (
    EXPORT_FORMATS,
    AcceptanceSection,
    AugmentationSection,
    DataSection,
    ExportSection,
    FineTuneSection,
    HeadSection,
    ModelSection,
    RecipeConfig,
    RunSection,
)

__all__ = [
    "EXPORT_FORMATS",
    "AcceptanceSection",
    "AugmentationSection",
    "DataSection",
    "ExportSection",
    "FineTuneSection",
    "HeadSection",
    "ModelSection",
    "RecipeConfig",
    "RunSection",
    "dump_recipe",
    "load_recipe",
]
