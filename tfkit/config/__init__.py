"""What a recipe may say: its sections, the YAML loader and `key=value` overrides."""

from tfkit.config.compression_sections import DistillationSection, PruningSection, QuantizationSection
from tfkit.config.data_sections import AugmentationSection, DataSection, ModelSection, RunSection
from tfkit.config.loader import dump_recipe, load_recipe
from tfkit.config.sections import EXPORT_FORMATS, AcceptanceSection, ExportSection, RecipeConfig
from tfkit.config.training_sections import FineTuneSection, HeadSection

__all__ = [
    "EXPORT_FORMATS",
    "AcceptanceSection",
    "AugmentationSection",
    "DataSection",
    "DistillationSection",
    "ExportSection",
    "FineTuneSection",
    "HeadSection",
    "ModelSection",
    "PruningSection",
    "QuantizationSection",
    "RecipeConfig",
    "RunSection",
    "dump_recipe",
    "load_recipe",
]
