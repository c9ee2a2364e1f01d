"""A disk that fills up during a run: one clear error, no half-written file, and the trained model is kept."""

import gc
import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BLOCK = 4096


def room_for(run: Path, *parts: str) -> int:
    """Bytes that some of a run's files take on a disk."""
    files = [path for part in parts for path in [run / part, *(run / part).rglob("*")]]
    return sum(-(-path.stat().st_size // BLOCK) * BLOCK if path.is_file() else BLOCK for path in files)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a file system of so many bytes, with an earlier file on it."""
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        place = tmp_path / "disk"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("there is no mount command to make a small disk with")
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        mounted.append(place)
        (place / "earlier.txt").write_text("precious")
        return place

    yield mount
    for place in mounted:
        gc.collect()  # what the traceback of a failed run holds open
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def fill_up(finished_run, small_disk, recipe, tfkit, tmp_path, monkeypatch):
    """Run the recipe on a disk with room for some parts of a run, and so many bytes more."""
    rescue = tmp_path / "temporary"
    rescue.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(rescue))

    def run(*parts: str, more: int):
        disk = small_disk(room_for(finished_run, *parts) + more)
        told = tfkit("run", recipe, f"run.directory={disk}")
        assert told.status == 1 and f"'{disk}/mine" in told.err and "unexpected" not in told.err
        assert "the disk is full" in told.err or "No space left on device" in told.err
        assert (disk / "earlier.txt").read_text() == "precious"
        check_every_file_is_whole(disk / "mine")
        return disk / "mine", told

    return run


def check_every_file_is_whole(run: Path) -> None:
    from tfkit.models import load_model_file
    from tfkit.runtimes import read_operators

    for path in run.rglob("*"):
        assert "unfinished" not in path.name
        if path.suffix == ".keras":
            load_model_file(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".tflite":
            read_operators(path)
        elif path.suffix in {".html", ".md", ".yaml", ".txt"}:
            assert path.stat().st_size > 0, path


def model_named_in(err: str) -> Path:
    """The model that the message says was kept, the newest one where it names two."""
    return Path(re.findall(r"kept(?: in|:) '(\S+\.keras)'", err)[-1])


def models_of(run: Path) -> tuple[Path, Path]:
    """Where the trained model is, twice: in `models`, and as the record of its stage."""
    return run / "models" / "float.keras", run / "checkpoints" / "fine_tune.keras"


STARTED = ("recipe.yaml", "data_report.json", "tensorboard")
TRAINED = (*STARTED, "checkpoints", "models")


def test_a_checkpoint_that_does_not_fit_is_kept_elsewhere(fill_up, tmp_path):
    from tfkit.models import load_model_file

    _, told = fill_up(*STARTED, more=100_000)
    kept = model_named_in(told.err)
    assert kept.is_relative_to(tmp_path / "temporary")
    assert load_model_file(kept).output_shape == (None, 3)


def test_exports_that_do_not_fit_leave_the_trained_model(fill_up):
    from tfkit.models import load_model_file

    run, told = fill_up(*TRAINED, more=300_000)
    assert model_named_in(told.err) in models_of(run)
    assert load_model_file(run).output_shape == (None, 3)
    assert not list(run.glob("artifacts/**/*.tflite")) and not list(run.glob("artifacts/**/saved_model.pb"))


def test_a_head_that_cannot_be_logged_is_kept_elsewhere(fill_up):
    """TensorBoard's files are the first to find the disk full."""
    from tfkit.models import load_model_file

    _, told = fill_up("recipe.yaml", "data_report.json", more=60_000)
    assert load_model_file(model_named_in(told.err)).output_shape == (None, 3)


def test_golden_samples_that_do_not_fit_leave_the_exports(fill_up):
    run, told = fill_up(*TRAINED, "artifacts", more=20_000)
    assert model_named_in(told.err) in models_of(run)
    assert (run / "artifacts" / "manifest.json").is_file()


def test_reports_that_do_not_fit_leave_everything_else(fill_up):
    run, told = fill_up(*TRAINED, "artifacts", "golden", more=30_000)
    assert model_named_in(told.err) in models_of(run)
    assert (run / "golden" / "golden.json").is_file()
    assert not (run / "report.html").exists()


def test_a_disk_without_any_room_is_told(small_disk, recipe, tfkit):
    disk = small_disk(4 * BLOCK)
    (disk / "filler").write_bytes(bytes(BLOCK))
    told = tfkit("run", recipe, f"run.directory={disk}")
    assert told.status == 1 and "the disk is full" in told.err and f"'{disk}/mine" in told.err
    check_every_file_is_whole(disk / "mine")
