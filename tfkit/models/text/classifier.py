"""Text classifiers and embedders: an encoder, one vector for each text, and what stands over it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tfkit.arguments import takes_text
from tfkit.errors import ModelError
from tfkit.graph import Node, copy_layer, copy_onto, give_weights, read_graph
from tfkit.graph.building import Copy
from tfkit.keras_types import Tensor
from tfkit.layers import RelativePositions
from tfkit.models.classifier import LOGITS, POOLING, SOFTMAX, HeadSpec, feature_extractor

# done, total, what is being done
Progress = Callable[[int, int, str], None]

_STEP = 8  # lengths are rounded up to it, so that few shapes are traced


def pooled_features(
    model: keras.Model,
    tokens: Mapping[str, NDArray[np.int32]],
    *,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Run the encoder of a text classifier over texts, without dropout.

    Texts go through in the order of their lengths, each batch cut to its longest: padding changes no answer, and most
    texts are much shorter than the longest.

    Args:
        model: A classifier of `build_text_classifier`.
        tokens: `token_ids` and `padding_mask`, int32 (n, length), as the tokeniser gives them; padding at the end.
        batch_size: Texts in one forward pass.
        progress: Called after each batch with texts done, texts in all, and a text.

    Returns:
        float32 (n, hidden), in the order of the texts.

    Raises:
        ModelError: When the arrays are missing or differ in shape.

    Example:
        >>> pooled_features(text_classifier, tokenizer(texts, sequence_length=64)).shape
        (8, 128)
    """
    shapes = {name: np.shape(tokens[name]) for name in (TOKENS, PADDING) if name in tokens}
    if len(shapes) != 2 or shapes[TOKENS] != shapes[PADDING] or len(shapes[TOKENS]) != 2:
        raise ModelError(
            f"features need {TOKENS} and {PADDING} of one shape (n, length); got {shapes or 'neither'}",
            hint="give what the tokeniser returns",
        )
    ids, mask = (np.asarray(tokens[name], np.int32) for name in (TOKENS, PADDING))
    extractor = feature_extractor(model)
    lengths = mask.sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    values = np.zeros((len(ids), extractor.output.shape[-1]), np.float32)
    for start in range(0, len(ids), batch_size):
        chosen = order[start : start + batch_size]
        longest = -(-int(lengths[chosen].max()) // _STEP) * _STEP
        cut = {TOKENS: ids[chosen, :longest], PADDING: mask[chosen, :longest]}
        values[chosen] = extractor.predict_on_batch(cut)
        if progress is not None:
            done = start + len(chosen)
            progress(done, len(ids), f"features {done}/{len(ids)}")
    return values


Pooling = Literal["cls", "mean"]

TOKENS, PADDING, SEGMENTS = "token_ids", "padding_mask", "segment_ids"


@takes_text
def build_text_classifier(
    backbone: keras.Model, *, classes: int, pooling: Pooling = "cls", dropout: float = 0.1, head: HeadSpec = SOFTMAX
) -> keras.Model:
    """Put a classification head on a text encoder.

    Args:
        backbone: A keras-hub encoder, as `build_text_backbone` returns it. Its layers are copied with their weights.
        classes: Number of classes, 2 or more; of labels or of numbers, 1 or more.
        pooling: What becomes of a text's tokens: `cls` takes the first token's vector, `mean` the mean of the vectors
            that are no padding (Reimers and Gurevych 2019, arXiv:1908.10084; what sentence encoders such as MiniLM
            were trained with).
        dropout: Share of the pooled features dropped while training, in [0, 1).
        head: What stands behind the logits.

    Returns:
        A flat model from {`token_ids`, `padding_mask`}, both int32 (n, length), to `scores`, float32 (n, classes):
        probabilities, or numbers. Segment ids, where the encoder takes them, are zeros made inside.

    Raises:
        ModelError: When an option is out of range, or the backbone is no text encoder.

    Example:
        >>> backbone = build_text_backbone("bert_tiny", vocabulary_size=1000)
        >>> build_text_classifier(backbone, classes=10).output_shape
        (None, 10)
    """
    _refuse_faults(backbone, classes, pooling, dropout, least=2 if head.activation == "softmax" else 1)
    outputs = backbone.output
    sequence = outputs["sequence_output"] if isinstance(outputs, dict) else outputs
    graph = read_graph(keras.Model(backbone.inputs, sequence))
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in (TOKENS, PADDING)}
    given = inputs if SEGMENTS not in backbone.input else inputs | {SEGMENTS: ops.zeros_like(inputs[TOKENS])}
    x = copy_onto(graph, [given[value.name] for value in graph.inputs], _loadable)[0]
    # Keras's own layers in both cases: what the graph, the exporters and the quantiser know already.
    if pooling == "mean":
        x = keras.layers.GlobalAveragePooling1D(name=POOLING)(x, mask=inputs[PADDING])
    else:
        x = keras.layers.Identity(name=POOLING)(x[:, 0])
    if dropout:
        x = keras.layers.Dropout(dropout, name="head_dropout")(x)
    # Not from zeros, as the image head is: the encoder learns with it from the first step, and zeros pass it nothing.
    # MiniLM on banking77 after one epoch: .709 of the test texts from zeros, .912 from Keras's own start.
    x = keras.layers.Dense(classes, name=LOGITS)(x)
    return keras.Model(inputs, head.scores(x), name=backbone.name)


def _loadable(node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]) -> Tensor | Sequence[Tensor]:
    if node.kind != "RelativeEmbedding":
        return copy()(*args, **kwargs)
    layer = copy_layer(node.operation, kind=RelativePositions)
    outputs = layer(*args, **kwargs)
    give_weights(layer, node.operation.get_weights())
    return outputs


def _refuse_faults(backbone: keras.Model, classes: int, pooling: str, dropout: float, *, least: int) -> None:
    faults = []
    taken = getattr(backbone, "input", None)
    names = sorted(taken) if isinstance(taken, dict) else []
    if not {TOKENS, PADDING} <= set(names) <= {TOKENS, PADDING, SEGMENTS}:
        faults.append(
            f"backbone {getattr(backbone, 'name', backbone)} takes {', '.join(names) or 'no named inputs'}; "
            f"expected {TOKENS}, {PADDING} and at most {SEGMENTS}"
        )
    if classes < least:
        faults.append(f"classes must be {least} or more; got {classes}")
    if pooling not in ("cls", "mean"):
        faults.append(f"pooling must be cls or mean; got '{pooling}'")
    if not 0 <= dropout < 1:
        faults.append(f"dropout must be in [0, 1); got {dropout}")
    if faults:
        raise ModelError("no text classifier can be built: " + "; ".join(faults), hint="see build_text_backbone")


EMBEDDINGS = "embeddings"


@takes_text
def build_text_embedder(backbone: keras.Model, *, pooling: Pooling = "mean", dropout: float = 0.0) -> keras.Model:
    """Make sentence embeddings of a text encoder (Reimers and Gurevych 2019, arXiv:1908.10084).

    Args:
        backbone: A keras-hub encoder, as `build_text_backbone` returns it. Its layers are copied with their weights.
        pooling: What becomes of a text's tokens: the mean of the vectors that are no padding, or the first one's.
        dropout: Share of the pooled features dropped while training, in [0, 1).

    Returns:
        A flat model from {`token_ids`, `padding_mask`}, both int32 (n, length), to `embeddings`, float32 (n, hidden),
        each of length 1.

    Raises:
        ModelError: When an option is out of range, or the backbone is no text encoder.

    Example:
        >>> backbone = build_text_backbone("bert_tiny", vocabulary_size=1000)
        >>> build_text_embedder(backbone).output_shape
        (None, 128)
    """
    classifier = build_text_classifier(backbone, classes=2, pooling=pooling, dropout=dropout)
    pooled = classifier.get_layer("head_dropout" if dropout else POOLING).output
    vectors = keras.layers.UnitNormalization(axis=-1, name=EMBEDDINGS, dtype="float32")(pooled)
    return keras.Model(classifier.input, vectors, name=backbone.name)


def is_embedder(model: object) -> bool:
    """Whether a model gives embeddings, not scores.

    Example:
        >>> is_embedder(embedder), is_embedder(text_classifier)
        (True, False)
    """
    return list(getattr(model, "output_names", ())) == [EMBEDDINGS]
