"""A small real set and a tokeniser learned from it, made once."""

import pytest

from tfkit.data.text import learn_word_pieces, load_text_splits


@pytest.fixture(scope="session")
def intents():
    """The built-in set, split 20 % test and 10 % validation."""
    return load_text_splits(source="built_in")


@pytest.fixture(scope="session")
def tokenizer(intents):
    return learn_word_pieces(intents.train.texts, size=800)


@pytest.fixture(scope="session")
def torture():
    """Texts that break tokenisers."""
    return [
        "",
        " \t\r\n ",
        "Where is my PARCEL?",
        "it's 100% don't-know (really)...",
        "\U0001f600 \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f",
        "cafe\u0301 caf\u00e9 \u00c5ngstr\u00f6m na\u00efve \u1e9b\u0323 \u0130stanbul I\u0307",
        "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd, \u0645\u0631\u062d\u0628\u0627\u064b \u202ebidi\u202c",
        "\u6f22\u5b57 \u304b\u306a\u4ea4\u3058\u308a\u6587 \ud55c\uad6d\uc5b4 \U00020000\U0002a700",
        "a\0b \0 where\0is",
        "\ud800 lone \udc00a\udfff pair \ud83d\ude00",
        "\ufffd rep\ufffdlaced \ufeffbom soft\u00adhyphen zero\u200bwidth \ue000private",
        "no\u00a0break thin\u2009space ideographic\u3000space line\u2028separator",
        "\u00bd \u2026 \u2122 \u2460 \ufb01ne \uff37\uff29\uff24\uff25 stra\u00dfe",
        "x" * 100,
        "x" * 101,
        "\u0436" * 60,
        "word " * 20_000,
        "y" * 100_000,
        "[CLS] where [SEP] [PAD] [UNK] <s> </s>",
        "\u09ec \u096c six \u0966",
    ]
