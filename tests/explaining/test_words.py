import pytest

from tfkit.explaining import words_of


def read(text, tokenizer, *, sequence_length=24):
    """Each word as it stands in the text, with its pieces."""
    ids = tokenizer([text], sequence_length=sequence_length)["token_ids"][0]
    words = words_of(text, tokenizer, sequence_length=sequence_length)
    return [(text[word.start : word.end], " ".join(tokenizer.tokens(ids[word.first : word.last]))) for word in words]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I  want\na REFUND!", [("I", "i"), ("want", "want"), ("a", "a"), ("REFUND", "re ##fund"), ("!", "!")]),
        ("don't, please", [("don't", "don ' t"), (",", ","), ("please", "please")]),
        ("Café lately", [("Café", "caf ##e"), ("lately", "late ##ly")]),
        ("Cafe\u0301 a", [("Cafe\u0301", "caf ##e"), ("a", "a")]),
        ("漢字a", [("漢", "漢"), ("字", "字"), ("a", "a")]),
        ("xyz 😀 a\u200b", [("xyz", "[UNK]"), ("😀", "[UNK]"), ("a\u200b", "a")]),
        ("\u200b a", [("a", "a")]),
        ("", []),
        (" \t ", []),
    ],
)
def test_words_own_the_pieces_they_became(tokenizer, text, expected):
    assert read(text, tokenizer) == expected


def test_every_token_of_the_text_belongs_to_one_word(tokenizer):
    text = "I don't want 字 a refundable parcel, please; not lately!!! (café) [SEP]"
    words = words_of(text, tokenizer, sequence_length=64)

    assert [word.first for word in words] == [1, *(word.last for word in words[:-1])]
    assert words[-1].last == tokenizer.lengths([text])[0] - 1


def test_words_behind_the_cut_are_not_read(tokenizer):
    assert read("i want a refundable parcel", tokenizer, sequence_length=7) == [
        ("i", "i"), ("want", "want"), ("a", "a"), ("refundable", "re ##fund"),
    ]  # fmt: skip
    assert len(words_of("want " * 5_000, tokenizer, sequence_length=12)) == 10
