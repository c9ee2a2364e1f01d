"""What of a run is shared with others: the files that were accepted, what describes them, and none of its data."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkit.artifacts import RunDirectory, read_lineage, read_manifest, write_manifest
from tfkit.artifacts.manifest import write_check_sums
from tfkit.deployment.bundle import SIGNATURE_NAME
from tfkit.deployment.proved import proved_files
from tfkit.errors import ExportError
from tfkit.files import write_whole

# Of report.json; the rest names or quotes examples: mistakes, explanations, doubtful labels, files left out.
_TOLD = (
    *("version", "accepted", "name", "task", "created", "tfkit_version", "evaluation", "control", "artifacts"),
    *("acceptance", "model", "compression", "per_class", "per_output", "most_confused", "host", "recipe"),
)


@dataclass(frozen=True)
class Shared:
    """A folder of what is shared.

    Attributes:
        report: `report.json` of the run, whole.
        accepted: Of its files those that are shared, as the report tells them.
        refused: Names of those that are not.
        samples: How many real examples the golden samples are.
        notes: What to know before others see it, in sentences.
    """

    report: Mapping[str, Any]
    accepted: tuple[Mapping[str, Any], ...]
    refused: tuple[str, ...]
    samples: int
    notes: tuple[str, ...]


def share_run(run: RunDirectory, folder: Path, *, golden: bool = True) -> Shared:
    """Write what of a finished run can be shared; its bytes are compared with their check sums first.

    Args:
        run: The run.
        folder: An empty folder: `artifacts` with a manifest of the accepted files, `golden`, `recipe.yaml`, and
            `report.json` without what it says of single examples.
        golden: Whether the golden samples, which are real examples of the test split, are among it, and the texts that
            a search index holds.

    Returns:
        What the folder holds.

    Raises:
        ExportError: When the run has not finished, has changed, or no file of it was accepted.
    """
    results = proved_files(run)
    accepted = tuple(result for result in results if result["accepted"])
    if not accepted:
        reasons = " ".join(reason for result in results for reason in result["refusals"])
        told = f"every file was refused: {reasons}" if results else "it exported no file"
        raise ExportError(f"nothing of '{run.path}' can be shared: {told}", hint="mend the model first")
    run.vouches_for(run.recipe)
    report = json.loads(run.report_json.read_text(encoding="utf-8"))
    refused = tuple(result["file"] for result in results if not result["accepted"])
    notes = [f"left out, because it was refused: {name}" for name in refused]
    notes += _copy_artifacts(run, folder, refused, with_texts=golden)
    samples = _copy_golden(run, folder / "golden", refused) if golden and run.golden.is_dir() else 0
    if samples:
        told = f"golden/ holds {samples} REAL examples of the test split; --no-golden leaves them out of private data"
        notes.append(told)
    shutil.copyfile(run.recipe, folder / run.recipe.name)
    notes.append("recipe.yaml names data and folders as they are called on this machine")
    kept = {name: report[name] for name in _TOLD if name in report}
    write_whole(folder / run.report_json.name, json.dumps(kept, indent=2) + "\n")
    write_check_sums(folder, leave_out=("artifacts", "README.md", "MODEL_CARD.md"))  # as a run has them
    return Shared(report, accepted, refused, samples, tuple(notes))


def _copy_artifacts(run: RunDirectory, folder: Path, refused: tuple[str, ...], *, with_texts: bool) -> list[str]:
    """Copy the artifacts folder; without all its files it gets a manifest of its own, and no signature."""
    read_manifest(run.artifacts)
    lineage, copied = read_lineage(run.artifacts), RunDirectory(folder).artifacts
    shutil.copytree(run.artifacts, copied, ignore=shutil.ignore_patterns(".*"))
    artifacts, notes = read_manifest(copied, compare=False), []
    index = RunDirectory(folder).search_index
    drop_index = index.is_dir() and not with_texts
    if drop_index:
        shutil.rmtree(index)
        notes.append(
            f"left out: {index.relative_to(folder)}, whose texts are real examples; no answer is found without it"
        )
    elif index.is_dir():
        notes.append(f"{index.relative_to(folder)} holds the texts that answers are found by: REAL examples")
    for name in refused:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        if path.parent != copied and not any(path.parent.iterdir()):
            path.parent.rmdir()
    if refused or drop_index:
        if (copied / SIGNATURE_NAME).exists():
            (copied / SIGNATURE_NAME).unlink()
            notes.append("the signature was left out, because files that it names were: sign the new folder")
        write_manifest(tuple(one for one in artifacts if one.path.exists()), copied, lineage=lineage)
    return notes


def _copy_golden(run: RunDirectory, folder: Path, refused: tuple[str, ...]) -> int:
    """Copy the golden samples, without what refused files answered; gives their number."""
    described = run.golden / "golden.json"
    run.vouches_for(*(file for file in run.golden.rglob("*") if file.is_file()))
    said = json.loads(described.read_text(encoding="utf-8"))
    gone = {
        Path(name).parent.name if name.startswith("artifacts/saved_model/") else Path(name).name for name in refused
    }
    left_out = [one["expected"] for one in said["artifacts"] if one["file"] in gone]
    shutil.copytree(run.golden, folder, ignore=lambda place, names: left_out)
    said["artifacts"] = [one for one in said["artifacts"] if one["file"] not in gone]
    write_whole(folder / described.name, json.dumps(said, indent=2, ensure_ascii=False) + "\n")
    return next((len(said[kind]) for kind in ("images", "texts") if kind in said), 0)
