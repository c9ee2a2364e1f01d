"""The folder of one run: every stage writes here and nowhere else."""

import csv
import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tfkit.artifacts.manifest import CHECK_SUMS_NAME, refuse_changed_files, write_check_sums
from tfkit.errors import RunError
from tfkit.files import write_whole

OTHER_WAYS = "choose another name with run.name=NAME, or set it aside with run.overwrite=true"
# Exported files have check sums of their own, and whoever releases the model writes into its card.
_NOT_SEALED = ("artifacts", "checkpoints", "tensorboard", "MODEL_CARD.md")


@dataclass(frozen=True)
class RunDirectory:
    """Where the files of a run are.

    Attributes:
        path: The run's folder, `runs/<name>`.
        goes_on: Whether the run was begun by an earlier process, which was stopped.
        lock: The open lock file of the process that works in it; None elsewhere.

    Example:
        >>> RunDirectory(Path("runs/digits")).float_model.as_posix()
        'runs/digits/models/float.keras'
    """

    path: Path
    goes_on: bool = False
    lock: Any = field(default=None, repr=False, compare=False)

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
        """What each stage left for a run that was stopped: models, states of training, and what is done.

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
    def items(self) -> Path:
        """A recommender's table of items; it ships with the exported models.

        Example:
            >>> RunDirectory(Path("runs/recommend_shop")).items.as_posix()
            'runs/recommend_shop/artifacts/items.csv'
        """
        return self.artifacts / "items.csv"

    @property
    def prompts(self) -> Path:
        """What a language model is asked with: tokeniser, conversation, known answers; they ship with the files.

        Example:
            >>> RunDirectory(Path("runs/replies_small")).prompts.as_posix()
            'runs/replies_small/artifacts/prompts'
        """
        return self.artifacts / "prompts"

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

    @property
    def _begun(self) -> Path:
        """The recipe and the fingerprint of the data that the run began with: the first file that is written."""
        return self.path / ".begun.json"

    def began_with(self, name: Literal["recipe", "data"]) -> str | None:
        """The recipe, YAML, or a fingerprint of the data; None where nothing was begun that can go on."""
        if not self._begun.is_file():
            return None
        return str(json.loads(self._begun.read_text(encoding="utf-8"))[name])

    @property
    def is_sealed(self) -> bool:
        """Whether the run came to its very end; one that was stopped while it wrote its report did not."""
        return self.is_finished and ((self.path / CHECK_SUMS_NAME).is_file() or not self._begun.is_file())

    def record(self, *, recipe: str, data_report: Mapping[str, Any], data: str = "") -> None:
        """Write down what the run is made from: `recipe.yaml`, `data_report.json`, `left_out.csv` if it is not empty.

        Args:
            recipe: The resolved recipe, YAML.
            data_report: Files kept and left out, and why.
            data: A fingerprint of the data.

        Raises:
            RunError: When a run that goes on was begun with other data.
        """
        if self.began_with("data") not in (None, data):
            raise RunError(
                f"the data are not those that the unfinished run in '{self.path}' began with", hint=OTHER_WAYS
            )
        write_whole(self._begun, json.dumps({"recipe": recipe, "data": data}) + "\n")
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
    def suspicious_labels(self) -> Path:
        """A table of training examples whose class is likely wrong; absent when none was found.

        Example:
            >>> RunDirectory(Path("runs/digits")).suspicious_labels.as_posix()
            'runs/digits/suspicious_labels.csv'
        """
        return self.path / "suspicious_labels.csv"

    def clear_unproved(self) -> None:
        """Remove what an earlier process may have left half done: exported files, reports, unfinished writing."""
        for folder in (self.artifacts, self.golden):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.report, self.report_json, self.path / CHECK_SUMS_NAME, *self.path.rglob(".unfinished-*")):
            file.unlink(missing_ok=True)

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
