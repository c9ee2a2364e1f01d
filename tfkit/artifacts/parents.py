"""Models that go into another: their files, and digests of them."""

import hashlib
from pathlib import Path

from tfkit.artifacts.lineage import Parent, Role
from tfkit.artifacts.manifest import file_sha256
from tfkit.artifacts.run_directory import RunDirectory


def parent_of(role: Role, name: str | Path) -> Parent:
    """Describe a model that goes into another.

    Args:
        role: What it is.
        name: A preset's name, a file, or a folder: of a run, whose model counts, or of any other.

    Returns:
        What is known of it now.

    Example:
        >>> parent_of("weights", "imagenet").sha256 is None
        True
    """
    path = Path(name)
    if path.is_dir():
        models = RunDirectory(path).finished_models
        if models:
            file = RunDirectory(path).float_model if RunDirectory(path).float_model in models else models[0]
            return Parent(role, str(name), file_sha256(file), str(file))
        return Parent(role, str(name), folder_sha256(path))
    return Parent(role, str(name), file_sha256(path) if path.is_file() else None)


def folder_sha256(folder: Path) -> str:
    """A digest of the names and contents of all files below a folder.

    Example:
        >>> len(folder_sha256(Path(".")))
        64
    """
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(bytes.fromhex(file_sha256(file)))
    return digest.hexdigest()
