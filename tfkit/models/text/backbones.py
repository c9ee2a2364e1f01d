"""Text encoders: keras-hub presets, hub addresses, local folders, and small BERTs to train from scratch."""

import difflib
import functools
import re
from pathlib import Path
from typing import Literal

import keras

from tfkit.errors import ModelError

_BLOCK_PART = "feedforward_output_dense"  # keras-hub's name of it in every encoder of the BERT family


def inner_layers(layer: keras.Layer) -> tuple[keras.Layer, ...]:
    """The layers inside a layer or model, at any depth."""
    return tuple(layer._flatten_layers(include_self=False))


def encoder_blocks(model: keras.Model) -> tuple[keras.Layer, ...]:
    """The encoder's blocks (attention and feed-forward), in running order.

    Args:
        model: A text classifier of `build_text_classifier`, or its logits model.

    Returns:
        The blocks; ALBERT's one shared block counts once.

    Raises:
        ModelError: When there are none: an image model, or one that `open_transformer` laid open.

    Example:
        >>> len(encoder_blocks(text_classifier))
        2
    """
    blocks = tuple(
        layer
        for layer in model.layers
        if not isinstance(layer, keras.Model) and any(part.name == _BLOCK_PART for part in inner_layers(layer))
    )
    if not blocks:
        raise ModelError(
            f"model '{model.name}' has no encoder blocks",
            hint="name a classifier of build_text_classifier, before open_transformer lays its blocks open",
        )
    return blocks


def token_embedding(model: keras.Model) -> keras.layers.Embedding:
    """The layer that looks tokens up in a table.

    Args:
        model: A text model over an encoder, plain, opened or quantisation-aware.

    Returns:
        Its Embedding layer; where none is named so, the one with the most rows.

    Raises:
        ModelError: When there is none.
    """
    found = [layer for layer in inner_layers(model) if isinstance(layer, keras.layers.Embedding)]
    if not found:
        raise ModelError(f"model '{model.name}' has no Embedding layer", hint="name a text model")
    named = [layer for layer in found if "token_embedding" in layer.name]
    return named[0] if named else max(found, key=lambda layer: layer.input_dim)


Weights = Literal["pretrained", "random"]

# Layers, hidden size, heads: Turc et al. 2019 (arXiv:1908.08962), table 1; the feed-forward part is four times as wide.
_SIZES = {"bert_tiny": (2, 128, 2), "bert_mini": (4, 256, 4), "bert_small": (4, 512, 8), "bert_medium": (8, 512, 8)}
_FAMILIES = (
    "BertBackbone",
    "DistilBertBackbone",
    "RobertaBackbone",
    "XLMRobertaBackbone",
    "AlbertBackbone",
    "ElectraBackbone",
    "DebertaV3Backbone",
)


@functools.cache
def text_backbone_names() -> tuple[str, ...]:
    """The names that need no address: sizes to train from scratch, then keras-hub's presets, each sorted.

    Example:
        >>> text_backbone_names()[:2]
        ('bert_medium', 'bert_mini')
    """
    import keras_hub

    families = [getattr(keras_hub.models, family) for family in _FAMILIES]
    return (*sorted(_SIZES), *sorted({name for family in families for name in family.presets}))


def build_text_backbone(
    name: str,
    *,
    weights: Weights | None = None,
    vocabulary_size: int | None = None,
    dropout: float | None = None,
    max_sequence_length: int | None = None,
) -> keras.Model:
    """Build a text encoder.

    Args:
        name: A keras-hub preset (`bert_base_en_uncased`, `distil_bert_base_en`, `roberta_base_en`, ...), an address
            (`hf://user/model`, `kaggle://...`), a folder that Hugging Face or keras-hub saved, or a size to train
            from scratch: `bert_tiny`, `bert_mini`, `bert_small`, `bert_medium`.
        weights: `pretrained` or `random`. Default: what the name has, random for a size from scratch.
        vocabulary_size: Rows of a size's token table, that of its tokeniser; a preset brings its own.
        dropout: Share dropped in the encoder while training, in [0, 1). Default: the preset's, 0.1 from scratch.
        max_sequence_length: Positions of a size from scratch, 512 by default; a preset brings its own.

    Returns:
        The keras-hub backbone, from `token_ids`, `padding_mask` (and `segment_ids`) to (batch, length, hidden).

    Raises:
        ModelError: When the name is unknown, the weights cannot be had, the options contradict each other, or what
            is found is no text encoder.

    Example:
        >>> build_text_backbone("bert_tiny", vocabulary_size=1000).hidden_dim
        128
    """
    faults = _option_faults(name, weights, vocabulary_size, dropout, max_sequence_length)
    if faults:
        raise ModelError(
            f"text backbone '{name}': " + "; ".join(faults),
            hint=f"the sizes to train from scratch are {', '.join(_SIZES)}; "
            f"the presets of the same sizes with weights are called {_SIZED_PRESETS}",
        )
    changes = {} if dropout is None else {"dropout": dropout}
    if name in _SIZES:
        positions = 512 if max_sequence_length is None else max_sequence_length
        return _from_scratch(name, vocabulary_size=vocabulary_size, max_sequence_length=positions, **changes)
    _refuse_unknown(name)
    _refuse_bare_folder(name, random=weights == "random")
    return _from_preset(name, random=weights == "random", **changes)


_SIZED_PRESETS = "bert_tiny_en_uncased, bert_small_en_uncased, bert_medium_en_uncased"


def _option_faults(
    name: str, weights: str | None, vocabulary: int | None, dropout: float | None, length: int | None
) -> list[str]:
    faults = []
    scratch = name in _SIZES
    if weights not in (None, "pretrained", "random"):
        faults.append(f"weights must be pretrained or random; got '{weights}'")
    if scratch and weights == "pretrained":
        faults.append("it is a size without published weights")
    if scratch and vocabulary is None:
        faults.append("vocabulary_size is needed: that of the tokeniser")
    for option, value in (("vocabulary_size", vocabulary), ("max_sequence_length", length)):
        if value is not None and not scratch:
            faults.append(f"{option} is the preset's own; it is for the sizes from scratch")
        elif value is not None and value < 1:
            faults.append(f"{option} must be 1 or more; got {value}")
    if dropout is not None and not 0 <= dropout < 1:
        faults.append(f"dropout must be in [0, 1); got {dropout}")
    return faults


def _from_scratch(name: str, *, vocabulary_size: int | None, max_sequence_length: int, **changes: float) -> keras.Model:
    import keras_hub

    layers, hidden, heads = _SIZES[name]
    return keras_hub.models.BertBackbone(
        vocabulary_size=vocabulary_size,
        num_layers=layers,
        num_heads=heads,
        hidden_dim=hidden,
        intermediate_dim=4 * hidden,
        max_sequence_length=max_sequence_length,
        name=name,
        **changes,
    )


def _from_preset(name: str, *, random: bool, **changes: float) -> keras.Model:
    import keras_hub

    try:
        backbone = keras_hub.models.Backbone.from_preset(name, load_weights=not random, **changes)
    except Exception as fault:  # hubs raise kinds of their own for a missing network, a bad name, a licence
        told = (str(fault).strip() or type(fault).__name__).splitlines()[0][:200]
        raise ModelError(f"the text backbone '{name}' cannot be loaded: {told}", hint=_loading_hint(name)) from fault
    families = tuple(getattr(keras_hub.models, family) for family in _FAMILIES)
    if not isinstance(backbone, families):
        raise ModelError(
            f"'{name}' holds a {type(backbone).__name__}; expected a text encoder",
            hint="tfkit takes BERT, DistilBERT, RoBERTa, XLM-RoBERTa, ALBERT, ELECTRA and DeBERTa v3",
        )
    return backbone


def _loading_hint(name: str) -> str:
    if Path(name).is_dir():
        return (
            "keras-hub reads Hugging Face folders of BERT, DistilBERT, RoBERTa, XLM-RoBERTa and ALBERT, and folders "
            "that its own `save_to_preset` wrote; ELECTRA and DeBERTa come as keras-hub presets"
        )
    return (
        "a preset is downloaded once: run where there is a network, or name a local folder with config.json, "
        "the vocabulary and model.safetensors"
    )


def _is_address(name: str) -> bool:
    return re.match(r"[a-z]+://", name) is not None


def _refuse_unknown(name: str) -> None:
    if _is_address(name) or Path(name).is_dir() or name in text_backbone_names():
        return
    if "/" in name or name.startswith((".", "~")):
        raise ModelError(
            f"there is no folder '{name}'",
            hint=f"name a folder with config.json and model.safetensors, or 'hf://{name.strip('./~')}' "
            "for a model of the Hugging Face hub",
        )
    near = difflib.get_close_matches(name, text_backbone_names(), n=3, cutoff=0.5)
    raise ModelError(
        f"there is no text backbone '{name}'" + (f"; did you mean {', '.join(near)}?" if near else ""),
        hint="name a keras-hub preset, hf://user/model, a local folder, or one of " + ", ".join(_SIZES),
    )


def _refuse_bare_folder(name: str, *, random: bool) -> None:
    folder = Path(name)
    if _is_address(name) or not folder.is_dir():
        return
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"the folder '{name}' has no config.json",
            hint="name the folder that holds the model itself, as Hugging Face or keras-hub saved it",
        )
    if not random and not [*folder.glob("*.safetensors"), *folder.glob("*.weights.h5")]:
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8])
        raise ModelError(
            f"the folder '{name}' has neither .safetensors nor .weights.h5; it holds {found}",
            hint="save the model again by `save_pretrained(folder, safe_serialization=True)`, or set weights to random",
        )
