"""Keras models on disk: load them whatever Keras wrote them, and save them so that nothing good is ever lost."""

import contextlib
import importlib
import math
import re
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import psutil

import tfkit.layers  # noqa: F401  - registers the layers that compressed models hold
from tfkit.arguments import takes_text
from tfkit.artifacts import RunDirectory
from tfkit.errors import ModelError, RunError
from tfkit.files import inflated_fault, written_whole
from tfkit.foreign_hdf5 import hdf5_fault
from tfkit.keras_types import LayerConfig, Shape
from tfkit.models.custom_objects import unknown_layers
from tfkit.models.keras2 import is_keras_2, load_keras_2
from tfkit.models.stored_layers import held_weights_only


class _Keras2DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Reads the config of Keras 2, whose DepthwiseConv2D wrote a `groups` that it never used."""

    @classmethod
    def from_config(cls, config: LayerConfig) -> keras.layers.Layer:
        known = {key: value for key, value in config.items() if key != "groups"}
        return keras.layers.DepthwiseConv2D.from_config(known)


class _Keras2Functional(keras.Model):
    """Reads the config of Keras 2, which wrapped a nested model's only input and output in one more list."""

    @classmethod
    def from_config(
        cls, config: LayerConfig, custom_objects: dict[str, type[keras.Layer]] | None = None
    ) -> keras.Model:
        ends = {key: config[key] for key in ("input_layers", "output_layers") if key in config}
        single: LayerConfig = {
            key: end[0]
            for key, end in ends.items()
            if isinstance(end, list) and len(end) == 1 and isinstance(end[0], list)
        }
        return keras.Model.from_config({**config, **single}, custom_objects=custom_objects)


# Keras's own words for a layer that raises, and what stands in them for terminals and for TensorFlow's authors.
_LAYER_FAILED = re.compile(
    r"Exception encountered when calling (\w+).*?\n\s*(.+?)\s*(?:Arguments received|$)", re.DOTALL
)
_NO_WORDS = re.compile(r"\x1b\[\d*m|\{\{.*?\}\}|\[Op:\w+\] name:")
_ON_KERAS_HUB = {
    b"tfkit>Adapted": "tfkit.models.text.adapters",
    b"tfkit>LanguageModel": "tfkit.models.text.language_model",
}
_MOST_TRIED = 1 << 20  # numbers of an input: larger ones take seconds to run
_KERAS_2: dict[str, type[keras.Layer]] = {"DepthwiseConv2D": _Keras2DepthwiseConv2D, "Functional": _Keras2Functional}


@takes_text
def load_model_file(path: Path) -> keras.Model:
    """Load a whole model for inference or further training; its compile state is left behind.

    Args:
        path: A `.keras` or `.h5` file of Keras 2 or 3, a SavedModel folder of Keras 2, or a run's folder (its
            `models/float.keras`). What Keras 2 saved is built again in Keras 3 and compared.

    Returns:
        The model.

    Raises:
        ModelError: When there is no such file, or it is not a model that this Keras can load.
        ExportError: When a finished run wrote it and its bytes have changed since.

    Example:
        >>> load_model_file(Path("model.keras")).output_shape
        (None, 2)
    """
    if path.is_dir() and is_keras_2(path):
        return load_keras_2(path)
    file = path / "models" / "float.keras" if path.is_dir() else path
    if not file.is_file():
        hint = (
            "the run has not finished its training" if path.is_dir() else "name a .keras or .h5 file, or a run's folder"
        )
        raise ModelError(f"there is no model at '{file}'", hint=hint)
    if file.name.endswith(".weights.h5"):
        raise ModelError(
            f"'{file}' holds weights without the model they belong to",
            hint="name the architecture with model.backbone=NAME and this file with model.weights=FILE",
        )
    ours = file.parent.name == "models" and RunDirectory(file.parent.parent).vouches_for(file)
    if not ours:
        _refuse_damaged(file)
    if is_keras_2(file):
        return load_keras_2(file)
    try:
        with warnings.catch_warnings(), held_weights_only(file, keras.layers.Layer):
            warnings.simplefilter("ignore")
            _register_what_needs_keras_hub(file)
            objects = None if file.suffix == ".keras" else _KERAS_2
            model = keras.models.load_model(file, compile=False, custom_objects=objects)
    except Exception as fault:  # Keras raises a dozen kinds here, from zipfile's to its own
        if unknown := unknown_layers(file):
            raise ModelError(
                f"'{file}' has layers of its own that are not known here: {'; '.join(unknown)}",
                hint="say where they are: --custom-objects FILE.py, or a module; model.custom_objects in recipes",
            ) from fault
        raise ModelError(
            f"'{file}' cannot be loaded as a Keras model: {_reason(fault)}",
            hint="tfkit takes whole models of built-in layers, saved as .keras or .h5 by Keras 2 or 3",
        ) from fault
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise ModelError(
            f"'{file}' has no graph of layers: it is a subclassed model, or holds no layer",
            hint="rebuild it with the functional API and save it again",
        )
    if not ours:
        _refuse_what_no_memory_holds(model, file)
        _refuse_uncallable(model, file)
    return model


def _refuse_what_no_memory_holds(model: keras.Model, file: Path) -> None:
    """Refuse a layer whose answer for one input is larger than this machine's free memory, before it is asked."""
    free = psutil.virtual_memory().available
    for name, shape in _answer_shapes(model):
        numbers = math.prod(size for size in shape[1:] if isinstance(size, int))
        if numbers * np.dtype(np.float32).itemsize > free:
            raise ModelError(
                f"'{file}' cannot be run: its layer '{name}' gives {numbers:,} numbers for one input, shape {shape}; "
                f"{free / 1e9:.1f} GB of memory are free",
                hint="its settings were changed or are meant for another machine; mend them where the model was made",
            )


def _answer_shapes(model: keras.Model) -> Iterator[tuple[str, Shape]]:
    operations = model.layers if isinstance(model, keras.Sequential) else getattr(model, "operations", model.layers)
    for operation in operations:
        if isinstance(operation, keras.Model):
            yield from _answer_shapes(operation)
        with contextlib.suppress(AttributeError, ValueError):  # called several times, or never
            yield from ((operation.name, tuple(tensor.shape)) for tensor in keras.tree.flatten(operation.output))


def _refuse_uncallable(model: keras.Model, file: Path) -> None:
    """Run zeros through a model: Keras builds layers whose settings do not fit what they are given."""

    def shape(tensor: keras.KerasTensor) -> tuple[int, ...]:
        return (tensor.shape[0] or 1, *tensor.shape[1:])

    taken = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    shapes = [shape(tensor) for tensor in keras.tree.flatten(taken)]
    if any(None in sizes or math.prod(sizes) > _MOST_TRIED for sizes in shapes):
        return
    try:
        model(keras.tree.map_structure(lambda tensor: np.zeros(shape(tensor), tensor.dtype), taken), training=False)
    except Exception as fault:  # of the layer's own kind; whatever else it is, whoever runs the model will say it
        if (told := _LAYER_FAILED.search(str(fault))) is None:
            return
        reason = " ".join(_NO_WORDS.sub("", told[2]).split())[:300]
        raise ModelError(
            f"'{file}' cannot be run: its layer {told[1]} fails: {reason}",
            hint="its settings do not fit what it is given; mend them where the model was made, and save it again",
        ) from fault


def _refuse_damaged(file: Path) -> None:
    """Refuse what would fill the memory, archives in which a byte has changed, and what HDF5 must not read here."""
    try:
        reason = _archive_fault(file) if zipfile.is_zipfile(file) else None
        reason = reason or hdf5_fault(file)
    except Exception as fault:  # of zipfile and zlib: a dozen kinds
        reason = _first_line(fault)
    if reason is not None:
        hint = "copy or save it again"
        raise ModelError(f"'{file}' cannot be loaded as a Keras model: it is damaged ({reason})", hint=hint)


def _archive_fault(file: Path) -> str | None:
    if (reason := inflated_fault(file)) is not None:
        return reason
    with zipfile.ZipFile(file) as archive:  # Keras asks for no check sum
        member = archive.testzip()
    return None if member is None else f"the check sum of its '{member}' is wrong"


def _register_what_needs_keras_hub(file: Path) -> None:
    """Register what stands on keras-hub, for a file that holds it: keras-hub takes seconds to import."""
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        config = archive.read("config.json") if "config.json" in archive.namelist() else b""
    for name, module in _ON_KERAS_HUB.items():
        if name in config:
            importlib.import_module(module)


@takes_text
def save_model_file(model: keras.Model, path: Path) -> None:
    """Save a model as `.keras`; what stood there before stays until the new file is whole.

    When the disk is full or the folder cannot be written, the model is kept in the system's temporary folder.

    Args:
        model: Any Keras model.
        path: Where, ending in `.keras`.

    Raises:
        RunError: When it could not be written there; says where the model was kept instead.

    Example:
        >>> save_model_file(model, Path("kept.keras"))
        >>> load_model_file(Path("kept.keras")).output_shape
        (None, 2)
    """
    try:
        _save_whole(model, path)
    except OSError as fault:
        reason = "the disk is full" if "space" in str(fault).lower() else _first_line(fault)
        raise RunError(f"cannot write '{path}': {reason}", hint=_keep_elsewhere(model, path)) from fault


def _save_whole(model: keras.Model, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished:
        model.save(unfinished)


def _keep_elsewhere(model: keras.Model, path: Path) -> str:
    try:
        rescue = Path(tempfile.mkdtemp(prefix="tfkit-rescued-")) / path.name
        _save_whole(model, rescue)
    except OSError:
        return "free some space and run again; the temporary folder could not take the model either"
    return f"the model was kept in '{rescue}'; free some space, move it, then `tfkit export` it"


_UNKNOWN_SETTING = re.compile(r"(\w+)\.__init__\(\) got an unexpected keyword argument ('[^']*')")
_MISSING_SETTING = re.compile(r"(\w+)\.__init__\(\) missing \d+ required [\w-]+ arguments?: ([^\n]*)")


def _reason(fault: BaseException) -> str:
    """What went wrong: Keras begins with that something did, and ends with the layer's own fault."""
    if found := _UNKNOWN_SETTING.search(str(fault)):
        return f"a {found[1]} in it has a setting that it cannot have, {found[2]}"
    if found := _MISSING_SETTING.search(str(fault)):
        return f"a {found[1]} in it lacks a setting that it must have, {found[2]}"
    if isinstance(fault, KeyError):
        return f"its description lacks {fault}"
    causes = re.findall(r"(?:Exception encountered|Error when deserializing class|Exception: )[^\n]*", str(fault))
    cause = fault.__cause__ or fault.__context__
    inner = f" ({_first_line(cause)})" if cause is not None and _first_line(cause) not in _first_line(fault) else ""
    told = [_first_line(fault), *(line[:300] for line in causes if line[:300] not in _first_line(fault))]
    return ": ".join(told[:2]) + inner


def _first_line(fault: BaseException) -> str:
    lines = str(fault).strip().splitlines()
    return lines[0][:300] if lines else type(fault).__name__
