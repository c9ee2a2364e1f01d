"""The folder of a bundle: written whole or not at all, sealed by check sums, and compared again by `tfkit verify`."""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from tfkit.artifacts import Artifact, Lineage, RunDirectory, read_lineage
from tfkit.artifacts.manifest import CHECK_SUMS_NAME, read_check_sums, refuse_changed_files, write_check_sums
from tfkit.errors import ExportError, RunError, printable
from tfkit.files import read_regular_file, write_whole
from tfkit.version import __version__

BUNDLE_NAME = "bundle.json"
SIGNATURE_NAME = "model.sig"  # of `tfkit sign`, which comes after the check sums
BundleKind = Literal["serving", "web", "triton", "server-cpu", "mobile", "npu"]
YOURS = ("api_keys.conf",)  # files that whoever starts the bundle writes into
# What npm puts into a bundle for browsers, Python and CMake into one for devices.
_INSTALLED = ("node_modules/", "package-lock.json", "linux/__pycache__/", "build/", "micro/build/")
_GUIDES = ("SERVING.md", "WEB.md", "TRITON.md", "SERVER_CPU.md", "MOBILE.md", "NPU.md")
_AGAIN = "copy the whole bundle again, or package the run again"


@dataclass(frozen=True)
class Bundle:
    """What a bundle says of itself.

    Attributes:
        kind: What it is for: `serving`, TensorFlow Serving; `web`, browsers; `triton`, NVIDIA Triton; `server-cpu`,
            engines for CPU servers; `mobile`, phones and small computers; `npu`, microcontrollers with an Ethos-U NPU.
        model: The model's name on the server.
        versions: By number of the version, the SHA-256 of its model, as the run's manifest says it.
        labels: Names of versions that clients ask for, such as `stable`, and their numbers.
        checked: What was checked when it was made, in sentences.
        not_checked: What was not, in sentences.
        made_by: The tfkit that made it.
        lineage: By number of the version, where its model comes from; older bundles do not say.
    """

    kind: BundleKind
    model: str
    versions: Mapping[str, str]
    labels: Mapping[str, int]
    checked: tuple[str, ...]
    not_checked: tuple[str, ...]
    made_by: str
    lineage: Mapping[str, Lineage]

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        return f"'{self.model}' for {self.kind}, version {', '.join(self.versions)}, by {self.made_by}"

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is to be said of one that was read."""
        checked = (f"checked when it was made: {sentence}" for sentence in self.checked)
        not_checked = (f"not checked: {sentence}" for sentence in self.not_checked)
        return ("every file is as it was written", *checked, *not_checked)


@contextlib.contextmanager
def new_bundle(destination: Path) -> Iterator[Path]:
    """Give a folder that becomes the bundle when the block ends without a fault; else nothing is left of it.

    Args:
        destination: Where the bundle shall be; nothing may be there.

    Yields:
        A folder beside it to write into.

    Raises:
        RunError: When something is there already, or the folder cannot be made.

    Example:
        >>> with new_bundle(Path("digits-serving")) as folder:
        ...     written = (folder / "SERVING.md").write_text("start it so")
        >>> Path("digits-serving/SERVING.md").is_file()
        True
    """
    if destination.exists() or destination.is_symlink():
        raise RunError(f"'{destination}' is there already", hint="name another folder, or remove it")
    unfinished = destination.with_name(f".unfinished-{destination.name}")
    shutil.rmtree(unfinished, ignore_errors=True)  # of one that was killed
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        unfinished.replace(destination)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def seal_bundle(folder: Path, bundle: Bundle) -> None:
    """Write what a bundle says of itself, and the check sums of all its files; the last thing that is written.

    Args:
        folder: The bundle's folder.
        bundle: What it says.
    """
    write_whole(folder / BUNDLE_NAME, json.dumps({"version": 1, **asdict(bundle)}, indent=2) + "\n")
    write_check_sums(folder, leave_out=YOURS)


def seal_run(
    folder: Path,
    kind: BundleKind,
    name: str,
    run: RunDirectory,
    served: Artifact,
    *,
    checked: Sequence[str],
    not_checked: Sequence[str],
    version: int = 1,
    older: Mapping[int, str] | None = None,
    labels: Mapping[str, int] | None = None,
    previous: Path | None = None,
) -> Bundle:
    """Seal a bundle of a run's file.

    Args:
        folder: The bundle's folder.
        kind: What it is for.
        name: What the model is called.
        run: The run.
        served: Its file.
        checked: What was checked, in sentences.
        not_checked: What was not, in sentences.
        version: The number of the file's version.
        older: The SHA-256 of other versions that are in it, by number.
        labels: Names of versions that clients ask for, and their numbers.
        previous: The bundle that the other versions come from.

    Returns:
        What it says of itself.

    Example:
        >>> bundle = seal_run(folder, "web", "digits", run, served, checked=(), not_checked=())  # doctest: +SKIP
    """
    versions = {str(number): sha256 for number, sha256 in (older or {}).items()} | {str(version): served.sha256}
    lineage = _lineage_of(run, version, previous=previous)
    told = tuple(checked), tuple(not_checked)
    bundle = Bundle(kind, name, versions, labels or {}, *told, f"tfkit {__version__}", lineage)
    seal_bundle(folder, bundle)
    return bundle


def _lineage_of(run: RunDirectory, version: int, *, previous: Path | None = None) -> dict[str, Lineage]:
    """Where the versions of a new bundle come from; those that do not say it are left out."""
    found = read_lineage(run.artifacts)
    lineage = {} if found is None else {str(version): found}
    older = None if previous is None else read_bundle(previous)
    if older is not None and (newest := max(older.versions, key=int)) in older.lineage:
        lineage = {newest: older.lineage[newest], **lineage}
    return lineage


def read_bundle(folder: Path) -> Bundle | None:
    """Read a bundle, and compare all its files with what was written.

    Args:
        folder: Any folder.

    Returns:
        What the bundle says of itself; None for a folder that is no bundle.

    Raises:
        ExportError: When a file of it has other bytes than were written, is missing, or was not written by tfkit.

    Example:
        >>> read_bundle(Path("runs")) is None
        True
    """
    if not is_bundle(folder):
        if not any((folder / guide).is_file() for guide in _GUIDES):
            return None
        raise ExportError(f"'{folder / BUNDLE_NAME}' is missing from a bundle", hint=_AGAIN)
    sums = read_check_sums(folder)
    if sums is None:
        raise ExportError(f"'{folder / CHECK_SUMS_NAME}' is missing from a bundle", hint=_AGAIN)
    refuse_changed_files(folder)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    there = {name for name in there if not changed_later(folder, name)}
    if strangers := sorted(there - set(sums) - {CHECK_SUMS_NAME, SIGNATURE_NAME}):
        told = printable(", ".join(strangers[:10]))
        raise ExportError(f"'{folder}' holds files that the bundle was not written with: {told}", hint=_AGAIN)
    said = json.loads(read_regular_file(folder / BUNDLE_NAME))
    try:
        said.pop("version")
        sentences = {name: _told(said[name]) for name in ("checked", "not_checked")}
        return Bundle(**{**said, **sentences, "lineage": _lineage(said.get("lineage", {}))})
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ExportError(f"'{folder / BUNDLE_NAME}' is none that this tfkit writes", hint=_AGAIN) from None


def is_bundle(folder: Path) -> bool:
    """Whether a folder says that it is a bundle; its files are not compared.

    Example:
        >>> is_bundle(Path("runs"))
        False
    """
    return (folder / BUNDLE_NAME).is_file()


def changed_later(folder: Path, name: str) -> bool:
    """Whether a file of a bundle is one that its user, or npm, writes: neither check sums nor signatures cover it.

    Args:
        folder: A bundle, or another folder, which has none.
        name: The file, relative to it.

    Example:
        >>> changed_later(Path("runs"), "api_keys.conf")
        False
    """
    return is_bundle(folder) and (name in YOURS or name.startswith(_INSTALLED))


def _lineage(said: object) -> dict[str, Lineage]:
    from pydantic import TypeAdapter

    lineage: dict[str, Lineage] = TypeAdapter(dict[str, Lineage]).validate_json(json.dumps(said), strict=True)
    return lineage


def _told(sentences: Sequence[str]) -> tuple[str, ...]:
    return tuple(sentences)
