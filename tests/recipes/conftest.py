"""A few dozen small photos, a recipe for them, and the real command line."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

COLOURS = {"apple": (200, 40, 40), "leaf": (40, 180, 60), "sky": (60, 90, 220)}
PER_CLASS = 20
RECIPE = """\
recipe: finetune_image

data:
  source: image_folder
  directory: {photos}
  image_size: 32
  batch_size: 16

augmentation:
  policy: light

model:
  backbone: resnet8
  weights: random

head:
  epochs: 1

fine_tune:
  epochs: 5
  learning_rate: 3.0e-3
  batch_norm: train

export:
  formats: [saved_model, tflite_float32, tflite_int8]
"""
_OUR_LINES = re.compile(r"(error|kept|hint): |  ")


@dataclass(frozen=True)
class Told:
    """How one command ended and what it said."""

    status: int
    out: str
    err: str


def _draw_photos(folder: Path, *, classes: tuple[str, ...] = tuple(COLOURS), count: int = PER_CLASS) -> Path:
    """JPEG files of noisy colours, of several shapes, a folder for each class; no two are the same."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.array(COLOURS[name]) + rng.normal(0, 60, (40 + number % 5, 36, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / name / f"{number}.jpg")
    return folder


@pytest.fixture(scope="session")
def draw_photos() -> Callable[..., Path]:
    return _draw_photos


@pytest.fixture(scope="session")
def only_our_lines() -> Callable[[str], None]:
    """No traceback, no chatter of TensorFlow, nothing but `error:`, `kept:` and `hint:` with their next lines."""

    def check(err: str) -> None:
        strange = [line for line in err.splitlines() if not _OUR_LINES.match(line)]
        assert not strange, strange

    return check


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _draw_photos(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture
def recipe(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The recipe's file `mine.yaml`, in the folder that the commands run in."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.yaml"
    path.write_text(RECIPE.format(photos=photos))
    return path


@pytest.fixture
def tfkit(capfd: pytest.CaptureFixture[str], only_our_lines: Callable[[str], None]) -> Callable[..., Told]:
    """Run a `tfkit` command in this process; its standard error must be ours alone."""
    from tfkit.cli.main import main

    def run(*words: object) -> Told:
        capfd.readouterr()
        status = main([str(word) for word in words])
        told = Told(status, *capfd.readouterr())
        only_our_lines(told.err)
        assert "Traceback" not in told.out
        return told

    return run


@pytest.fixture(scope="session")
def finished_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one whole run of the recipe, made in this process."""
    from tfkit.cli.main import main

    here = tmp_path_factory.mktemp("finished")
    (here / "mine.yaml").write_text(RECIPE.format(photos=photos))
    before = Path.cwd()
    os.chdir(here)  # as a user does; monkeypatch is for single tests
    try:
        assert main(["run", "mine.yaml"]) == 0
    finally:
        os.chdir(before)
    return here / "runs" / "mine"


@pytest.fixture(scope="module")
def run_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one whole run of the module's RECIPE, made in this process; every file was accepted."""
    from tfkit.cli.main import main

    here = tmp_path_factory.mktemp("run")
    (here / "mine.yaml").write_text(request.module.RECIPE)
    before = Path.cwd()
    os.chdir(here)
    try:
        assert main(["run", "mine.yaml"]) == 0
    finally:
        os.chdir(before)
    return here / "runs" / "mine"
