"""Whether the runtime that a recipe names reads its files, before anything is trained."""

import re
from typing import TYPE_CHECKING, Any

from tfkit.errors import ConfigError

if TYPE_CHECKING:
    from tfkit.artifacts import InputSpec
    from tfkit.cli.display import Display
    from tfkit.config import EmbeddingRecipeConfig, RecipeConfig, TextRecipeConfig


def runtime_version(value: str | None) -> str | None:
    """The value of `--min-runtime`, as it came.

    Raises:
        ConfigError: When it is no version.
    """
    if value is not None and not re.fullmatch(r"\d+(\.\d+){1,2}", value):
        raise ConfigError(f"--min-runtime must be a version of TensorFlow Lite such as 2.14; got '{value}'")
    return value


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
