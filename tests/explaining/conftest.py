"""A tokeniser of a few known pieces, and classifiers over it whose reasons are known."""

import keras
import keras_hub
import numpy as np
import pytest

from tfkit.data.text import Tokenizer

PIECES = (
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "i", "want", "a", "re", "##fund", "##able", "please", "late",
    "##ly", "don", "t", "'", ",", "!", "parcel", "caf", "##e", "漢", "字", "not",
)  # fmt: skip


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """Word pieces, uncased."""
    return Tokenizer(keras_hub.tokenizers.BertTokenizer(vocabulary=list(PIECES), lowercase=True))


def planted_classifier(**planted: float) -> keras.Model:
    """Two classes; a text's logit of the second is the mean of what each of its pieces was planted with."""
    table = np.zeros((len(PIECES), 2), np.float32)
    for piece, value in planted.items():
        table[PIECES.index(piece.replace("__", "##")), 0] = value
    ids, mask = (keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask"))
    vectors = keras.layers.Embedding(*table.shape, name="token_embedding")(ids)
    pooled = keras.layers.GlobalAveragePooling1D(name="pooling")(vectors, mask=mask)
    logits = keras.layers.Dense(2, use_bias=False, name="logits")(keras.layers.Activation("tanh")(pooled))
    inputs = {"token_ids": ids, "padding_mask": mask}
    model = keras.Model(inputs, keras.layers.Softmax(name="scores")(logits), name="planted")
    model.get_layer("token_embedding").set_weights([table])
    model.get_layer("logits").set_weights([np.array([[0, 4], [0, 0]], np.float32)])
    return model


@pytest.fixture(scope="session")
def planted():
    return planted_classifier
