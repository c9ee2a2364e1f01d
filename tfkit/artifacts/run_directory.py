"""The folder of one run: every stage writes here and nowhere else."""

import csv
import fcntl
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tfkit.arguments import takes_text
from tfkit.artifacts.manifest import CHECK_SUMS_NAME, refuse_changed_files, write_check_sums
from tfkit.errors import RunError
from tfkit.files import write_whole

_LOCK = ".lock"
# Exported files have check sums of their own, and whoever releases the model writes into its card.
_NOT_SEALED = ("artifacts", "checkpoints", "tensorboard", "MODEL_CARD.md")


@dataclass(frozen=True)
class RunDirectory:
    """Where the files of a run are.

    Attributes:
        path: The run's folder, `runs/<name>`.

    Example:
        >>> RunDirectory(Path("runs/digits")).float_model.as_posix()
        'runs/digits/models/float.keras'
    """

    path: Path
    _lock: Any = field(default=None, repr=False, compare=False)  # the open lock file of the process that made the run

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))  # notebooks write it as text

    @classmethod
    def of_model(cls, path: Path) -> "RunDirectory":
        """The run that a Keras model belongs to, whether or not there is one.

        Args:
            path: A run's folder, or a file in its `models`.

        Example:
            >>> RunDirectory.of_model(Path("runs/digits/models/float.keras")).path.as_posix()
            'runs/digits'
        """
        return cls(path if path.is_dir() else path.parent.parent)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, labels or numbers that it was trained for, in the order of the scores; none outside of a run.

        Raises:
            ExportError: When the file that names them has changed since the run ended.
        """
        if self.data_report.is_file():
            self.vouches_for(self.data_report)
        try:
            return tuple(json.loads(self.data_report.read_text(encoding="utf-8"))["kept"]["train"])
        except (OSError, ValueError, KeyError, TypeError):
            return ()

    @property
    def recipe(self) -> Path:
        """The resolved recipe; running it again gives the same run.

        Example:
            >>> RunDirectory(Path("runs/digits")).recipe.as_posix()
            'runs/digits/recipe.yaml'
        """
        return self.path / "recipe.yaml"

    @property
    def data_report(self) -> Path:
        """Files kept and left out, duplicates, leakage, class counts.

        Example:
            >>> RunDirectory(Path("runs/digits")).data_report.as_posix()
            'runs/digits/data_report.json'
        """
        return self.path / "data_report.json"

    @property
    def checkpoints(self) -> Path:
        """Weights of the epochs, the best and the last.

        Example:
            >>> RunDirectory(Path("runs/digits")).checkpoints.as_posix()
            'runs/digits/checkpoints'
        """
        return self.path / "checkpoints"

    @property
    def models(self) -> Path:
        """The finished Keras models.

        Example:
            >>> RunDirectory(Path("runs/digits")).models.as_posix()
            'runs/digits/models'
        """
        return self.path / "models"

    @property
    def float_model(self) -> Path:
        """The trained model before any compression.

        Example:
            >>> RunDirectory(Path("runs/digits")).float_model.as_posix()
            'runs/digits/models/float.keras'
        """
        return self.models / "float.keras"

    def kept_model(self, kind: Literal["float", "pruned", "quantized"]) -> Path:
        """The model as it was before compression, after pruning (with masks, or narrower), or quantisation-aware.

        Example:
            >>> RunDirectory(Path("runs/digits")).kept_model("quantized").as_posix()
            'runs/digits/models/quantized.keras'
        """
        return self.models / f"{kind}.keras"

    @property
    def finished_models(self) -> tuple[Path, ...]:
        """The kept models that are there, the one that the exported files were made from first."""
        kept = (self.kept_model("quantized"), self.kept_model("pruned"), self.float_model)
        return tuple(path for path in kept if path.is_file())

    @property
    def artifacts(self) -> Path:
        """The exported models and their manifest.

        Example:
            >>> RunDirectory(Path("runs/digits")).artifacts.as_posix()
            'runs/digits/artifacts'
        """
        return self.path / "artifacts"

    @property
    def tokenizer(self) -> Path:
        """A text model's tokeniser and its specification; they ship with the exported models.

        Example:
            >>> RunDirectory(Path("runs/intents")).tokenizer.as_posix()
            'runs/intents/artifacts/tokenizer'
        """
        return self.artifacts / "tokenizer"

    @property
    def search_index(self) -> Path:
        """What a text embedder's vectors are compared with; it ships with the exported models.

        Example:
            >>> RunDirectory(Path("runs/faq_small")).search_index.as_posix()
            'runs/faq_small/artifacts/search'
        """
        return self.artifacts / "search"

    @property
    def golden(self) -> Path:
        """Inputs with the outputs each artifact must give, for tests on the device.

        Example:
            >>> RunDirectory(Path("runs/digits")).golden.as_posix()
            'runs/digits/golden'
        """
        return self.path / "golden"

    @property
    def report(self) -> Path:
        """The report as one self-contained page.

        Example:
            >>> RunDirectory(Path("runs/digits")).report.as_posix()
            'runs/digits/report.html'
        """
        return self.path / "report.html"

    @property
    def report_json(self) -> Path:
        """The report for programs.

        Example:
            >>> RunDirectory(Path("runs/digits")).report_json.as_posix()
            'runs/digits/report.json'
        """
        return self.path / "report.json"

    @property
    def model_card(self) -> Path:
        """What the model is for, what it was trained on and how good it is.

        Example:
            >>> RunDirectory(Path("runs/digits")).model_card.as_posix()
            'runs/digits/MODEL_CARD.md'
        """
        return self.path / "MODEL_CARD.md"

    def record(self, *, recipe: str, data_report: Mapping[str, Any]) -> None:
        """Write down what the run is made from: `recipe.yaml`, `data_report.json`, `left_out.csv` if it is not empty.

        Args:
            recipe: The resolved recipe, YAML.
            data_report: Files kept and left out, and why.
        """
        write_whole(self.recipe, recipe)
        write_whole(self.data_report, json.dumps(data_report, indent=2) + "\n")
        if data_report.get("left_out"):
            table = io.StringIO()
            rows = csv.DictWriter(table, ["name", "reason"], lineterminator="\n")
            rows.writeheader()
            rows.writerows(data_report["left_out"])
            write_whole(self.left_out, table.getvalue())

    @property
    def left_out(self) -> Path:
        """A table of what was found and not used, with the reasons; absent when nothing was left out.

        Example:
            >>> RunDirectory(Path("runs/digits")).left_out.as_posix()
            'runs/digits/left_out.csv'
        """
        return self.path / "left_out.csv"

    @property
    def is_finished(self) -> bool:
        """Whether its report is there, which is written last.

        Example:
            >>> RunDirectory(Path("runs/never_started")).is_finished
            False
        """
        return self.report_json.is_file()

    def seal(self) -> None:
        """Write `SHA256SUMS` of what the run made beside its artifacts, so that a byte that changes later is noticed.

        Raises:
            RunError: When it cannot be written.
        """
        try:
            write_check_sums(self.path, leave_out=_NOT_SEALED)
        except OSError as fault:
            raise RunError(f"cannot write check sums to '{self.path}': {fault.strerror}", hint="make room") from None

    def vouches_for(self, *files: Path) -> bool:
        """Compare files of a finished run with its check sums; those of `artifacts` have sums of their own.

        Args:
            files: Files in its folder.

        Returns:
            True when they are what the run wrote; False when it has not finished, or has no check sums.

        Raises:
            ExportError: When one has other bytes than the run wrote; names them.
        """
        if not self.is_finished:
            return False
        known = True
        for folder in (self.artifacts, self.path):
            inside = [file for file in files if file.is_relative_to(folder)]
            refuse_changed_files(folder, only=[file.relative_to(folder).as_posix() for file in inside])
            files = tuple(file for file in files if file not in inside)
            known &= not inside or (folder / CHECK_SUMS_NAME).is_file()
        return known

    def tensorboard(self, stage: str) -> Path:
        """TensorBoard's folder for one stage (`head`, `fine_tune`).

        Example:
            >>> RunDirectory(Path("runs/digits")).tensorboard("head").as_posix()
            'runs/digits/tensorboard/head'
        """
        return self.path / "tensorboard" / stage


def refuse_existing_run(path: Path, *, overwrite: bool = False) -> None:
    """Say at once, before any work is done, that a run of this name is there already.

    Args:
        path: The run's folder, usually `runs/<name>`.
        overwrite: Whether it may be set aside later, by `create_run_directory`.

    Raises:
        RunError: When it is there and may not, or another process is working in it.

    Example:
        >>> refuse_existing_run(Path("runs/never_started"))
    """
    if (process := running_process(path)) not in (None, os.getpid()):
        raise RunError(
            f"process {process} is working in '{path}'",
            hint="wait for it, or choose another name with run.name=NAME",
        )
    if not overwrite and _is_taken(path):
        raise RunError(
            f"'{path}' exists already and is never silently overwritten",
            hint="choose another name with run.name=NAME, or set it aside with run.overwrite=true",
        )


@takes_text
def create_run_directory(path: Path, *, overwrite: bool = False) -> RunDirectory:
    """Make the folder of a new run.

    Args:
        path: Where, usually `runs/<name>`.
        overwrite: Set an existing run aside under `<name>.previous-N` first. Nothing is ever deleted.

    Returns:
        The run's folder, empty.

    Raises:
        RunError: When a run is there already and `overwrite` is False, another process works in it, or the folder
            cannot be made.

    Example:
        >>> run = create_run_directory(Path("runs/first"))
        >>> run.path.is_dir(), run.is_finished
        (True, False)
    """
    refuse_existing_run(path, overwrite=overwrite)
    try:
        if _is_taken(path):
            path.rename(_free_name(path))
        path.mkdir(parents=True, exist_ok=True)
        lock = _locked(path)
    except OSError as fault:
        raise RunError(
            f"cannot make the run's folder '{path}': {fault.strerror}", hint="choose another run.directory"
        ) from None
    if lock is None:
        raise RunError(
            f"another process has just begun a run in '{path}'", hint="choose another name with run.name=NAME"
        )
    return RunDirectory(path, lock)


def running_process(path: Path) -> int | None:
    """The process that is working in a run's folder: it holds the folder's lock until it ends, killed or not.

    Args:
        path: The run's folder, which need not exist.

    Returns:
        Its number, 0 when it has not written it yet; None when there is none.

    Example:
        >>> running_process(Path("runs/never_started"))
    """
    if not (path / _LOCK).is_file():
        return None
    with (path / _LOCK).open() as lock:
        if _takes(lock):
            return None
        number = lock.read().strip()
    return int(number) if number.isdecimal() else 0


def _is_taken(path: Path) -> bool:
    return path.exists() and (not path.is_dir() or any(file.name != _LOCK for file in path.iterdir()))


def _locked(path: Path) -> Any:
    """The open lock file of a folder; None when another process holds it."""
    lock = (path / _LOCK).open("a")
    if not _takes(lock):
        lock.close()
        return None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _takes(lock: Any) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # file systems without locks: nobody can hold one
        pass
    return True


def _free_name(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.name}.previous-{number}")).exists():
        number += 1
    return candidate
