"""Keras model to a float32 `.tflite` flatbuffer of builtin operators."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Unpack

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfkit.artifacts import InputSpec, TensorSpec
from tfkit.compression.kinds.pooling import integer_form
from tfkit.compression.kinds.slopes import leaky_relu, negative_slope_of
from tfkit.errors import ExportError
from tfkit.exporters.inspection import describe_operators
from tfkit.graph import Node, build_model, fed, read_graph
from tfkit.graph.building import Copy
from tfkit.inputs import input_of
from tfkit.keras_types import LayerOptions, Shape, Tensor
from tfkit.models.text.classifier import EMBEDDINGS, is_embedder
from tfkit.runtimes import held_native_output, read_operators

OUTPUT_NAME = "scores"
SIGNATURE = "serving_default"


def convert_to_float(model: keras.Model, *, spec: InputSpec) -> bytes:
    """Convert a Keras model for one image or text at a time.

    Args:
        model: What `exportable_model` gives; of texts, for one length.
        spec: The images or texts it takes.

    Returns:
        The flatbuffer, with the signature `pixels`, or `token_ids` and `padding_mask` -> `scores`; an embedder gives
        `embeddings`. A token table is looked up by one GATHER; negative ids, which Keras counts from the end of the
        table, are not.

    Raises:
        ExportError: When a layer has no builtin operator; it names the operators and their layers.

    Example:
        >>> convert_to_float(model, spec=image)[4:8]
        b'TFL3'
    """
    taken = input_of(spec).tensors(spec)
    model = _with_plain_operators(model, taken)
    answer = EMBEDDINGS if is_embedder(model) else OUTPUT_NAME

    def scores(*given: tf.Tensor) -> dict[str, tf.Tensor]:
        named = {tensor.name: values for tensor, values in zip(taken, given, strict=True)}
        return {answer: model(fed(model, named), training=False)}

    one = [tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype, name=tensor.name) for tensor in taken]
    return _converted(model, scores, one)


def _with_plain_operators(model: keras.Model, taken: Sequence[TensorSpec]) -> keras.Model:
    """The model with rows looked up as TFLite does where it takes ids, and with integer operators for numbers."""
    kinds = {np.dtype(tensor.dtype).kind for tensor in taken}
    model = _with_integer_operators(model) if "f" in kinds else model
    return build_model(read_graph(model), _with_plain_lookups) if "i" in kinds else model


def _with_integer_operators(model: keras.Model) -> keras.Model:
    """The model with layers that have no integer operator in forms that have one, of the same answers."""
    if not any(isinstance(layer, _REWRITTEN) for layer in model._flatten_layers()):
        return model

    def call(node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | Sequence[Tensor]:
        if isinstance(node.operation, keras.layers.LeakyReLU):
            slope = negative_slope_of(node.operation)
            return leaky_relu(node.operation, args[0])[0] if slope is not None and 0 < slope < 1 else copy()(args[0])
        known = isinstance(node.operation, _REWRITTEN) and all(node.inputs[0].shape[1:])
        written = integer_form(node.operation, args[0]) if known else None
        return copy()(*args, **kwargs) if written is None else written

    rewritten = build_model(read_graph(model), call)
    for layer in rewritten.layers:
        if hasattr(layer, "finalize_state"):  # Normalization computes with what it derives from its weights
            layer.finalize_state()
    return rewritten


_REWRITTEN = (
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.UpSampling1D,
    keras.layers.UpSampling2D,
    keras.layers.LeakyReLU,
)


class _PlainLookup(keras.layers.Layer):
    """Rows of a table by ids that are known to be in it."""

    def build(self, input_shape: Shape) -> None:
        self.built = True

    def __init__(self, table: NDArray[np.float32], **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.table = self.add_weight(name="table", shape=table.shape, initializer=lambda shape, dtype=None: table)

    def call(self, ids: tf.Tensor) -> Tensor | Sequence[Tensor]:
        # One-dimensional ids: what EMBEDDING_LOOKUP takes.
        rows = tf.gather(tf.convert_to_tensor(self.table), tf.reshape(ids, [-1]))
        return tf.reshape(rows, (-1, ids.shape[1], self.table.shape[1]))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape, self.table.shape[1])


def _with_plain_lookups(
    node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]
) -> Tensor | Sequence[Tensor]:
    layer = node.operation
    # keras-hub's ReversibleEmbedding is one, and may be called to give scores of tokens instead.
    reads = isinstance(layer, keras.layers.Embedding) and not layer.mask_zero and not kwargs.get("reverse")
    if reads and len(node.inputs[0].shape) == 2 and len(args) == 1:
        return _PlainLookup(keras.ops.convert_to_numpy(node.operation.embeddings), name=node.name)(args[0])
    return copy()(*args, **kwargs)


def _converted(
    model: keras.Model, endpoint: Callable[..., dict[str, tf.Tensor]], signature: list[tf.TensorSpec]
) -> bytes:
    with tempfile.TemporaryDirectory(prefix="tfkit-") as folder, held_native_output():
        _write_for_conversion(model, Path(folder), endpoint, signature)
        try:
            return _convert(folder, allow_custom_ops=False)
        except ExportError as fault:
            # Only a file with the unknown operators in it shows which layers ask for them.
            raise _unknown_operators(_convert(folder, allow_custom_ops=True), model) or fault from None


def _write_for_conversion(
    model: keras.Model, folder: Path, endpoint: Callable[..., dict[str, tf.Tensor]], signature: list[tf.TensorSpec]
) -> None:
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(SIGNATURE, endpoint, input_signature=signature)
    archive.write_out(folder, verbose=False)


def _convert(folder: str, *, allow_custom_ops: bool) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.allow_custom_ops = allow_custom_ops
    try:
        return bytes(converter.convert())
    except Exception as fault:  # the converter raises what MLIR and TensorFlow raise, of any type
        reason = str(fault).strip().splitlines() or [type(fault).__name__]
        raise ExportError(f"the TFLite converter refused the model: {reason[0]}") from fault


def _unknown_operators(flatbuffer: bytes, model: keras.Model) -> ExportError | None:
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(flatbuffer)
        file.flush()
        custom = [operator for operator in read_operators(Path(file.name)) if operator.custom]
    if not custom:
        return None
    return ExportError(
        f"TFLite has no builtin operator for {describe_operators(custom, model)}",
        hint="replace that layer by one of builtin operators; a phone's plain interpreter cannot run it",
    )
