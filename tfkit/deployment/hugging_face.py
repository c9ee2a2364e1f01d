"""A run as a model repository of the Hugging Face Hub: the folder that is uploaded, and its card with metadata."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from tfkit.artifacts import RunDirectory, read_lineage
from tfkit.deployment.sharing import Shared, share_run
from tfkit.errors import ConfigError, ExportError, printable
from tfkit.tasks import task_named

CARD = "README.md"
_LIBRARIES = {"tflite": "litert", "saved_model": "tensorflow", "onnx": "onnx"}
_PICTURE = re.compile(r"""!\[[^\]]*\]\(\s*<?([^)\s>]+)|<img\b[^>]*?\bsrc=["']([^"']+)""")
# What an earlier push may have left that this one does not hold: refused files, samples of private data.
_REPLACED = ["artifacts/*", "golden/*", "report.json", "recipe.yaml", "SHA256SUMS"]


@dataclass(frozen=True)
class Repository:
    """The folder of a repository.

    Attributes:
        folder: The folder.
        files: Of the run, those that it holds, as `artifacts/model_int8.tflite`.
        notes: What to know before others see it, in sentences.
    """

    folder: Path
    files: tuple[str, ...]
    notes: tuple[str, ...]


def repository_name(said: str) -> str:
    """The name of a repository out of `hf://USER/NAME`.

    Raises:
        ConfigError: When it is none.

    Example:
        >>> repository_name("hf://ants/bees")
        'ants/bees'
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, says its example

    name, fault = said.removeprefix("hf://"), ""
    try:
        validate_repo_id(name)
    except HFValidationError as told:
        fault = f": {str(told).splitlines()[0]}"
    if fault or name.count("/") != 1:
        raise ConfigError(
            f"'{printable(said)}' is not hf://USER/NAME{fault}", hint="such as hf://your-name/ants-or-bees"
        )
    return name


def write_repository(run: RunDirectory, folder: Path, *, golden: bool = True) -> Repository:
    """Write the folder of a repository: what `share_run` shares, and the model card with metadata.

    Args:
        run: A finished run.
        folder: An empty folder.
        golden: Whether the golden samples, which are real examples, are in it.

    Returns:
        What it holds.

    Raises:
        ExportError: As `share_run`; or the run's model card begins with metadata that are none.
    """
    shared = share_run(run, folder, golden=golden)
    card = run.path / "MODEL_CARD.md"
    if not card.is_file():
        raise ExportError(f"'{card}' is missing", hint="run the recipe again")
    text = card.read_text(encoding="utf-8")
    given, body = _front_matter(card, text)
    metadata = {**_metadata(run, shared), **given}  # whoever releases the model has the last word
    pictures = _copy_pictures(body, run.path, folder)
    (folder / CARD).write_text(
        f"---\n{yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)}---\n\n{body}", encoding="utf-8"
    )
    notes = [*shared.notes, *pictures]
    if "license" not in metadata:
        notes.append(f"the card names no licence: begin {card} with ---, license: apache-2.0 and ---, a line each")
    return Repository(folder, tuple(result["file"] for result in shared.accepted), tuple(notes))


def upload(repository: Repository, name: str, *, private: bool = False, revision: str | None = None) -> str:
    """Upload a folder as one commit; files of an earlier push that it does not hold are removed there.

    The Hub's address and token are those of huggingface_hub: `HF_ENDPOINT`, `HF_TOKEN`, or `hf auth login`.

    Args:
        repository: What `write_repository` wrote.
        name: The repository, as USER/NAME; it is made when it is not there.
        private: Whether a new one is.
        revision: A branch, made when it is not there; `main` when None.

    Returns:
        Where the commit is.

    Raises:
        ExportError: When it cannot be uploaded: no token, no network, no right to.
    """
    from huggingface_hub import HfApi

    api = HfApi(library_name="tfkit")
    try:
        api.create_repo(name, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(name, branch=revision, exist_ok=True)
        message = "Upload of tfkit push"
        commit = api.upload_folder(
            repo_id=name,
            folder_path=repository.folder,
            commit_message=message,
            revision=revision,
            delete_patterns=_REPLACED,
        )
    except Exception as fault:  # tokens, networks and rights raise kinds of their own, of three libraries
        told = printable(" ".join(str(fault).split())[:300]) or type(fault).__name__
        raise ExportError(
            f"'{name}' could not be uploaded: {told}",
            hint="hf auth login, or HF_TOKEN, gives the token; --dry-run DIR writes the folder without a network",
        ) from None
    return str(commit.commit_url)


def _front_matter(card: Path, text: str) -> tuple[dict[str, Any], str]:
    """The metadata that someone wrote above the model card, and the card."""
    if not (found := re.match(r"---\s*\n(.*?)\n---\s*\n+", text, re.DOTALL)):
        return {}, text
    try:
        given = yaml.safe_load(found[1])
    except yaml.YAMLError:
        given = None
    if not isinstance(given, dict):
        raise ExportError(f"'{card}' begins with metadata between --- and --- that are no YAML mapping")
    return given, text[found.end() :]


def _metadata(run: RunDirectory, shared: Shared) -> dict[str, Any]:
    from huggingface_hub import EvalResult, ModelCardData

    report, formats = shared.report, [result["format"] for result in shared.accepted]
    noun = next((kind for kind in ("image", "text") if kind in report["model"]), "")
    pipeline = task_named(report["evaluation"]["task"]).pipelines.get(noun)
    recipe = yaml.safe_load(run.recipe.read_text(encoding="utf-8"))
    data = recipe.get("data", {})
    libraries = [library for format_, library in _LIBRARIES.items() if format_ in formats]
    results = [
        EvalResult(
            task_type=pipeline or report["task"],
            dataset_type=str(data.get("source")),
            dataset_name=str(data.get("name") or data.get("source")),
            dataset_split="test",
            metric_type=figure,
            metric_value=value,
            metric_name=f"{figure} of {result['file']}",
        )
        for result in shared.accepted
        for figure, value in _figures(result, report["evaluation"]["metric"]).items()
    ]
    card = ModelCardData(
        model_name=report["name"],
        library_name=libraries[0],
        pipeline_tag=pipeline,
        tags=["tfkit", *libraries],
        base_model=_base_models(run) or None,
        eval_results=results or None,
    )
    metadata: dict[str, Any] = card.to_dict()  # type: ignore[no-untyped-call]
    return metadata


def _figures(result: Mapping[str, Any], metric: str) -> dict[str, float]:
    """What was measured on a file, the deciding figure first."""
    figures = {metric: result["quality"], **result["figures"]}
    return {name: value for name, value in figures.items() if value is not None}


def _base_models(run: RunDirectory) -> list[str]:
    """Models of the Hub that went in; names of other kinds have no page there."""
    lineage = read_lineage(run.artifacts)
    names = [parent.name for parent in lineage.parents] if lineage is not None else []
    return list(dict.fromkeys(name.removeprefix("hf://") for name in names if name.startswith("hf://")))


def _copy_pictures(card: str, run: Path, folder: Path) -> list[str]:
    """Copy the pictures that a card shows and that lie in the run; tells those that do not."""
    notes = []
    for found in _PICTURE.finditer(card):
        said = unquote(found[1] or found[2])
        if re.match(r"[a-zA-Z][\w+.-]*:|/|#", said):
            continue
        source, target = run / said, folder / said
        private = source.is_relative_to(run / "golden") and not (folder / "golden").exists()
        if private or not source.resolve().is_relative_to(run.resolve()) or not source.is_file():
            why = "a golden sample" if private else "no file of the run"
            notes.append(f"the card shows {printable(said)}, which is {why}: it was left out")
        elif not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return notes
