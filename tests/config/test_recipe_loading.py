from pathlib import Path

import pytest

from tfkit.config import DataSection, HeadSection, RecipeConfig, TextRecipeConfig, dump_recipe, load_recipe

SMALL = "recipe: finetune_image\ndata: {source: digits}\nhead: {}\n"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_the_run_is_named_after_the_file(small: Path) -> None:
    assert load_recipe(small).run.name == "small"
    assert load_recipe(small, ["run.name=other"]).run.name == "other"


def test_a_missing_section_does_not_run(small: Path) -> None:
    config = load_recipe(small)
    assert config.head is not None
    assert (config.fine_tune, config.export) == (None, None)


def test_missing_limits_and_augmentation_have_defaults(small: Path) -> None:
    config = load_recipe(small)
    assert (config.augmentation.policy, config.acceptance.max_accuracy_drop) == ("none", 0.01)


def test_an_empty_section_runs_with_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text(SMALL + "fine_tune:\nexport:\n")
    config = load_recipe(path)
    assert config.fine_tune is not None and config.fine_tune.learning_rate == 1e-5
    assert config.export is not None


def test_overrides_change_add_and_drop_sections(small: Path) -> None:
    config = load_recipe(small, ["head.epochs=7", "fine_tune.unfreeze=0.3", "export=", "head.epochs=8"])
    assert config.head is not None and config.head.epochs == 8
    assert config.fine_tune is not None and config.fine_tune.unfreeze == 0.3
    assert config.export is not None
    assert load_recipe(small, ["head=null", "fine_tune.epochs=1"]).head is None


@pytest.mark.parametrize(
    ("written", "read"), [("1e-3", 1e-3), ("1E3", 1e3), (".5", 0.5), ("2", 2.0), ("1.0e-05", 1e-5)]
)
def test_numbers_are_read_as_people_write_them(small: Path, written: str, read: float) -> None:
    head = load_recipe(small, [f"head.learning_rate={written}"]).head
    assert head is not None and head.learning_rate == read


def test_names_may_look_like_numbers_or_yaml_words(small: Path) -> None:
    config = load_recipe(small, ["data.classes=[5, 007, no, on, '1e-3', 2024-01-01]", "run.name=2024"])
    assert config.data.classes == ("5", "007", "no", "on", "1e-3", "2024-01-01")
    assert config.run.name == "2024"


def test_class_weights_may_name_classes_by_number(small: Path) -> None:
    head = load_recipe(small, ["head.class_weights={5: 2, yes: 1.5}"]).head
    assert head is not None and head.class_weights == {"5": 2.0, "yes": 1.5}


def test_home_is_expanded_in_paths(small: Path) -> None:
    config = load_recipe(small, ["run.directory=~/runs", "model.weights=~/w.h5", "model.backbone=~/runs/base"])
    assert config.run.directory == Path.home() / "runs"
    assert config.model.weights == str(Path.home() / "w.h5")
    assert config.model.backbone == str(Path.home() / "runs" / "base")


def test_the_image_size_is_a_number_or_a_pair(small: Path) -> None:
    assert load_recipe(small).data.image_height_width == (224, 224)
    assert load_recipe(small, ["data.image_size=[96, 128]"]).data.image_height_width == (96, 128)


def test_a_dumped_recipe_loads_to_the_same(small: Path, tmp_path: Path) -> None:
    overrides = [
        "data.classes=['1e-3', no, '5', '~', 'true', 0x10, 1_000]",
        "data.image_size=[96, 128]",
        "head.class_weights={no: 1, '5': 2.5}",
        "head.learning_rate=3e-7",
        "fine_tune.jit=false",
        "export=",
        "acceptance.max_bytes=100000",
        "run.name=other",
    ]
    config = load_recipe(small, overrides)
    again = tmp_path / "recipe.yaml"
    again.write_text(dump_recipe(config))
    assert load_recipe(again) == config


def test_a_recipe_can_be_built_without_a_file() -> None:
    config = RecipeConfig(recipe="finetune_image", data=DataSection(source="digits"), head=HeadSection(epochs=2))
    assert config.data.loading_options()["source"] == "digits"


@pytest.mark.parametrize("recipe", [RecipeConfig, TextRecipeConfig])
def test_every_key_is_documented(recipe) -> None:
    from tfkit.config.faults import section_types

    undocumented = [
        f"{name}.{key}"
        for name, section in section_types(recipe).items()
        for key, field in section.model_fields.items()
        if not field.description
    ]
    assert undocumented == []
