"""A recipe from Python: run it, or check it, as `tfkit run` and `tfkit check` do."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkit.config import AnyRecipe, find_recipe, find_script, load_recipe
from tfkit.running.display import Display, SilentDisplay

if TYPE_CHECKING:
    from tfkit.reports import RunReport
    from tfkit.running.checking import RecipeCheck


def run(
    recipe: str | Path, /, *, script: Path | None = None, display: Display | None = None, **changes: Any
) -> "RunReport":
    """Run a recipe: train, compress, export, prove and report.

    Args:
        recipe: A shipped recipe's name, or a YAML file.
        script: A recipe script of your own, instead of the one that the recipe names.
        display: Where progress is shown; nowhere when None.
        **changes: Other values for keys: `head={"epochs": 3}`, or `**{"head.epochs": 3}`; `export=None` drops
            a section.

    Returns:
        The run's report as a value; the same stands in the run's folder as `report.html` and `report.json`.

    Raises:
        ConfigError: When the recipe says anything unknown or impossible; tells all faults.
        TfkitError: Another of its kinds for whatever stops the run.

    Example:
        >>> report = tfkit.run("digits", run={"directory": "runs"}, head={"epochs": 3})  # doctest: +SKIP
        >>> report.accepted, [file.file for file in report.artifacts]  # doctest: +SKIP
        (True, ['artifacts/saved_model/1', 'artifacts/model_float32.tflite', 'artifacts/model_int8.tflite'])
    """
    return run_config(load_recipe(find_recipe(str(recipe)), as_overrides(changes), script=script), display)


def run_config(config: AnyRecipe, display: Display | None = None) -> "RunReport":
    """Run a recipe that has been read already; see `run`."""
    report: RunReport = find_script(config.recipe).load().run(config, display or SilentDisplay())
    return report


def check(
    recipe: str | Path, /, *, script: Path | None = None, display: Display | None = None, **changes: Any
) -> "RecipeCheck":
    """Check a recipe, its data and its compression, before anything is trained; nothing is written.

    Args:
        recipe: As for `run`; so are the others.
        script: A recipe script of your own.
        display: Where progress is shown.
        **changes: Other values for keys.

    Returns:
        What was found: the data, the layer plan, and what would run.

    Raises:
        TfkitError: For everything that a run would refuse, as far as it can be known before training.

    Example:
        >>> tfkit.check("digits").examples  # doctest: +SKIP
        {'train': 1294, 'validation': 143, 'test': 360}
    """
    from tfkit.running.checking import check_config

    config = load_recipe(find_recipe(str(recipe)), as_overrides(changes), script=script)
    return check_config(config, display or SilentDisplay())


def as_overrides(changes: Mapping[str, Any], within: str = "") -> list[str]:
    """Changes of a recipe as the command line says them.

    Args:
        changes: By section, `{"head": {"epochs": 3}}`, or by key, `{"head.epochs": 3}`.
        within: The section that they are of, with its dot; for this function itself.

    Example:
        >>> as_overrides({"head": {"epochs": 3}})
        ['head.epochs=3']
    """
    said = []
    for name, value in changes.items():
        if isinstance(value, Mapping) and not within:
            said += as_overrides(value, f"{name}.")
        else:
            said.append(f"{within}{name}={json.dumps(value, default=str)}")
    return said
