"""manifest.json and SHA256SUMS: what lies in an artifacts folder, and how each file was made."""

import hashlib
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tfkit.arguments import takes_text
from tfkit.artifacts.artifact import Artifact
from tfkit.artifacts.lineage import Lineage
from tfkit.errors import ExportError, printable
from tfkit.files import read_regular_file, write_whole

if TYPE_CHECKING:
    from tfkit.artifacts.manifest_schema import FileEntry, Manifest

CHECK_SUMS_NAME = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_AGAIN = "copy it again from where it was made, or export the model again"


def write_check_sums(folder: Path, *, leave_out: Collection[str] = ()) -> Path:
    """Write `SHA256SUMS` for everything below a folder; `sha256sum --check SHA256SUMS` in it compares them too.

    Args:
        folder: The folder; hidden files are passed over.
        leave_out: Files and folders directly in it that may change later.

    Returns:
        The path of `SHA256SUMS`.

    Example:
        >>> Path("shipped").mkdir()
        >>> written = Path("shipped/labels.txt").write_text("ants")
        >>> write_check_sums(Path("shipped"))
        PosixPath('shipped/SHA256SUMS')
        >>> list(read_check_sums(Path("shipped")))
        ['labels.txt']
    """
    files = sorted(file.relative_to(folder).as_posix() for file in _files(folder, leave_out))
    path = folder / CHECK_SUMS_NAME
    write_whole(path, "".join(f"{file_sha256(folder / name)}  {name}\n" for name in files))
    return path


def read_check_sums(folder: Path) -> dict[str, str] | None:
    """SHA-256 by file of a folder; None when it has no `SHA256SUMS`.

    Raises:
        ExportError: When `SHA256SUMS` itself is damaged.
    """
    path = folder / CHECK_SUMS_NAME
    if not path.is_file():
        return None
    try:
        lines = path.read_bytes().decode().removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError):
        raise ExportError(f"'{path}' is damaged: it is not UTF-8 text", hint=_AGAIN) from None
    found = [_LINE.fullmatch(line) for line in lines]
    for number, match in enumerate(found, start=1):
        if match is None:
            raise ExportError(f"'{path}' is damaged: line {number} is no check sum and name", hint=_AGAIN)
    sums = {match[2]: match[1] for match in found if match is not None}
    if len(sums) < len(lines):
        raise ExportError(f"'{path}' is damaged: a file stands twice", hint=_AGAIN)
    return sums


def refuse_changed_files(folder: Path, *, only: Collection[str] | None = None) -> None:
    """Compare the files of a folder with its `SHA256SUMS`; a folder without one is passed over.

    Args:
        folder: The folder.
        only: Which files, relative to it; all that are listed when None.

    Raises:
        ExportError: When a file has other bytes than were written, or is not there; names all of them.
    """
    sums = read_check_sums(folder)
    if sums is None:
        return
    names = list(sums) if only is None else [name for name in only if (folder / name).is_file() or name in sums]
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ExportError(
            f"'{folder / CHECK_SUMS_NAME}' names files that are not there: {_listed(missing)}", hint=_AGAIN
        )
    changed = [name for name in names if sums.get(name) != file_sha256(folder / name)]
    if changed:
        told = (
            f"{_listed([str(folder / name) for name in changed])}: other bytes than '{folder / CHECK_SUMS_NAME}' says"
        )
        raise ExportError(f"{told} that tfkit wrote", hint=_AGAIN)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in blocks.

    Example:
        >>> written = Path("ants.txt").write_text("ants")
        >>> file_sha256(Path("ants.txt"))[:8]
        'b9ff6bf2'
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _listed(names: list[str]) -> str:
    return printable(", ".join(names[:10])) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _files(folder: Path, leave_out: Collection[str]) -> Iterator[Path]:
    for file in folder.rglob("*"):
        parts = file.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts)
        if file.is_file() and not hidden and parts[0] not in leave_out and parts != (CHECK_SUMS_NAME,):
            yield file


MANIFEST_NAME = "manifest.json"
LABELS_NAME = "labels.txt"


@takes_text
def write_manifest(artifacts: tuple[Artifact, ...], directory: Path, *, lineage: Lineage | None = None) -> Path:
    """Write `manifest.json` for the artifacts of one model, `labels.txt` where it has classes, and `SHA256SUMS`.

    Args:
        artifacts: The artifacts, all below `directory` and with the same class names.
        directory: The artifacts folder.
        lineage: Where they come from; None where that is not known.

    Returns:
        The manifest's path.
    """
    entries = []
    for artifact in artifacts:
        entry = asdict(replace(artifact, layers=()))
        del entry["layers"], entry["input"]
        entry["path"] = artifact.path.relative_to(directory).as_posix()
        entry[artifact.input.manifest_key] = artifact.input.manifest_entry(directory)
        entries.append({**entry, "bytes": artifact.bytes, "sha256": artifact.sha256})
    path = directory / MANIFEST_NAME
    told = {} if lineage is None else {"lineage": asdict(lineage)}
    write_whole(path, json.dumps({"version": 2, "artifacts": entries, **told}, indent=2) + "\n")
    if artifacts and artifacts[0].class_names:
        write_whole(directory / LABELS_NAME, labels_file(artifacts[0].class_names))
    write_check_sums(directory)
    return path


def labels_file(class_names: tuple[str, ...]) -> str:
    """What a labels file holds: one label a line, in the order of the scores.

    Example:
        >>> labels_file(("ants", "bees")).split()
        ['ants', 'bees']
    """
    return "".join(f"{name}\n" for name in class_names)


def labels_of_file(content: bytes) -> tuple[str, ...]:
    """The labels that a labels file holds; blanks around them and empty lines are left out.

    Raises:
        UnicodeDecodeError: When it is not UTF-8.

    Example:
        >>> labels_of_file(labels_file(("ants", "bees")).encode())
        ('ants', 'bees')
    """
    lines = content.decode("utf-8-sig").split("\n")  # -sig: editors of Windows begin with a mark
    return tuple(line.strip() for line in lines if line.strip())


@takes_text
def read_manifest(directory: Path, *, only: Path | None = None, compare: bool = True) -> tuple[Artifact, ...]:
    """Read the artifacts that `write_manifest` described, and compare the folder with what was written.

    Args:
        directory: An artifacts folder.
        only: The one exported file, or SavedModel, to compare; all of them when None. The manifest itself, labels,
            tokenizer and search index are compared always.
        compare: Whether files are read and compared at all; without it only the manifest's form is checked.

    Returns:
        The artifacts, in the order they were written.

    Raises:
        ExportError: When there is no manifest, it is not as `manifest_schema` says, or a file is missing, lies outside
            of the folder or has other bytes than were written.
    """
    from tfkit.artifacts.manifest_schema import parse_manifest  # pydantic takes a tenth of a second

    path = directory / MANIFEST_NAME
    try:
        manifest = parse_manifest(read_regular_file(path))
        artifacts = tuple(_read_entry(entry, directory) for entry in manifest.artifacts)
    except FileNotFoundError:
        raise ExportError(
            f"no {MANIFEST_NAME} in '{directory}'",
            hint="name an artifacts folder that tfkit wrote, or one .tflite file",
        ) from None
    except (ValueError, OSError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise ExportError(f"'{path}' is not a tfkit manifest: {reason}", hint="export the model again") from None
    missing = [str(artifact.path) for artifact in artifacts if not artifact.path.exists()]
    if missing:
        raise ExportError(
            f"'{path}' names files that are not there: {', '.join(missing)}", hint="export the model again"
        )
    if compare:
        _compare(directory, manifest, artifacts, only)
    return artifacts


@takes_text
def read_lineage(directory: Path) -> Lineage | None:
    """Where the files of an artifacts folder come from, as its manifest says; the folder is compared first.

    Args:
        directory: An artifacts folder.

    Returns:
        What is known; None where the manifest does not say.

    Raises:
        ExportError: As for `read_manifest`.
    """
    from tfkit.artifacts.manifest_schema import parse_manifest

    read_manifest(directory)
    return parse_manifest(read_regular_file(directory / MANIFEST_NAME)).lineage


def _compare(directory: Path, manifest: "Manifest", artifacts: tuple[Artifact, ...], only: Path | None) -> None:
    path = directory / MANIFEST_NAME
    sums = read_check_sums(directory)
    if sums is None and manifest.version > 1:
        raise ExportError(f"'{directory / CHECK_SUMS_NAME}' is missing", hint="copy the whole folder again")
    folders = tuple(f"{artifact.path.relative_to(directory).as_posix()}/" for artifact in artifacts)
    models = {folder.removesuffix("/") for folder in folders}
    beside = {name for name in sums or () if name not in models and not name.startswith(folders)}
    written = {MANIFEST_NAME, LABELS_NAME} if artifacts[0].class_names else {MANIFEST_NAME}
    refuse_changed_files(directory, only=sorted(beside | written))
    for entry in manifest.artifacts if sums is not None else ():
        if _listed_sha256(entry.path, sums or {}) != entry.sha256:
            told = f"'{directory / CHECK_SUMS_NAME}' and '{path}' do not say the same of '{entry.path}'"
            raise ExportError(told, hint="copy the whole folder again, or export the model again")
    wanted = [
        (artifact, entry)
        for artifact, entry in zip(artifacts, manifest.artifacts, strict=True)
        if only is None or artifact.path.resolve() == only.resolve()
    ]
    changed = [
        str(artifact.path)
        for artifact, entry in wanted
        if (artifact.bytes, artifact.sha256) != (entry.bytes, entry.sha256)
    ]
    if changed:
        raise ExportError(
            f"{', '.join(changed)}: other bytes than '{path}' says that tfkit wrote (sha256 and size)",
            hint="copy the file again from where it was exported, or export the model again",
        )


def _listed_sha256(name: str, sums: dict[str, str]) -> str:
    """What `Artifact.sha256` would be of files with these check sums."""
    if name in sums:
        return sums[name]
    digest = hashlib.sha256()
    for file in sorted(Path(listed).relative_to(name) for listed in sums if listed.startswith(f"{name}/")):
        digest.update(str(file).encode() + b"\0")
        digest.update(bytes.fromhex(sums[f"{name}/{file.as_posix()}"]))
    return digest.hexdigest()


_EMBEDDING, _UNSAID = "embedding", "classification"  # manifests of old say nothing of embedders


def _read_entry(entry: "FileEntry", directory: Path) -> Artifact:
    path = _inside(entry.path, directory)
    return Artifact(
        path=path,
        format=entry.format,
        quantization=entry.quantization,
        signature=entry.signature,
        input=entry.input_spec(directory),
        class_names=entry.class_names,
        made_by=entry.made_by,
        task=_EMBEDDING if not entry.class_names and entry.task == _UNSAID else entry.task,
        thresholds=entry.thresholds,
    )


def _inside(name: str, directory: Path) -> Path:
    path = directory / name
    if "\0" in name or path == directory or not path.resolve().is_relative_to(directory.resolve()):
        raise ValueError(f"the path '{name}' leaves its folder")
    return path
