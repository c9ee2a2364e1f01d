"""Which solver a head gets, and what is told of keys that it does not read."""

from pathlib import Path

import pytest

from tfkit.config import load_recipe
from tfkit.errors import ConfigError
from tfkit.running.planned_stages import planned_image_stages, planned_text_stages

IMAGES = "recipe: finetune_image\ndata: {source: digits}\nhead: {}\n"
TEXTS = "recipe: finetune_text\ndata: {source: built_in}\n"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    path = tmp_path / "photos.yaml"
    path.write_text(IMAGES)
    return path


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.yaml"
    path.write_text(TEXTS)
    return path


@pytest.mark.parametrize(
    ("words", "solver"),
    [
        ([], "lbfgs"),
        (["head.cached_views=3", "head.label_smoothing=0.1", "head.batch_size=8"], "lbfgs"),
        (["head.epochs=30"], "gradient"),
        (["head.early_stopping=3"], "gradient"),
        (["head.solver=gradient"], "gradient"),
        (["head.solver=lbfgs"], "lbfgs"),
    ],
)
def test_auto_takes_gradient_steps_where_their_keys_are_set(images: Path, words: list[str], solver: str) -> None:
    config = load_recipe(images, words)
    assert config.head.learning_options()["solver"] == solver
    told = dict(planned_image_stages(config, 100))["head"]
    assert ("lbfgs" in told) == (solver == "lbfgs")


def test_the_check_tells_why_there_are_gradient_steps(images: Path) -> None:
    told = dict(planned_image_stages(load_recipe(images, ["head.epochs=30", "head.optimizer=sgd"]), 100))["head"]
    assert told == "30 epochs, sgd at 0.001 (solver gradient, because of epochs, optimizer)"


def test_keys_that_lbfgs_does_not_read_are_faults(images: Path, texts: Path) -> None:
    with pytest.raises(ConfigError) as told:
        load_recipe(images, ["head.solver=lbfgs", "head.epochs=30", "head.early_stopping=2"])
    for key in ("epochs", "early_stopping"):
        assert f"head.{key} does nothing with head.solver lbfgs" in str(told.value)
    with pytest.raises(ConfigError, match=r"fine_tune\.warmup does nothing with fine_tune\.solver lbfgs"):
        load_recipe(texts, ["fine_tune.method=head", "fine_tune.solver=lbfgs", "fine_tune.warmup=0.2"])


def test_of_texts_the_check_tells_what_is_not_read(texts: Path) -> None:
    config = load_recipe(texts, ["fine_tune.method=head", "fine_tune.epochs=60"])
    assert config.fine_tune.learning_options()["solver"] == "lbfgs"
    told = dict(planned_text_stages(config, 100))["fine_tune"]
    assert told.startswith("head, fitted by lbfgs") and "(epochs not read" in told
    config = load_recipe(texts, ["fine_tune.method=head", "fine_tune.solver=gradient", "fine_tune.epochs=60"])
    assert config.fine_tune.learning_options()["solver"] == "gradient"
    assert dict(planned_text_stages(config, 32))["fine_tune"].startswith("head, 60 epochs")


def test_a_solver_for_another_method_is_a_fault(texts: Path) -> None:
    with pytest.raises(ConfigError, match=r"fine_tune\.solver is not read by method lora, only by head"):
        load_recipe(texts, ["fine_tune.method=lora", "fine_tune.solver=gradient"])
