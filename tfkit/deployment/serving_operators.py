"""Which versions of TensorFlow Serving know every operator of a SavedModel; they are those of TensorFlow."""

from collections.abc import Iterator
from pathlib import Path

from packaging.version import InvalidVersion, Version

from tfkit.errors import ExportError

OLDEST = "2.18"  # that was asked which operators it knows
WEBP_SINCE = "2.20"  # `DecodeImage` was there before, and read no WebP
# Operators that came later, with their version; a test compares the list with each version's own.
NEWER = {
    "DecodeJxl": "2.21",
    "DecodeWebP": "2.20",
    "TPUDummyInput": "2.20",
    "XlaSparseActivationsUnstack": "2.20",
    "XlaSparseGradientsStack": "2.20",
}
_ONLY_IN_PYTHON = {"PyFunc", "EagerPyFunc", "PyFuncStateless"}


def operators_of(saved_model: Path) -> frozenset[str]:
    """The operators of a SavedModel, those within its functions among them.

    Args:
        saved_model: Its folder.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    described = saved_model_pb2.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())

    def nodes() -> Iterator[str]:
        for graph in (meta.graph_def for meta in described.meta_graphs):
            yield from (node.op for node in graph.node)
            functions = {function.signature.name for function in graph.library.function}
            inside = (node.op for function in graph.library.function for node in function.node_def)
            yield from (name for name in inside if name not in functions)

    return frozenset(nodes())


def serving_since(saved_model: Path, image: str) -> str:
    """The first version of TensorFlow Serving, from 2.18 on, that knows all operators of a SavedModel.

    Args:
        saved_model: Its folder.
        image: TensorFlow Serving's image that is to run it; its tag says its version.

    Returns:
        A version such as `2.18`.

    Raises:
        ExportError: When an operator needs Python, or the image is older than one.

    Example:
        >>> serving_since(run.artifacts / "saved_model" / "1", "tensorflow/serving:2.19.1")  # doctest: +SKIP
        '2.18'
    """
    used = operators_of(saved_model)
    if python := sorted(used & _ONLY_IN_PYTHON):
        raise ExportError(
            f"'{saved_model}' has operators that need Python: {', '.join(python)}",
            hint="put the model's own layers in TensorFlow's operators",
        )
    newer = {name: since for name, since in NEWER.items() if name in used}
    least = max([OLDEST, *newer.values()], key=Version)
    running = version_of(image)
    if running is not None and running < Version(least):
        names = ", ".join(sorted(name for name, since in newer.items() if Version(since) > running))
        raise ExportError(
            f"'{image}' does not know {names}, which TensorFlow Serving has from {least} on",
            hint=f"name an image of {least} or later: --serving-image",
        )
    return least


def version_of(image: str) -> Version | None:
    """The version that an image's tag says; None where it says none.

    Example:
        >>> str(version_of("tensorflow/serving:2.19.1-gpu"))
        '2.19.1'
    """
    tag = image.rpartition(":")[2].partition("-")[0].partition("@")[0]
    try:
        return Version(tag)
    except InvalidVersion:
        return None


def refused_pictures(image: str) -> str:
    """What kind of picture an image's version refuses, in a sentence; empty for nothing, or an unknown version.

    Example:
        >>> refused_pictures("tensorflow/serving:2.19.1")
        'TensorFlow Serving 2.19.1 refuses WebP: it reads that from 2.20 on'
    """
    running = version_of(image)
    if running is None or running >= Version(WEBP_SINCE):
        return ""
    return f"TensorFlow Serving {running} refuses WebP: it reads that from {WEBP_SINCE} on"
