"""Models that go into another: their files, and digests of them."""

from pathlib import Path

from tfkit.artifacts.artifact import path_sha256
from tfkit.artifacts.lineage import Parent, Role
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
    if not path.exists():
        return Parent(role, str(name))
    run = RunDirectory(path)
    if path.is_dir() and run.finished_models:
        path = run.float_model if run.float_model.is_file() else run.finished_models[0]
        return Parent(role, str(name), path_sha256(path), str(path))
    return Parent(role, str(name), path_sha256(path))
