"""`tfkit optimize`: bad words at once, the file and its report, exit status 3 when nothing is small enough."""

import json
from pathlib import Path

import pytest

from tfkit.artifacts import read_manifest
from tfkit.cli.main import main


def words(model: Path, data: Path, output: Path, *more: str) -> list[str]:
    return [
        "optimize",
        str(model),
        "--data",
        str(data),
        "--max-drop",
        "0.5",
        "--output",
        str(output),
        "--max-files",
        "0",
        *more,
    ]


@pytest.fixture(scope="module")
def searched(model: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("optimized") / "search"
    assert main(words(model, pictures, folder)) == 0
    return folder


def test_every_bad_argument_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = ["--max-bytes", "0", "--max-latency-ms", "-1", "--epochs", "0", "--test-data", str(tmp_path / "none.npz")]
    assert main(["optimize", "none.keras", "--data", "nowhere", "--max-drop", "5", *bad]) == 1
    told = capsys.readouterr().err
    for fault in (
        "there is no model 'none.keras'",
        "--data: there is no 'nowhere'",
        "--test-data: there is no",
        "--max-drop is a fraction in [0, 1): 0.005 for half a point; got 5",
        "--max-bytes must be more than 0; got 0",
        "--max-latency-ms must be more than 0; got -1",
        "--epochs must be 1 or more; got 0",
    ):
        assert fault in told


def test_a_budget_needs_its_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["optimize", "model.keras", "--data", "digits"]) == 2
    assert "--max-drop" in capsys.readouterr().err
    assert main(["optimize", "--help"]) == 0
    assert "Exit status 3" in capsys.readouterr().out


@pytest.mark.slow
def test_the_file_lies_in_artifacts_beside_the_report(searched: Path) -> None:
    (artifact,) = read_manifest(searched / "artifacts")
    assert artifact.class_names == ("blue", "green", "red")
    report = json.loads((searched / "report.json").read_text())
    smallest = min(report["candidates"], key=lambda file: file["bytes"])
    assert report["accepted_candidate"] == smallest["name"] in report["pareto"] and report["test"]["looks"] == 1
    assert f"Within the budget: {smallest['title']}" in (searched / "report.html").read_text()
    assert main(["verify", str(searched)]) == 0


@pytest.mark.slow
def test_the_same_command_goes_on_and_another_is_refused(
    searched: Path, model: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(model, pictures, searched)) == 0
    told = capsys.readouterr().out
    assert "found before" in told and "4-bit weights" in told and "chosen" in told
    assert main(words(model, pictures, searched, "--max-bytes", "5000")) == 1
    assert "what differs: max_bytes: None, now 5000" in capsys.readouterr().err


@pytest.mark.slow
def test_nothing_within_the_budget_is_exit_status_3_with_the_nearest_file(
    searched: Path, model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = json.loads((searched / "report.json").read_text())["candidates"]
    nearest = min(files, key=lambda file: file["bytes"])
    near = str(int(0.93 * nearest["bytes"]))  # no channel of this model can be removed; no training makes it smaller
    assert main(words(model, pictures, tmp_path / "search", "--max-bytes", near)) == 3
    told = " ".join(capsys.readouterr().out.split())
    assert "No file is within the budget; the nearest is" in told and f"candidates/{nearest['name']}.tflite" in told
    assert "bytes; " in told and "the search ended: " in told
    assert not (tmp_path / "search" / "artifacts").exists()


@pytest.mark.slow
def test_a_size_that_no_file_can_have_is_told_before_training(
    model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(model, pictures, tmp_path / "search", "--max-bytes", "100")) == 1
    told = capsys.readouterr().err
    assert "the budget cannot be met; nothing was trained" in told and "the nearest achievable: --max-bytes" in told
