"""Rules between the keys of a recipe for texts."""

from pathlib import Path

import pytest

from tfkit.config import load_recipe
from tfkit.errors import ConfigError

RECIPE = """\
recipe: finetune_text
data: {source: built_in}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(RECIPE)
    return path


def test_keys_that_a_head_on_features_does_not_read_are_told_at_once(recipe: Path) -> None:
    words = ["method=head", "layer_decay=0.9", "adversarial=1.0", "r_drop=0.5", "average_runs=3"]
    with pytest.raises(ConfigError) as told:
        load_recipe(recipe, [f"fine_tune.{word}" for word in [*words, "precision=mixed_float16"]])
    for key in ("layer_decay", "adversarial", "r_drop", "average_runs", "precision"):
        assert f"fine_tune.{key} does nothing with method head" in str(told.value)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("layer_decay=1.5", "a number in (0, 1], or null"),
        ("adversarial=0", "a number above 0, or null"),
        ("r_drop=-1.0", "a number above 0, or null"),
        ("average_runs=0", "a whole number of 1 or more"),
        ("batch_norm=train", "not a known key"),
    ],
)
def test_values_out_of_range_are_told(recipe: Path, word: str, expected: str) -> None:
    with pytest.raises(ConfigError) as told:
        load_recipe(recipe, [f"fine_tune.{word}"])
    assert expected in str(told.value)


def test_what_is_asked_for_reaches_the_training(recipe: Path) -> None:
    section = load_recipe(recipe, ["fine_tune={layer_decay: 0.8, r_drop: 1.0, average_runs: 3}"]).fine_tune
    assert section.objective_options() == {"layer_decay": 0.8, "adversarial": None, "r_drop": 1.0}
    assert section.learning_options()["average_runs"] == 3
