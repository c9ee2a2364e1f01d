"""Open any exported model with the runtime it is made for."""

from pathlib import Path

from tfkit.artifacts import OUTSIDE, Artifact, read_manifest
from tfkit.errors import ModelError, TfkitError
from tfkit.runtimes.isolated_litert import IsolatedLiteRTRuntime
from tfkit.runtimes.litert_runtime import LiteRTRuntime
from tfkit.runtimes.protocol import Runtime
from tfkit.runtimes.saved_model_runtime import SavedModelRuntime


def open_runtime(model: Path | Artifact, *, threads: int = 1) -> Runtime:
    """Open an exported model.

    A `.tflite` file that tfkit did not write, or whose bytes have changed since, is run in a process of its own.

    Args:
        model: An artifact, a `.tflite` file, a SavedModel's version folder, or the folder above it (its highest
            version is taken, as a server does).
        threads: CPU threads.

    Returns:
        The runtime, to be closed or used in a `with` statement. Keras models are run with
        `KerasRuntime(model)`.

    Raises:
        ModelError: When it is neither a `.tflite` file nor a SavedModel, or cannot be loaded.

    Example:
        >>> with open_runtime(Path("model_int8.tflite"), threads=2) as runtime:  # doctest: +SKIP
        ...     runtime.scores(pixels)
    """
    path = model.path if isinstance(model, Artifact) else model
    if path.is_dir():
        return SavedModelRuntime(version_folder(path), threads=threads)
    if not path.exists():
        raise ModelError(f"no model at '{path}'", hint="name a .tflite file or a SavedModel's folder")
    if _is_ours(model):
        return LiteRTRuntime(path, threads=threads)
    return IsolatedLiteRTRuntime(path, threads=threads)


def _is_ours(model: Path | Artifact) -> bool:
    """Whether tfkit wrote the very bytes: what it exported now, or a manifest names by their sha256."""
    if isinstance(model, Artifact):
        return model.made_by != OUTSIDE
    try:
        return any(artifact.path.samefile(model) for artifact in read_manifest(model.parent))
    except (TfkitError, OSError):
        return False


def version_folder(path: Path) -> Path:
    """The SavedModel's folder itself: `path`, or the highest version in it, as a server chooses.

    Args:
        path: `saved_model/1` or `saved_model`.

    Returns:
        The folder with `saved_model.pb`, or `path` when there is none.
    """
    if (path / "saved_model.pb").exists():
        return path
    return max((folder for folder in path.iterdir() if folder.name.isdigit()), key=lambda f: int(f.name), default=path)
