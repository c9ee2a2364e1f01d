"""Open any exported model with the runtime it is made for."""

from collections.abc import Callable
from pathlib import Path

from tfkit.artifacts import OUTSIDE, Artifact, ArtifactFormat, PixelScaling, PromptSpec, read_manifest
from tfkit.errors import ModelError, TfkitError
from tfkit.runtimes.isolated_litert import IsolatedLiteRTRuntime
from tfkit.runtimes.language_model_runtime import BUNDLE_SUFFIX, LanguageModelRuntime
from tfkit.runtimes.litert_runtime import LiteRTRuntime
from tfkit.runtimes.onnx_runtime import OnnxRuntime, of_nobody
from tfkit.runtimes.pixel_encoding import pixel_itself
from tfkit.runtimes.protocol import Runtime
from tfkit.runtimes.saved_model_runtime import SavedModelRuntime


def open_runtime(model: Path | Artifact, *, threads: int = 1, scaling: PixelScaling | None = None) -> Runtime:
    """Open an exported model.

    A `.tflite` file that tfkit did not write, or whose bytes have changed since, is run in a process of its own.

    Args:
        model: An artifact, a `.tflite` file, a SavedModel's version folder, or the folder above it (its highest
            version is taken, as a server does).
        threads: CPU threads.
        scaling: What an outside model of images takes for raw pixels; None for what it says itself. A file of tfkit
            takes the pixel, whatever its model was trained on.

    Returns:
        The runtime, to be closed or used in a `with` statement. Keras models are run with
        `KerasRuntime(model)`.

    Raises:
        ModelError: When it is neither a `.tflite` file nor a SavedModel, or cannot be loaded.

    Example:
        >>> with open_runtime(Path("model_int8.tflite"), threads=2) as runtime:
        ...     runtime.scores(pixels).shape
        (40, 2)
    """
    path = model.path if isinstance(model, Artifact) else model
    if not path.exists():
        raise ModelError(f"no model at '{path}'", hint="name a .tflite file or a SavedModel's folder")
    kind: ArtifactFormat = "saved_model" if path.is_dir() else _KINDS.get(path.suffix, "tflite")
    return _RUNTIMES[model.format if isinstance(model, Artifact) else kind](model, path, threads, scaling)


def _saved_model(model: Path | Artifact, path: Path, threads: int, scaling: PixelScaling | None) -> Runtime:
    return SavedModelRuntime(version_folder(path), threads=threads, scaling=scaling)


def _tflite(model: Path | Artifact, path: Path, threads: int, scaling: PixelScaling | None) -> Runtime:
    if (ours := _described(model)) is None:
        return IsolatedLiteRTRuntime(path, threads=threads, scaling=scaling)
    if isinstance(ours.input, PromptSpec):
        return LanguageModelRuntime(path, threads=threads)
    return LiteRTRuntime(path, threads=threads, scaling=pixel_itself(ours.signature.inputs[0]), own=True)


def _bundle(model: Path | Artifact, path: Path, threads: int, scaling: PixelScaling | None) -> Runtime:
    return LanguageModelRuntime(path, threads=threads)


def _onnx(model: Path | Artifact, path: Path, threads: int, scaling: PixelScaling | None) -> Runtime:
    if (ours := _described(model)) is None:
        raise of_nobody(path)
    return OnnxRuntime(path, ours.signature, threads=threads)


_KINDS: dict[str, ArtifactFormat] = {".onnx": "onnx", BUNDLE_SUFFIX: "litertlm"}
_Opener = Callable[[Path | Artifact, Path, int, PixelScaling | None], Runtime]
_RUNTIMES: dict[ArtifactFormat, _Opener] = {
    "saved_model": _saved_model,
    "tflite": _tflite,
    "onnx": _onnx,
    "litertlm": _bundle,
}


def _described(model: Path | Artifact) -> Artifact | None:
    """What tfkit wrote, to the byte: it exported it now, or a manifest names it by its sha256; None for others."""
    if isinstance(model, Artifact):
        return model if model.made_by != OUTSIDE else None
    try:
        return next((artifact for artifact in read_manifest(model.parent) if artifact.path.samefile(model)), None)
    except (TfkitError, OSError):
        return None


def version_folder(path: Path) -> Path:
    """The SavedModel's folder itself: `path`, or the highest version in it, as a server chooses.

    Args:
        path: `saved_model/1` or `saved_model`.

    Returns:
        The folder with `saved_model.pb`, or `path` when there is none.

    Example:
        >>> version_folder(Path("saved_model")).as_posix()
        'saved_model/1'
    """
    if (path / "saved_model.pb").exists():
        return path
    return max((folder for folder in path.iterdir() if folder.name.isdigit()), key=lambda f: int(f.name), default=path)
