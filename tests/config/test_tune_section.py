"""What a recipe may say about a sweep: every fault is told, at once and with its line, before anything is trained."""

from pathlib import Path

import pytest

from tfkit.config import Choices, Range, dump_recipe, load_recipe, load_tuned_recipe
from tfkit.errors import ConfigError

RECIPE = """\
recipe: finetune_image
data: {source: digits}
head: {epochs: 4}
tune:
  trials: 6
  space:
"""


def written(folder: Path, *space: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(RECIPE + "".join(f"    {line}\n" for line in space))
    return path


def faults(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as told:
        load_tuned_recipe(path, overrides)
    return str(told.value)


def test_lists_and_ranges_are_read(tmp_path: Path) -> None:
    tuned = load_tuned_recipe(
        written(
            tmp_path,
            "head.learning_rate: {low: 1e-4, high: 1e-2, log: true}",
            "head.epochs: {low: 2, high: 10, step: 4}",
            "model.dropout: {low: 0, high: 0.5}",
            "fine_tune.epochs: [1, 2]",
            "augmentation.policy: [none, light]",
            "data.image_size: [32, [32, 48]]",
        ),
        ["fine_tune.unfreeze=all"],
    )
    assert tuned.tune.trials == 6
    assert tuned.space["head.learning_rate"] == Range(1e-4, 1e-2, log=True)
    assert tuned.space["head.epochs"] == Range(2, 10, step=4, whole=True)
    assert tuned.space["model.dropout"] == Range(0, 0.5), "a key of fractions takes all between two whole numbers"
    assert tuned.space["augmentation.policy"] == Choices(("none", "light"))
    assert tuned.own("head.epochs") == 4 and tuned.own("augmentation.policy") == "none"
    tried = tuned.at({"head.epochs": 10, "data.image_size": [32, 48]})
    assert tried.head.epochs == 10 and tried.data.image_height_width == (32, 48)
    assert tried.tune is None and tried.run.name == "mine"


def test_a_range_knows_its_numbers() -> None:
    steps = Range(2, 10, step=4, whole=True)
    assert [value for value in (2, 4, 6, 10, 14) if steps.has(value)] == [2, 6, 10]
    assert not steps.has(6.0) and not steps.has(True) and not steps.has("6")
    assert Range(0.1, 0.5).has(0.3) and not Range(0.1, 0.5).has(0.6)
    assert Choices((True, "auto")).has(True) and not Choices((True, "auto")).has(1)


def test_all_faults_of_a_space_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    told = faults(
        written(
            tmp_path,
            "head.epoch: [1, 2]",
            "heads.epochs: [1, 2]",
            "head.epochs: [0, 3]",
            "model.dropout: {low: 0.2, high: 1.5}",
            "head.learning_rate: {low: 0, high: 0.1, log: true}",
            "pruning.sparsity: [0.3, 0.5]",
            "data.validation_fraction: [0.1, 0.2]",
            "run.seed: [1, 2]",
            "head.optimizer: [adam]",
            "head.weight_decay: {low: 0.1, high: 0.01, setp: 3}",
            "augmentation.flip: maybe",
        )
    )
    for line, fault in (
        (7, "head.epoch is not a known key; did you mean epochs?"),
        (8, "heads is not a section; did you mean head?"),
        (9, "head.epochs must be a whole number of 1 or more; got 0"),
        (10, "model.dropout must be a number in [0, 1); got 1.5"),
        (11, "low is above 0, as log is true; got 0"),
        (12, "the recipe has no section pruning:"),
        (13, "data.validation_fraction cannot be tried: trials are compared on the same examples"),
        (14, "run.seed cannot be tried"),
        (15, "head.optimizer must have two or more values, all different"),
        (16, "low is below its high; got 0.1 and 0.01"),
        (16, "a range of low, high, log and step; got setp"),
        (17, "augmentation.flip must be a list, or {low, high, log, step}; got 'maybe'"),
    ):
        assert any(fault in row and row.endswith(f"(mine.yaml:{line})") for row in told.splitlines()), (fault, told)


def test_rules_between_keys_hold_for_what_is_tried(tmp_path: Path) -> None:
    path = written(tmp_path, "quantization.weight_bits: [8, 4]")
    assert "weight_bits 4 cannot go with" in faults(path, "quantization.activation_bits=16")
    assert load_tuned_recipe(path, ["quantization.activation_bits=8"]).at({"quantization.weight_bits": 4})


def test_a_whole_range_steps_in_whole_numbers(tmp_path: Path) -> None:
    assert "its step must be one; got 0.5" in faults(written(tmp_path, "head.epochs: {low: 1, high: 5, step: 0.5}"))


def test_keys_are_tried_from_the_command_line_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(RECIPE[: RECIPE.index("tune:")])
    tuned = load_tuned_recipe(path, ["tune.space.head.epochs=[5,10]", "tune.trials=3"])
    assert tuned.space == {"head.epochs": Choices((5, 10))} and tuned.tune.trials == 3
    assert "does not say what to try" in faults(path)
    assert faults(path, "tune.space.head.epochs=[0,1]").endswith("(command line)")


def test_a_run_does_not_read_the_section(tmp_path: Path) -> None:
    path = written(tmp_path, "head.epochs: [0, 3]")  # refused by a sweep, and nobody else's business
    assert "\ntune:" not in dump_recipe(load_recipe(path))
    with pytest.raises(ConfigError, match=r"tune\.trails is not a known key"):
        load_recipe(path, ["tune.trails=3"])
