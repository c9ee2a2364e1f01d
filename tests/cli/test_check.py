from pathlib import Path

import pytest

from tfkit.cli.main import main

RECIPE = """\
recipe: finetune_image
run: {{directory: {runs}}}
data: {{source: image_folder, directory: {pictures}, image_size: 16, batch_size: 4}}
model: {{backbone: resnet8, weights: random}}
fine_tune: {{epochs: 2, unfreeze: all, batch_norm: train}}
export: {{formats: [tflite_int8]}}
"""


@pytest.fixture
def recipe(pictures: Path, tmp_path: Path) -> Path:
    path = tmp_path / "colours.yaml"
    path.write_text(RECIPE.format(runs=tmp_path / "runs", pictures=pictures))
    return path


def test_check_tells_the_data_and_what_would_run(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(recipe)]) == 0
    told = capsys.readouterr().out
    for word in (
        "blue",
        "green",
        "red",
        "train",
        "test",
        "resnet8",
        "2 epochs of",
        "tflite_int8",
        "does not run",
        "Rehearse the export",
    ):
        assert word in told
    assert not (recipe.parent / "runs").exists()


def test_check_tells_that_the_run_is_there_already(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = recipe.parent / "runs" / "colours"
    run.mkdir(parents=True)
    (run / "report.html").write_text("older")
    assert main(["check", str(recipe)]) == 0
    assert "exists already: add run.name=NAME" in capsys.readouterr().out.replace("\n", "")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("data.directory=/nowhere", "/nowhere"),
        ("model.backbone=resnet9", "there is no backbone 'resnet9'"),
        ("fine_tune.epochs=none", "fine_tune.epochs must be a whole number"),
    ],
)
def test_check_tells_faults(override: str, told: str, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(recipe), override]) == 1
    err = capsys.readouterr().err
    assert told in err and "unexpected" not in err


def test_check_names_pictures_that_cannot_be_read(
    recipe: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(pictures, copy)
    (copy / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    assert main(["check", str(recipe), f"data.directory={copy}"]) == 1
    assert "broken.png" in capsys.readouterr().err
    assert main(["check", str(recipe), f"data.directory={copy}", "data.bad_images=skip"]) == 0
    assert "broken.png" in capsys.readouterr().out.replace("\n", "")
