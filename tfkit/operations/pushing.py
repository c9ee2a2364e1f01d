"""Share a finished run: as a repository of the Hugging Face Hub, or in a team's MLflow; what `tfkit push` does."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tfkit.artifacts import RunDirectory
from tfkit.deployment import log_run, new_bundle, repository_name, share_run, upload, write_repository
from tfkit.errors import ConfigError, printable
from tfkit.operations.values import PathLike, as_path

_HUB_NOTES = ("left out, because they show examples of the data: report.html, and those of report.json",)
_FORMS = "hf://USER/NAME or mlflow:EXPERIMENT"


@dataclass(frozen=True)
class PushOptions:
    """How a run is shared.

    Attributes:
        golden: Whether the golden samples, real examples of the test split, go with it.
        dry_run: A folder to write a repository into, in place of uploading it; nothing may be there.
        private: Whether a new repository is.
        revision: The repository's branch; `main` when None.
    """

    golden: bool = True
    dry_run: PathLike | None = None
    private: bool = False
    revision: str | None = None


@dataclass(frozen=True)
class Pushed:
    """What was shared.

    Attributes:
        place: Where it is now: an address, a store or a folder.
        files: The run's files that are there.
        notes: What to know of it, in sentences.
    """

    place: str
    files: tuple[str, ...]
    notes: tuple[str, ...]


def push(run: PathLike, destination: str, options: PushOptions | None = None) -> Pushed:
    """Share a finished run: its accepted files, with what proves and describes them.

    Args:
        run: The run's folder.
        destination: `hf://USER/NAME`, or `mlflow:EXPERIMENT`.
        options: How; the defaults when None.

    Returns:
        Where it is, and what to know of it.

    Raises:
        ConfigError: When the destination is none, or an option has no meaning there.
        ExportError: When no file of the run was accepted, it has changed, or cannot be sent.

    Example:
        >>> tfkit.operations.push("runs/digits", "hf://me/digits", PushOptions(dry_run="hub")).place  # doctest: +SKIP
        'hub'
    """
    directory, options = RunDirectory(Path(run)), options or PushOptions()
    kind, _, name = destination.partition(":")
    if kind == "hf":
        return _to_hugging_face(directory, repository_name(destination), options)
    if kind != "mlflow" or not name.strip():
        raise ConfigError(f"'{printable(destination)}' is no place to push to", hint=f"name {_FORMS}")
    if options.dry_run is not None or options.private or options.revision is not None:
        raise ConfigError("a dry run, --private and --revision are for hf://USER/NAME", hint="leave them out")
    with tempfile.TemporaryDirectory() as folder:
        shared = share_run(directory, Path(folder), golden=options.golden)
        logged = log_run(directory, Path(folder), shared, experiment=name)
    notes = (*shared.notes, "report.html, which went with it, shows examples of the data")
    files = tuple(result["file"] for result in shared.accepted)
    return Pushed(f"{logged.store}, experiment {name}, run {logged.run_id}", files, notes)


def _to_hugging_face(run: RunDirectory, name: str, options: PushOptions) -> Pushed:
    if (dry_run := as_path(options.dry_run)) is not None:
        with new_bundle(dry_run) as folder:
            written = write_repository(run, folder, golden=options.golden)
        return Pushed(str(dry_run), written.files, (*written.notes, *_HUB_NOTES, "a dry run: nothing was sent"))
    with tempfile.TemporaryDirectory() as temporary:
        written = write_repository(run, Path(temporary), golden=options.golden)
        address = upload(written, name, private=options.private, revision=options.revision)
    return Pushed(address, written.files, (*written.notes, *_HUB_NOTES))
