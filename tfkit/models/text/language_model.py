"""Language models: a causal backbone of keras-hub, and how likely it finds each token of a text."""

import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np
from keras import ops

from tfkit.errors import ModelError
from tfkit.keras_types import Tensor
from tfkit.models.low_rank import is_low_rank, low_rank_layers, merged_weights

TOKEN_IDS, ANSWER_MASK = "token_ids", "answer_mask"
_TIED = "tie_word_embeddings"
_HINT = "name a folder of Hugging Face or keras-hub of the Llama, GPT-2, Mistral or Qwen family, or tiny_llama"


@keras.saving.register_keras_serializable("tfkit")
class NextTokenScores(keras.layers.Layer):
    """The log-likelihood of each token's successor, and the likeliest successor's id.

    Where no successor is asked for both are 0. Without training one text at a time is scored, so that the logits of
    many texts never stand in memory together.

    Args:
        embedding: keras-hub's `ReversibleEmbedding`, which gives the logits of hidden states.
    """

    def __init__(self, embedding: keras.layers.Layer, **options: Any) -> None:
        super().__init__(**options)
        self.embedding = embedding
        self.built = True

    def call(self, hidden: Tensor, token_ids: Tensor, answer_mask: Tensor, training: bool | None = None) -> Tensor:
        successors = ops.concatenate([token_ids[:, 1:], token_ids[:, :1]], axis=1)
        asked = ops.concatenate([answer_mask[:, 1:], ops.zeros_like(answer_mask[:, :1])], axis=1)
        if training:
            return self._scored((hidden, successors, asked))
        return ops.map(self._scored, (hidden, successors, asked))

    def compute_output_shape(self, hidden: tuple[int | None, ...], *others: Any) -> tuple[int | None, ...]:
        return (*hidden[:-1], 2)

    def _scored(self, given: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        hidden, successors, asked = given
        logits = ops.cast(self.embedding(hidden, reverse=True), "float32")
        right = ops.take_along_axis(logits, ops.expand_dims(successors, -1), axis=-1)[..., 0]
        likelihood = right - ops.logsumexp(logits, axis=-1)
        likeliest = ops.cast(ops.argmax(logits, axis=-1), "float32")  # whole up to 2 ** 24
        return ops.stack([likelihood, likeliest], axis=-1) * ops.cast(ops.expand_dims(asked, -1), "float32")


@keras.saving.register_keras_serializable("tfkit")
class LanguageModel(keras.Model):
    """A causal backbone that tells how likely it finds the answers in texts.

    Takes int32 (n, length) `token_ids` and `answer_mask`, 1 for each token of an answer; gives float32 (n, length, 2):
    at each place before such a token its log-likelihood and the likeliest token's id, elsewhere zeros. A token's
    successors do not change what is told of it, so that padding behind an answer needs no mask.

    Args:
        backbone: A keras-hub backbone that a `CausalLM` of keras-hub is made of.

    Example:
        >>> model = LanguageModel(tiny_llama(vocabulary=300))
        >>> model({"token_ids": np.ones((1, 8), "int32"), "answer_mask": np.ones((1, 8), "int32")}).shape
        TensorShape([1, 8, 2])
    """

    def __init__(self, backbone: keras.Model, **options: Any) -> None:
        inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in (TOKEN_IDS, ANSWER_MASK)}
        ids = inputs[TOKEN_IDS]
        hidden = backbone({"token_ids": ids, "padding_mask": ops.ones_like(ids)})
        scored = NextTokenScores(backbone.token_embedding, name="next_token_scores")
        super().__init__(inputs=inputs, outputs=scored(hidden, ids, inputs[ANSWER_MASK]), **options)
        self.backbone = backbone

    def get_config(self) -> dict[str, Any]:
        told = keras.saving.serialize_keras_object(self.backbone)
        return {"backbone": told | {"config": told["config"] | _forgotten(self.backbone)}, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "LanguageModel":
        backbone = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(backbone, name=config["name"])

    @property
    def vocabulary(self) -> int:
        """How many token ids it knows."""
        return int(self.backbone.vocabulary_size)


def another(backbone: keras.Model, **changes: int) -> keras.Model:
    """A causal backbone of the same architecture, with weights of its own.

    Args:
        backbone: The backbone.
        **changes: Other sizes, by the names of its configuration.
    """
    return type(backbone).from_config(backbone.get_config() | _forgotten(backbone) | changes)


def _forgotten(backbone: keras.Model) -> dict[str, bool]:
    """What keras-hub 0.32 leaves out of a Llama's configuration: that logits come from the table of tokens."""
    taken = inspect.signature(type(backbone)).parameters
    return {_TIED: bool(backbone.token_embedding.tie_weights)} if _TIED in taken else {}


def tiny_llama(*, vocabulary: int, layers: int = 4, width: int = 128, heads: int = 4) -> keras.Model:
    """A small causal backbone of Llama's architecture (Touvron et al. 2023, arXiv:2302.13971), not trained.

    Args:
        vocabulary: Token ids.
        layers: Its layers.
        width: Numbers of a token.
        heads: Attention heads; half as many of keys and values.
    """
    return keras_hub.models.Llama3Backbone(
        vocabulary_size=vocabulary,
        num_layers=layers,
        num_query_heads=heads,
        num_key_value_heads=max(1, heads // 2),
        hidden_dim=width,
        intermediate_dim=3 * width,
        tie_word_embeddings=True,
        rope_max_wavelength=10_000,
    )


def open_causal_backbone(folder: str) -> keras.Model:
    """A pretrained causal backbone.

    Args:
        folder: A folder of Hugging Face (`config.json`, `model.safetensors`) or of keras-hub, or a preset's name.

    Raises:
        ModelError: When it cannot be opened, or no causal language model is made of it.
    """
    try:
        backbone = keras_hub.models.Backbone.from_preset(folder)
    except Exception as fault:  # keras-hub raises what the reader of the day does
        told = " ".join(str(fault).split())[:300]
        raise ModelError(f"'{folder}' cannot be opened as a backbone: {told}", hint=_HINT) from None
    causal_lm_class(backbone)
    return _with_own_epsilon(backbone, folder)


def _with_own_epsilon(backbone: keras.Model, folder: str) -> keras.Model:
    """keras-hub 0.32 leaves out `rms_norm_eps` of Hugging Face's Llama."""
    file = Path(folder) / "config.json"
    said = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    epsilon, config = said.get("rms_norm_eps"), backbone.get_config() | _forgotten(backbone)
    if epsilon is None or config.get("layer_norm_epsilon", epsilon) == epsilon:
        return backbone
    mended = type(backbone).from_config(config | {"layer_norm_epsilon": epsilon})
    mended.set_weights(backbone.get_weights())
    return mended


@dataclass(frozen=True)
class Learning:
    """What of a language model learns.

    Attributes:
        trainable: How many numbers.
        note: The same for the report.
    """

    trainable: int
    note: str


def learn_by(model: LanguageModel, rank: int | None) -> Learning:
    """Let everything learn, or low-rank updates of the attention alone (LoRA, Hu et al. 2021, arXiv:2106.09685).

    Args:
        model: Changed in place.
        rank: Of the updates, of queries and values; None for everything.
    """
    if rank is not None:
        model.backbone.enable_lora(rank)
    count = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    what = "everything learns" if rank is None else f"low-rank updates of rank {rank} learn"
    return Learning(count, f"{what}: {count:,} of {model.count_params():,} parameters")


def without_low_rank(model: LanguageModel) -> LanguageModel:
    """The same model with its low-rank updates added to the kernels that they stand beside."""
    if not low_rank_layers(model):
        return model
    plain = LanguageModel(another(model.backbone), name=model.name)
    for old, new in zip(model.backbone.layers, plain.backbone.layers, strict=True):
        new.set_weights(merged_weights(old))
    assert not any(map(is_low_rank, plain.weights))
    return plain


def causal_lm_class(backbone: keras.Model) -> type[Any]:
    """keras-hub's `CausalLM` of a backbone.

    Raises:
        ModelError: When there is none.
    """
    waiting: list[type[Any]] = list(keras_hub.models.CausalLM.__subclasses__())
    while waiting:
        found = waiting.pop()
        if found.backbone_cls is type(backbone):
            return found
        waiting += found.__subclasses__()
    raise ModelError(f"keras-hub makes no language model of a {type(backbone).__name__}", hint=_HINT)
