"""A text embedder: an encoder and one vector of length 1 for each text; a dot product says how alike two texts are."""

import keras

from tfkit.models.classifier import POOLING
from tfkit.models.text.classifier import Pooling, build_text_classifier

EMBEDDINGS = "embeddings"


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
