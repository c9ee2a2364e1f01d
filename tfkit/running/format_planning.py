"""Whether the runtime that a recipe names reads its files, before anything is trained."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfkit.artifacts import InputSpec
    from tfkit.config import EmbeddingRecipeConfig, RecipeConfig, TextRecipeConfig
    from tfkit.running.display import Display


def plan_formats(
    config: "RecipeConfig | TextRecipeConfig | EmbeddingRecipeConfig",
    model: Any,
    spec: "InputSpec",
    display: "Display",
) -> None:
    """Refuse a recipe whose formats `acceptance.min_runtime` cannot read; without it, do nothing.

    Args:
        config: The recipe.
        model: Its model, not trained yet.
        spec: The images or texts it takes.
        display: Where to show it.

    Raises:
        ExportError: Names the formats and their operators.
    """
    oldest = config.acceptance.min_runtime
    if oldest is None or config.export is None:
        return
    from tfkit.exporters.oldest_runtime import refuse_newer_formats

    with display.stage(f"Files for TensorFlow Lite {oldest}") as stage:
        refuse_newer_formats(model, config.export.formats, spec=spec, oldest=oldest)
        stage.result("it reads every format asked for")
