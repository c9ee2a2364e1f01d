"""Models that Keras 2 saved, loaded with tf-keras and built again in Keras 3, layer by layer.

tf-keras is imported by the first call, never before.
"""

import importlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.errors import ModelError
from tfkit.graph import give_weights
from tfkit.keras_types import Array, LayerConfig, Tensor
from tfkit.models.keras2_layers import OPERATIONS, converted_layer, converted_operation, plain_name
from tfkit.models.stored_layers import held_weights_only

if TYPE_CHECKING:
    import tf_keras
    from tf_keras.src.engine.keras_tensor import KerasTensor as Keras2Tensor
    from tf_keras.src.engine.node import Node as Keras2Node

_TRUSTED = ("keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras", "builtins")
_PYTHON = {"Lambda", "__lambda__", "function"}
# Keras 2 and 3 run the same kernels in other orders: differences of the last bits of a float32 sum.
_TOLERANCE = 1e-4


def is_keras_2(path: Path) -> bool:
    """Whether Keras 2 wrote a file (`.h5`, `.keras`) or a folder (SavedModel); False for what cannot be told.

    Example:
        >>> is_keras_2(Path("model.keras"))
        False
    """
    if path.is_dir():
        return (path / "saved_model.pb").is_file()
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return str(json.loads(archive.read("metadata.json"))["keras_version"]).startswith("2.")
        with h5py.File(path) as file:
            return _text(file.attrs.get("keras_version", "")).startswith("2.")
    except (
        OSError,
        KeyError,
        ValueError,
        TypeError,
        RuntimeError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ):
        return False


def load_keras_2(path: Path) -> keras.Model:
    """Load a whole model of Keras 2 (TF 2.4 to 2.15) as a Keras 3 model with the same weights and answers.

    Args:
        path: An `.h5` or `.keras` file, or a SavedModel folder, for which `is_keras_2` holds.

    Returns:
        A functional model; nested models stay nested. Names have `_` for `/`, which Keras 3 does not allow.

    Raises:
        ModelError: When tf-keras cannot load it, a layer has no counterpart in Keras 3 or holds Python code, or the
            two models answer differently; names the layer.

    Example:
        >>> load_keras_2(Path("tf215.h5"))  # doctest: +SKIP
    """
    _refuse_code(path)
    tf_keras = importlib.import_module("tf_keras")
    try:
        with held_weights_only(path, tf_keras.layers.Layer):
            old = tf_keras.models.load_model(str(path), compile=False)
    except Exception as fault:  # tf-keras raises whatever its layers raise
        reason = (str(fault).strip() or type(fault).__name__).splitlines()[0][:300]
        raise ModelError(f"tf-keras cannot load '{path}', a model of Keras 2: {reason}", hint=_HINT) from fault
    if not getattr(old, "inputs", None) or not hasattr(old, "_nodes_by_depth"):
        raise ModelError(
            f"'{path}' is a subclassed model of Keras 2: it has no graph of layers",
            hint="rebuild it with the functional API in Keras 2 and save it again",
        )
    conversion = _Conversion(path)
    new = conversion.model(old)
    conversion.compare(old, new)
    return new


_HINT = "save it again in the environment that made it, as an .h5 file of built-in layers"


class _Conversion:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._made: dict[int, keras.Layer] = {}
        # Of the outer model: the layer's name, its old and new output.
        self._pairs: list[tuple[str, Keras2Tensor, keras.KerasTensor]] = []

    def model(self, old: "tf_keras.Model") -> keras.Model:
        """A functional or sequential model, and those nested in it."""
        inputs = [self._input(tensor) for tensor in old.inputs]
        tensors = {id(before): after for before, after in zip(old.inputs, inputs, strict=True)}
        kept: list[tuple[str, Keras2Tensor, keras.KerasTensor]] = []
        for depth in sorted(old._nodes_by_depth, reverse=True):
            for node in old._nodes_by_depth[depth]:
                if not node.is_input:
                    self._call(node, tensors, kept)
        self._pairs = kept
        outputs = _replaced(old.output, tensors)
        return keras.Model(_replaced(old.input, tensors), outputs, name=plain_name(old.name))

    def compare(self, old: "tf_keras.Model", new: keras.Model) -> None:
        """Run both on the same values, pixels and small numbers, and refuse a difference by its first layer."""
        generator = np.random.default_rng(0)
        for top in (255, 1):
            given = [_values(tensor, generator, top) for tensor in old.inputs]
            wanted, found = (_answers(model.inputs, model.outputs, given) for model in (old, new))
            if not all(map(_same, wanted, found)):
                raise ModelError(
                    f"'{self._path}' answers differently in Keras 3, from the layer {self._first(old, new, given)} on",
                    hint="replace that layer in Keras 2 by one that both have, and save the model again",
                )

    def _first(self, old: "tf_keras.Model", new: keras.Model, given: list[Array]) -> str:
        for name, before, after in self._pairs:
            if not _same(_answers(old.inputs, [before], given)[0], _answers(new.inputs, [after], given)[0]):
                return f"'{name}'"
        return "before its output"

    def _input(self, tensor: "Keras2Tensor") -> keras.KerasTensor:
        name = plain_name(tensor.node.layer.name)
        return keras.Input(batch_shape=tuple(tensor.shape), dtype=tensor.dtype.name, name=name)

    def _call(
        self, node: "Keras2Node", tensors: dict[int, Tensor], kept: list[tuple[str, "Keras2Tensor", keras.KerasTensor]]
    ) -> None:
        old = node.layer
        args, kwargs = _replaced(node.call_args, tensors), _replaced(node.call_kwargs, tensors)
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        try:
            outputs = self._run(old, args, kwargs)
        except ModelError:
            raise
        except Exception as fault:  # a layer's constructor or call, of any type
            reason = (str(fault).strip() or type(fault).__name__).splitlines()[0][:300]
            raise ModelError(
                f"the layer '{old.name}' ({type(old).__name__}) of '{self._path}' has no counterpart in Keras 3: "
                f"{reason}",
                hint="replace it in Keras 2 by a layer that both have, and save the model again",
            ) from fault
        before, after = keras.tree.flatten(node.outputs), keras.tree.flatten(outputs)
        tensors.update({id(was): now for was, now in zip(before, after, strict=True)})
        kept.append((old.name, before[0], after[0]))

    def _run(self, old: "tf_keras.layers.Layer", args: tuple[object, ...], kwargs: dict[str, object]) -> Tensor:
        if hasattr(old, "symbol"):
            return converted_operation(old.symbol, args, kwargs)
        nested = hasattr(old, "_nodes_by_depth")
        if id(old) not in self._made:
            self._made[id(old)] = self.model(old) if nested else converted_layer(old)
        new = self._made[id(old)]
        if nested or kwargs.get("training") is False:
            kwargs.pop("training", None)
        outputs = new(*args, **kwargs)
        if not nested and new.weights:
            give_weights(new, [weight.numpy() for weight in old.weights])
        new.trainable = old.trainable
        return outputs


def _replaced(structure: object, tensors: dict[int, Tensor]) -> Tensor:
    """Nested arguments with the new model's tensors, and numbers in the place of TensorFlow's constants."""
    if isinstance(structure, dict):
        return {key: _replaced(value, tensors) for key, value in structure.items()}
    if isinstance(structure, list | tuple):
        return type(structure)(_replaced(value, tensors) for value in structure)
    if id(structure) in tensors:
        return tensors[id(structure)]
    return structure.numpy() if hasattr(structure, "numpy") else structure


def _values(tensor: "Keras2Tensor", generator: np.random.Generator, top: int) -> Array:
    shape = [2, *(size or 32 for size in tensor.shape[1:])]
    return generator.integers(0, top, shape, endpoint=True).astype(tensor.dtype.name)


def _answers(inputs: Sequence[Tensor], outputs: Sequence[Tensor], given: list[Array]) -> list[NDArray[np.float32]]:
    kinds = keras if isinstance(inputs[0], keras.KerasTensor) else importlib.import_module("tf_keras")
    told = kinds.Model(list(inputs), list(outputs))(given, training=False)
    return [np.asarray(answer) for answer in keras.tree.flatten(told)]


def _same(wanted: NDArray[np.float32], found: NDArray[np.float32]) -> bool:
    size = max(1.0, float(np.abs(wanted).max()))
    return wanted.shape == found.shape and bool(np.allclose(found / size, wanted / size, rtol=0, atol=_TOLERANCE))


def _refuse_code(path: Path) -> None:
    """Refuse what would run Python or TensorFlow code of the file's choice, before tf-keras sees the file."""
    for part in _parts(_configurations(path)):
        kind, module = str(part.get("class_name")), part.get("module")
        config = part.get("config")
        name = part.get("name") or (config.get("name") if isinstance(config, dict) else "") or kind
        if kind in _PYTHON:
            raise ModelError(
                f"the layer '{name}' ({kind}) of '{path}' is Python code, which is never run from a file",
                hint="replace it in Keras 2 by a layer, such as Rescaling, and save the model again",
            )
        if isinstance(module, str) and module.split(".")[0] not in _TRUSTED and not module.startswith(_TRUSTED[:4]):
            raise ModelError(f"the layer '{name}' ({module}.{kind}) of '{path}' is none of Keras's own", hint=_HINT)
        symbol = config.get("function") if isinstance(config, dict) else None
        if kind in ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer") and symbol not in OPERATIONS:
            raise ModelError(
                f"the operation '{symbol or name}' ({kind}) of '{path}' has no counterpart in Keras 3",
                hint="replace it in Keras 2 by a layer that both have, and save the model again",
            )


def _configurations(path: Path) -> list[object]:
    try:
        if path.is_dir():
            metadata = importlib.import_module("tf_keras.protobuf.saved_metadata_pb2").SavedMetadata()
            metadata.ParseFromString((path / "keras_metadata.pb").read_bytes())
            return [json.loads(node.metadata) for node in metadata.nodes]
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return [json.loads(archive.read("config.json"))]
        with h5py.File(path) as file:
            return [json.loads(_text(file.attrs["model_config"]))]
    except FileNotFoundError:
        raise ModelError(
            f"the SavedModel '{path}' holds a graph without Keras's layers (it has no keras_metadata.pb)",
            hint="verify, predict and benchmark take it as it is; to export, name the .keras or .h5 file it came from",
        ) from None
    except Exception as fault:  # h5py, zipfile, json and protobuf, each of its own type
        raise ModelError(f"'{path}' holds no whole model of Keras 2: {fault}", hint=_HINT) from fault


def _parts(node: object) -> Iterator[LayerConfig]:
    waiting = [node]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            if "class_name" in found:
                yield found
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
