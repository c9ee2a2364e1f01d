"""The folder of one run: every stage writes here and nowhere else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tfkit.errors import RunError


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

    @property
    def recipe(self) -> Path:
        """The resolved recipe; running it again gives the same run."""
        return self.path / "recipe.yaml"

    @property
    def data_report(self) -> Path:
        """Files kept and left out, duplicates, leakage, class counts."""
        return self.path / "data_report.json"

    @property
    def checkpoints(self) -> Path:
        """Weights of the epochs, the best and the last."""
        return self.path / "checkpoints"

    @property
    def models(self) -> Path:
        """The finished Keras models."""
        return self.path / "models"

    @property
    def float_model(self) -> Path:
        """The trained model before any compression."""
        return self.models / "float.keras"

    def kept_model(self, kind: Literal["float", "pruned", "quantized"]) -> Path:
        """The model as it was before compression, after pruning (with masks, or narrower), or quantisation-aware."""
        return self.models / f"{kind}.keras"

    @property
    def finished_models(self) -> tuple[Path, ...]:
        """The kept models that are there, the one that the exported files were made from first."""
        kept = (self.kept_model("quantized"), self.kept_model("pruned"), self.float_model)
        return tuple(path for path in kept if path.is_file())

    @property
    def artifacts(self) -> Path:
        """The exported models and their manifest."""
        return self.path / "artifacts"

    @property
    def tokenizer(self) -> Path:
        """A text model's tokeniser and its specification; they ship with the exported models."""
        return self.artifacts / "tokenizer"

    @property
    def search_index(self) -> Path:
        """What a text embedder's vectors are compared with; it ships with the exported models."""
        return self.artifacts / "search"

    @property
    def golden(self) -> Path:
        """Inputs with the outputs each artifact must give, for tests on the device."""
        return self.path / "golden"

    @property
    def report(self) -> Path:
        """The report as one self-contained page."""
        return self.path / "report.html"

    @property
    def report_json(self) -> Path:
        """The report for programs."""
        return self.path / "report.json"

    @property
    def model_card(self) -> Path:
        """What the model is for, what it was trained on and how good it is."""
        return self.path / "MODEL_CARD.md"

    def record(self, *, recipe: str, data_report: Mapping[str, Any]) -> None:
        """Write down what the run is made from: `recipe.yaml` and `data_report.json`.

        Args:
            recipe: The resolved recipe, YAML.
            data_report: Files kept and left out, and why.
        """
        self.recipe.write_text(recipe, encoding="utf-8")
        self.data_report.write_text(json.dumps(data_report, indent=2) + "\n", encoding="utf-8")

    def tensorboard(self, stage: str) -> Path:
        """TensorBoard's folder for one stage (`head`, `fine_tune`)."""
        return self.path / "tensorboard" / stage


def refuse_existing_run(path: Path, *, overwrite: bool = False) -> None:
    """Say at once, before any work is done, that a run of this name is there already.

    Args:
        path: The run's folder, usually `runs/<name>`.
        overwrite: Whether it may be set aside later, by `create_run_directory`.

    Raises:
        RunError: When it is there and may not.
    """
    if not overwrite and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(
            f"'{path}' exists already and is never silently overwritten",
            hint="choose another name with run.name=NAME, or set it aside with run.overwrite=true",
        )


def create_run_directory(path: Path, *, overwrite: bool = False) -> RunDirectory:
    """Make the folder of a new run.

    Args:
        path: Where, usually `runs/<name>`.
        overwrite: Set an existing run aside under `<name>.previous-N` first. Nothing is ever deleted.

    Returns:
        The run's folder, empty.

    Raises:
        RunError: When a run is there already and `overwrite` is False, or the folder cannot be made.
    """
    refuse_existing_run(path, overwrite=overwrite)
    try:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            path.rename(_free_name(path))
        path.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise RunError(
            f"cannot make the run's folder '{path}': {fault.strerror}", hint="choose another run.directory"
        ) from None
    return RunDirectory(path)


def _free_name(path: Path) -> Path:
    number = 1
    while (candidate := path.with_name(f"{path.name}.previous-{number}")).exists():
        number += 1
    return candidate
