"""The steps of a keras-hub language model as a `.tflite` graph whose weights are still inputs.

The converter would hold a model's weights some twenty times over: 19 GB of memory for 135 million of them. Here it sees
none; `assembly` puts them in afterwards.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfkit.artifacts.language_model import DECODE, INPUT_POSITIONS, LOGITS, TOKENS, cache_names, prefill_name
from tfkit.errors import ExportError
from tfkit.runtimes import held_native_output

_WEIGHT = "weight_"


@dataclass(frozen=True)
class CacheShape:
    """What a model keeps of each token.

    Attributes:
        layers: Its layers, each with keys and values.
        heads: Heads of keys and values.
        width: Numbers of a head.
    """

    layers: int
    heads: int
    width: int


def cache_shape(causal_lm: keras.Model) -> CacheShape:
    """What a keras-hub `CausalLM` keeps of each token.

    Raises:
        ExportError: When it keeps something else than keys and values of one size.
    """
    _, cache = causal_lm._build_cache(np.zeros((1, 1), np.int32))
    shape: tuple[int, ...] = tuple(getattr(cache, "shape", ()))
    if len(shape) != 6 or shape[2] != 2:
        raise ExportError(
            f"the cache of a {type(causal_lm).__name__} is no stack of keys and values: {shape}",
            hint="GPT-2, Llama, Mistral, Qwen, Gemma and SmolLM backbones of keras-hub have one",
        )
    return CacheShape(int(shape[1]), int(shape[4]), int(shape[5]))


def trace(causal_lm: keras.Model, *, length: int, prefill: int) -> tuple[bytes, list[NDArray[np.float32]]]:
    """Convert one step and the reading of a prompt, with weights as inputs `weight_0`, `weight_1`, ...

    Args:
        causal_lm: A keras-hub `CausalLM`.
        length: Tokens that the cache holds.
        prefill: Tokens of a prompt that are read at once.

    Returns:
        A flatbuffer with the signatures `decode` and `prefill_N`, as LiteRT-LM names them, and the weights.

    Raises:
        ExportError: When the model has an operator that TFLite does not have.
    """
    weights = list(causal_lm.backbone.variables)
    shape = cache_shape(causal_lm)
    kept = cache_names(shape.layers)
    given = {name: tf.TensorSpec((1, shape.heads, length, shape.width), tf.float32, name=name) for name in kept}
    given |= {f"{_WEIGHT}{k}": tf.TensorSpec(one.shape, one.dtype, f"{_WEIGHT}{k}") for k, one in enumerate(weights)}

    def step(arrays: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        halves = zip(kept[::2], kept[1::2], strict=True)
        layers = [tf.stack([_turned(arrays[keys]), _turned(arrays[values])], axis=1) for keys, values in halves]
        placed = [(one, arrays[f"{_WEIGHT}{k}"]) for k, one in enumerate(weights)]
        with keras.StatelessScope(state_mapping=placed):
            logits, _, cache = causal_lm.call_with_cache(
                arrays[TOKENS], tf.stack(layers, axis=1), arrays[INPUT_POSITIONS][0]
            )
        return logits, {name: _turned(cache[:, k // 2, k % 2]) for k, name in enumerate(kept)}

    @tf.function  # type: ignore[untyped-decorator]
    def decode(**arrays: tf.Tensor) -> dict[str, tf.Tensor]:
        logits, cache = step(arrays)
        return cache | {LOGITS: tf.cast(logits, tf.float32)}

    @tf.function  # type: ignore[untyped-decorator]
    def read(**arrays: tf.Tensor) -> dict[str, tf.Tensor]:
        return step(arrays)[1]

    signatures = {DECODE: _traced(decode, 1, given), prefill_name(prefill): _traced(read, prefill, given)}
    return _converted(signatures), [np.asarray(one, np.float32) for one in weights]


def _turned(cache: tf.Tensor) -> tf.Tensor:
    return tf.transpose(cache, (0, 2, 1, 3))


def _traced(function: Callable[..., object], tokens: int, given: Mapping[str, tf.TensorSpec]) -> object:
    ids = tf.TensorSpec((1, tokens), tf.int32, name=TOKENS)
    places = tf.TensorSpec((tokens,), tf.int32, name=INPUT_POSITIONS)
    return function.get_concrete_function(**{TOKENS: ids, INPUT_POSITIONS: places}, **given)  # type: ignore[attr-defined]


def _converted(signatures: Mapping[str, object]) -> bytes:
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with tempfile.TemporaryDirectory(prefix="tfkit-") as folder, held_native_output():
        tf.saved_model.save(tf.Module(), folder, signatures=dict(signatures), options=options)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures))
        try:
            return bytes(converter.convert())
        except Exception as fault:  # the converter's own kinds; what matters is the operator that it names
            raise ExportError(
                f"the language model cannot be converted: {str(fault).strip().splitlines()[-1]}",
                hint="take a backbone of the Llama or GPT-2 family",
            ) from None
