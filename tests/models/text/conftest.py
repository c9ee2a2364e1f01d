from collections.abc import Callable

import keras
import numpy as np
import pytest

from tfkit.models.text import build_text_classifier

TINY = {"num_layers": 2, "num_heads": 2, "hidden_dim": 32, "intermediate_dim": 64, "max_sequence_length": 24}


def new_backbone(family: str = "Bert", **changes) -> keras.Model:
    """A two-layer encoder of a family, over a vocabulary of 100."""
    import keras_hub

    extra = {
        "Albert": {"embedding_dim": 16},
        "Electra": {"embedding_dim": 16, "vocab_size": 100},
        "DebertaV3": {"bucket_size": 8},
    }.get(family, {})
    vocabulary = {} if family == "Electra" else {"vocabulary_size": 100}
    return getattr(keras_hub.models, f"{family}Backbone")(**TINY, **vocabulary, **extra, **changes)


def new_classifier(family: str = "Bert", *, pooling: str = "mean", classes: int = 3, **changes) -> keras.Model:
    """A classifier with a head that is not all zeros, the same weights every time."""
    keras.utils.set_random_seed(7)
    model = build_text_classifier(new_backbone(family, **changes), classes=classes, pooling=pooling)
    kernel = model.get_layer("logits").kernel
    kernel.assign(np.random.default_rng(1).normal(size=kernel.shape))
    return model


@pytest.fixture
def classifier() -> keras.Model:
    return new_classifier()


@pytest.fixture
def another_classifier() -> Callable[..., keras.Model]:
    return new_classifier


@pytest.fixture(scope="session")
def tokens() -> dict[str, np.ndarray]:
    """Eight texts of 3 to 10 tokens, padded to 12."""
    random = np.random.default_rng(0)
    lengths = np.arange(3, 11)
    mask = (np.arange(12) < lengths[:, None]).astype(np.int32)
    return {"token_ids": random.integers(5, 100, mask.shape).astype(np.int32) * mask, "padding_mask": mask}


@pytest.fixture(scope="session")
def targets() -> np.ndarray:
    """One-hot (8, 3)."""
    return np.eye(3, dtype="float32")[np.arange(8) % 3]
