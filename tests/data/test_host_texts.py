"""Token ids without TensorFlow are those of TF Text's graph, or there are none."""

import unicodedata
from pathlib import Path

import keras_hub
import numpy as np
import pytest

from tfkit.artifacts import TextSpec
from tfkit.data.host_texts import token_ids_on_host
from tfkit.data.text import Tokenizer, load_text_splits

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# Everything that is computed without TensorFlow.
RANGES = (
    (0x01, 0x7E),
    (0xA0, 0x17F),
    (0x400, 0x482),
    (0x48A, 0x4FF),
    (0x2010, 0x2027),
    (0x2030, 0x203A),
    (0x20A0, 0x20B5),
    (0x4E00, 0x9FA5),
)
LETTERS = [chr(point) for first, last in RANGES for point in range(first, last + 1)]
KINDS = [(True, True), (True, False), (False, True), (False, False)]


def texts_of(seed: int, count: int, letters: list[str]) -> list[str]:
    """Sentences of words, single letters and marks, glued together and apart."""
    rng = np.random.default_rng(seed)
    words = sorted({word for text in load_text_splits(source="built_in").train.texts for word in text.split()})
    odd = [letter for letter in letters if letter < "\u4e00"]
    return [
        "".join(
            source[rng.integers(len(source))] * (1, 1, 1, 2, 40)[rng.integers(5)]
            for source in (words, odd, letters, [" ", "", "##", "[CLS]", "-"])
            for _ in range(int(rng.integers(0, 5)))
        )
        for _ in range(count)
    ]


def vocabulary() -> list[str]:
    """Single letters in all forms, first and within words, and pieces of words; some letters are missing."""
    rng = np.random.default_rng(1)
    forms = {form for letter in LETTERS[:1200] for form in (letter, letter.lower(), letter.upper())}
    plain = {letter for form in forms for letter in unicodedata.normalize("NFD", form)} | forms
    single = sorted(letter for letter in plain if len(letter) == 1 and letter.strip() and rng.random() < 0.9)
    words = sorted({word for text in texts_of(2, 60, LETTERS[:94]) for word in text.lower().split() if word})
    pieces = {word[: int(rng.integers(1, 6))] for word in words} - set(single) - {""}
    starts = [*single, *sorted(pieces)]
    return list(dict.fromkeys([*SPECIAL, *starts, *(f"##{piece}" for piece in starts)]))


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: f"lowercase {kind[0]}, no accents {kind[1]}")
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Path]:
    lowercase, strip_accents = request.param
    layer = keras_hub.tokenizers.BertTokenizer(vocabulary=vocabulary())
    tokenizer = Tokenizer(layer, lowercase=lowercase, strip_accents=strip_accents)
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(folder)
    return tokenizer, folder


def assert_same(texts: list[str], tokenizer: Tokenizer, folder: Path, length: int) -> None:
    found = token_ids_on_host(texts, TextSpec(length, folder))
    assert found is not None
    expected = tokenizer(texts, sequence_length=length)
    for key, values in expected.items():
        wrong = np.flatnonzero((found[key] != values).any(1))
        assert found[key].dtype == values.dtype and not len(wrong), [ascii(texts[row]) for row in wrong[:5]]


def test_every_letter_alone_and_within_a_word(saved: tuple[Tokenizer, Path]) -> None:
    texts = [text for letter in LETTERS for text in (letter, f"a{letter}b")]
    assert_same(texts, *saved, length=8)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_mixed_texts(saved: tuple[Tokenizer, Path], seed: int) -> None:
    assert_same(texts_of(seed, 1000, LETTERS), *saved, length=48)


def test_no_text_empty_texts_and_long_ones(saved: tuple[Tokenizer, Path]) -> None:
    texts = ["", " \t\n ", "a" * 100, "a" * 101, "\u0436" * 50, "\u0436" * 51, "word " * 5000, "[UNK] ##a [PAD]"]
    assert_same(texts, *saved, length=3)
    assert_same(texts, *saved, length=64)
    assert_same([], *saved, length=8)


@pytest.mark.parametrize("letter", ["\0", "\u03a3", "e\u0301", "\U0001f600", "\ud800", "\u3099", "\x7f"])
def test_other_letters_are_left_to_tensorflow(saved: tuple[Tokenizer, Path], letter: str) -> None:
    assert token_ids_on_host(["a", f"a {letter}"], TextSpec(8, saved[1])) is None


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("vocabulary.txt", "[MASK]\n", "[SEP]\n"),
        ("vocabulary.txt", "[PAD]\n", ""),
        ("vocabulary.txt", "[CLS]\n[SEP]\n", "[SEP]\n[CLS]\n"),
        ("specification.json", '"word_piece"', '"byte_pair"'),
        ("specification.json", '"##"', '"@@"'),
        ("specification.json", "{", ""),
        ("specification.json", '"unknown"', '"other"'),
    ],
)
def test_files_that_say_anything_else_are_left_to_tensorflow(
    saved: tuple[Tokenizer, Path], tmp_path: Path, name: str, old: str, new: str
) -> None:
    for file in saved[1].iterdir():
        content = file.read_text(encoding="utf-8")
        (tmp_path / file.name).write_text(content.replace(old, new, 1) if file.name == name else content)
    assert token_ids_on_host(["a"], TextSpec(8, tmp_path)) is None
    assert token_ids_on_host(["a"], TextSpec(8, tmp_path / "nowhere")) is None
