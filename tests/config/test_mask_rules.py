"""Rules between a recipe's masks and its other sections: every fault is told at once, in words."""

from pathlib import Path

import pytest

from tfkit.config import load_recipe
from tfkit.errors import ConfigError
from tfkit.running.planning import targets_of

GOOD = """
recipe: finetune_image
data: {source: image_folder, directory: streets, image_size: [32, 64], channels: 1, resize: pad}
task: {kind: segmentation, classes: {sky: 0, road: 7}, ignored: [9]}
fine_tune: {}
"""


def faults_of(text: str, folder: Path) -> str:
    (folder / "recipe.yaml").write_text(text)
    with pytest.raises(ConfigError) as told:
        load_recipe(folder / "recipe.yaml")
    return str(told.value)


def test_masks_are_read_as_the_recipe_says(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(GOOD)
    config = load_recipe(tmp_path / "recipe.yaml")
    targets = targets_of(config)
    assert targets.kind == "masks" and targets.columns == ("mask",) and targets.masks is not None
    assert targets.masks.values == {"sky": 0, "road": 7} and targets.masks.ignored == (9,)
    assert targets.masks.image.shape == (32, 64, 1) and targets.masks.image.resize == "pad"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("classes: {sky: 0, road: 7}, ", "", "task.classes is missing"),
        ("road: 7}", "road: 0}", "task.classes names 0 twice"),
        ("road: 7}", "road: [1, 2, 3]}", "task.classes mixes numbers and colours"),
        ("ignored: [9]", "ignored: [7]", "task.ignored leaves out 7, which task.classes names"),
        ("source: image_folder", "source: tfds, name: beans", "data.source tfds has no masks"),
        ("fine_tune: {}", "fine_tune: {}\nhead: {}", "the decoder learns in fine_tune:"),
        ("fine_tune: {}", "fine_tune: {}\naugmentation: {mixing: mixup}", "cutmix pastes them"),
        ("fine_tune: {}", "fine_tune: {class_weights: balanced}", "fine_tune.class_weights weighs one class"),
        ("fine_tune: {}", "fine_tune: {}\nmodel: {pooling: max}", "model.pooling makes a vector of a map"),
        ("kind: segmentation, classes: {sky: 0, road: 7}, ignored: [9]", "classes: {sky: 0, road: 7}",
         "task.classes is for kind segmentation; got classification"),
        ("image_folder, directory: streets", "shapes", "task.classes is not read by source shapes"),
    ],
)  # fmt: skip
def test_what_masks_do_not_go_with_is_told(old: str, new: str, words: str, tmp_path: Path) -> None:
    assert old in GOOD
    assert words in faults_of(GOOD.replace(old, new), tmp_path)


def test_recipes_of_texts_have_no_masks(tmp_path: Path) -> None:
    text = "recipe: finetune_text\ndata: {source: csv, train: a.csv}\ntask: {kind: segmentation}\nfine_tune: {}\n"
    assert "task.kind" in faults_of(text, tmp_path)


def test_drawn_shapes_name_their_own_classes(tmp_path: Path) -> None:
    good = "recipe: finetune_image\ndata: {source: shapes}\ntask: {kind: segmentation}\nfine_tune: {}\n"
    (tmp_path / "recipe.yaml").write_text(good)
    load_recipe(tmp_path / "recipe.yaml")
    assert "say task.kind: segmentation" in faults_of(good.replace("kind: segmentation", ""), tmp_path)
