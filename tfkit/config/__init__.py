"""What a recipe may say: its sections, the YAML loader and `key=value` overrides."""

from tfkit.config.compression_sections import DistillationSection, PruningSection, QuantizationSection
from tfkit.config.data_sections import AugmentationSection, DataSection, EarlierSection, ModelSection, RunSection
from tfkit.config.embedding_sections import EmbeddingRecipeConfig
from tfkit.config.loader import AnyRecipe, TrainedRecipe, UnlabelledRecipe, dump_recipe, load_recipe
from tfkit.config.recommend_sections import RecommendRecipeConfig
from tfkit.config.reply_sections import ReplyRecipeConfig
from tfkit.config.sections import AcceptanceSection, ExportSection, RecipeConfig
from tfkit.config.shipped import (
    RecipeScript,
    ShippedRecipe,
    copy_shipped,
    find_recipe,
    find_script,
    shipped_recipe,
    shipped_recipes,
    shipped_scripts,
)
from tfkit.config.study import Choices, Range, TunedRecipe, load_tuned_recipe
from tfkit.config.task_section import AnyTaskSection, ImageTaskSection, TaskSection
from tfkit.config.text_sections import (
    TextAugmentationSection,
    TextDataSection,
    TextDistillationSection,
    TextFineTuneSection,
    TextModelSection,
    TextPruningSection,
    TextQuantizationSection,
    TextRecipeConfig,
)
from tfkit.config.training_sections import FineTuneSection, HeadSection
from tfkit.config.tune_section import TuneSection

__all__ = [
    "AcceptanceSection",
    "AnyRecipe",
    "AnyTaskSection",
    "AugmentationSection",
    "Choices",
    "DataSection",
    "DistillationSection",
    "EarlierSection",
    "EmbeddingRecipeConfig",
    "ExportSection",
    "FineTuneSection",
    "HeadSection",
    "ImageTaskSection",
    "ModelSection",
    "PruningSection",
    "QuantizationSection",
    "Range",
    "RecipeConfig",
    "RecipeScript",
    "RecommendRecipeConfig",
    "ReplyRecipeConfig",
    "RunSection",
    "ShippedRecipe",
    "TaskSection",
    "TextAugmentationSection",
    "TextDataSection",
    "TextDistillationSection",
    "TextFineTuneSection",
    "TextModelSection",
    "TextPruningSection",
    "TextQuantizationSection",
    "TextRecipeConfig",
    "TrainedRecipe",
    "TuneSection",
    "TunedRecipe",
    "UnlabelledRecipe",
    "copy_shipped",
    "dump_recipe",
    "find_recipe",
    "find_script",
    "load_recipe",
    "load_tuned_recipe",
    "shipped_recipe",
    "shipped_recipes",
    "shipped_scripts",
]
