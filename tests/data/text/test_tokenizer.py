import io
import json
import os
import unicodedata
from pathlib import Path

import keras
import keras_hub
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf
import tokenizers

from tfkit.artifacts import TextSpec
from tfkit.data.host_texts import token_ids_on_host
from tfkit.data.text import (
    Tokenizer,
    learn_word_pieces,
    load_text_examples,
    load_text_splits,
    measure_lengths,
    open_tokenizer,
    replace_unusable,
)
from tfkit.errors import DataError, ModelError, RunError

LENGTH = 64

_CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def _parts_words(character):
    is_symbol = "!" <= character <= "~" and not character.isalnum()
    is_ideograph = any(first <= ord(character) <= last for first, last in _CJK)
    return is_symbol or is_ideograph or unicodedata.category(character).startswith("P")


def _ids_by_specification(specification, vocabulary, text):
    """A WordPiece tokeniser written from `specification()` alone, as a phone's programmer would."""
    number_of = {token: number for number, token in enumerate(vocabulary)}
    text = replace_unusable(text)
    text = "".join(" " if c in "\t\n\r" or unicodedata.category(c)[0] == "Z" else c for c in text)
    text = "".join(c for c in text if c != "\ufffd" and unicodedata.category(c) not in ("Cc", "Cf", "Co"))
    if specification["strip_accents"]:
        text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    if specification["lowercase"]:
        text = text.lower()
    words = "".join(f" {c} " if _parts_words(c) else c for c in text).split(" ")
    specials = {role: entry["id"] for role, entry in specification["special_tokens"].items()}
    return [specials["start"], *_all_pieces(words, number_of, specification, specials["unknown"]), specials["end"]]


def _all_pieces(words, number_of, specification, unknown):
    ids = []
    for word in filter(None, words):
        pieces, start = [], 0
        if len(word.encode()) > specification["max_bytes_per_word"]:
            ids.append(unknown)
            continue
        while start < len(word):
            prefix = specification["suffix_indicator"] if start else ""
            ends = (end for end in range(len(word), start, -1) if prefix + word[start:end] in number_of)
            end = next(ends, None)
            if end is None:
                pieces = [unknown]
                break
            pieces.append(number_of[prefix + word[start:end]])
            start = end
        ids += pieces
    return ids


def _cut(ids, length):
    return ids if len(ids) <= length else [*ids[: length - 1], ids[-1]]


def _rows(encoded):
    return [row[: mask.sum()].tolist() for row, mask in zip(encoded["token_ids"], encoded["padding_mask"], strict=True)]


def _in_pipeline(tokenizer, texts, length):
    """Ids made inside tf.data, from what is left of the texts as bytes."""
    raw = tf.data.Dataset.from_tensor_slices([replace_unusable(text).encode() for text in texts]).batch(7)
    batches = raw.map(lambda batch: tokenizer.in_graph(batch, sequence_length=length)).as_numpy_iterator()
    batches = list(batches)
    return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}


def _exported(tokenizer, folder, length):
    module = tf.Module()
    module.layer = tokenizer.layer
    module.tokenize = tf.function(
        lambda texts: tokenizer.in_graph(texts, sequence_length=length),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(module, str(folder))
    return tf.saved_model.load(str(folder))


def _assert_same(found, expected):
    for key in ("token_ids", "padding_mask"):
        assert found[key].dtype == np.int32
        np.testing.assert_array_equal(found[key], expected[key])


def test_offline_pipeline_and_specification_give_the_same_ids(tokenizer, torture):
    offline = tokenizer(torture, sequence_length=LENGTH)
    _assert_same(_in_pipeline(tokenizer, torture, LENGTH), offline)
    specification = json.loads(json.dumps(tokenizer.specification()))
    vocabulary = tokenizer.tokens(range(tokenizer.vocabulary_size))
    for text, ids in zip(torture, _rows(offline), strict=True):
        assert ids == _cut(_ids_by_specification(specification, vocabulary, text), LENGTH), repr(text[:40])


def test_any_old_character_gives_the_specified_ids():
    characters = [chr(point) for point in range(0x110000) if unicodedata.ucd_3_2_0.category(chr(point)) != "Cn"]
    characters = [c for c in characters if unicodedata.category(c) not in ("Cs", "Co")]
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(characters, 12)) + " a" for _ in range(150)]
    tokenizer = learn_word_pieces([" ".join(texts), "a b c"] * 2, size=2000)
    specification = tokenizer.specification()
    vocabulary = tokenizer.tokens(range(tokenizer.vocabulary_size))
    for text, ids in zip(texts, _rows(tokenizer(texts, sequence_length=96)), strict=True):
        assert ids == _ids_by_specification(specification, vocabulary, text), ascii(text)


def test_ids_are_those_of_the_original_tokeniser(tokenizer, intents, tmp_path):
    tokenizer.save(tmp_path)
    original = tokenizers.BertWordPieceTokenizer(str(tmp_path / "vocabulary.txt"), lowercase=True)
    texts = [*intents.train.texts, "Crème BRÛLÉE", "no\u00a0break", "½ … ™", "a\u00adb", "漢字"]
    assert _rows(tokenizer(texts, sequence_length=256)) == [row.ids for row in original.encode_batch(texts)]


def test_a_saved_model_gives_the_same_ids(tokenizer, torture, tmp_path):
    loaded = _exported(tokenizer, tmp_path, 16)
    raw = tf.constant([replace_unusable(text).encode() for text in torture])
    _assert_same(
        {key: value.numpy() for key, value in loaded.tokenize(raw).items()}, tokenizer(torture, sequence_length=16)
    )


def test_invalid_bytes_from_a_client_are_replaced(tokenizer):
    raw = tf.constant([b"where \xff is \xed\xa0\x80 my\x00 parcel\xc3", b"where is my parcel"])
    ids = tokenizer.in_graph(raw, sequence_length=16)["token_ids"].numpy()
    np.testing.assert_array_equal(ids[0], ids[1])


@pytest.mark.slow
def test_byte_pairs_are_those_of_the_original_tokeniser(intents, torture, tmp_path):
    original = tokenizers.ByteLevelBPETokenizer()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    original.train_from_iterator(intents.train.texts, vocab_size=500, special_tokens=specials, show_progress=False)
    original.save_model(str(tmp_path))
    layer = keras_hub.tokenizers.RobertaTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    Tokenizer(layer).save(tmp_path / "saved")
    tokenizer = open_tokenizer(tmp_path / "saved")
    assert tokenizer.kind == "byte_pair"
    texts = [text for text in torture if len(text) < 90_000] + ["1234567 in 2024", *intents.test.texts]
    offline = tokenizer(texts, sequence_length=LENGTH)
    for text, ids in zip(texts, _rows(offline), strict=True):
        pieces = original.encode(replace_unusable(text).replace("\u096c", "6")).ids
        assert ids == _cut([0, *pieces, 2], LENGTH), repr(text[:40])
    raw = tf.constant([replace_unusable(text).encode() for text in texts])
    loaded = _exported(tokenizer, tmp_path / "exported", LENGTH).tokenize(raw)
    _assert_same({key: value.numpy() for key, value in loaded.items()}, offline)


@pytest.mark.parametrize(
    ("family", "options"),
    [
        (
            "AlbertTokenizer",
            {"pad_piece": "<pad>", "user_defined_symbols": "[MASK]", "unk_id": 1, "bos_id": 2, "eos_id": 3},
        ),
        ("DebertaV3Tokenizer", {"pad_piece": "[PAD]", "unk_piece": "[UNK]", "bos_id": 1, "eos_id": 2, "unk_id": 3}),
    ],
)
def test_sentence_pieces_are_those_of_the_original_tokeniser(intents, torture, tmp_path, family, options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(intents.train.texts),
        model_writer=model,
        vocab_size=400,
        pad_id=0,
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        minloglevel=2,
        **options,
    )
    original = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    Tokenizer(getattr(keras_hub.tokenizers, family)(proto=model.getvalue())).save(tmp_path)
    tokenizer = open_tokenizer(tmp_path)
    assert tokenizer.kind == "sentence_piece"
    texts = [*torture, *intents.test.texts]
    offline = tokenizer(texts, sequence_length=LENGTH)
    _assert_same(_in_pipeline(tokenizer, texts, LENGTH), offline)
    raw = tf.constant([replace_unusable(text).encode() for text in texts])
    exported = _exported(tokenizer, tmp_path / "exported", LENGTH)
    _assert_same({key: value.numpy() for key, value in exported.tokenize(raw).items()}, offline)
    keras.utils.set_random_seed(1)  # makes TensorFlow forget its kernels, and what belongs to them
    _assert_same(tokenizer(texts, sequence_length=LENGTH), offline)
    _assert_same({key: value.numpy() for key, value in exported.tokenize(raw).items()}, offline)
    start, end = (tokenizer.specification()["special_tokens"][role]["id"] for role in ("start", "end"))
    for text, ids in zip(texts, _rows(offline), strict=True):
        assert ids == _cut([start, *original.encode(replace_unusable(text)), end], LENGTH), repr(text[:40])


def test_a_torture_file_gives_the_same_ids_or_says_what_is_wrong(tokenizer, torture, tmp_path):
    file = tmp_path / "torture.jsonl"
    file.write_text("".join(json.dumps({"text": text, "label": str(n % 2)}) + "\n" for n, text in enumerate(torture)))
    with pytest.raises(DataError, match=r"2 rows of 20 cannot be used:\n.*torture.jsonl:1: its text is empty"):
        load_text_examples(file)
    read = load_text_examples(file, bad_rows="skip")
    # Escaped in JSON, lone surrogates and NUL arrive as such; a pair of surrogates is the character it means.
    assert len(read) == 18 and not any("\0" in text or "\ud800" in text for text in read.texts)
    kept = [text for text in torture if text.strip()]
    _assert_same(tokenizer(read.texts, sequence_length=LENGTH), tokenizer(kept, sequence_length=LENGTH))
    _assert_same(_in_pipeline(tokenizer, read.texts, LENGTH), tokenizer(kept, sequence_length=LENGTH))
    (tmp_path / "bytes.tsv").write_bytes(b"text\tlabel\nfine\ta\nlone \xed\xa0\x80\tb\n")
    with pytest.raises(DataError, match="is not utf-8: line 3 holds the byte 0xed"):
        load_text_examples(tmp_path / "bytes.tsv")


def test_a_saved_folder_opens_as_the_same_tokeniser(tokenizer, torture, tmp_path):
    tokenizer.save(tmp_path / "new" / "folder")
    opened = open_tokenizer(tmp_path / "new" / "folder")
    assert opened.specification() == tokenizer.specification()
    _assert_same(opened(torture, sequence_length=24), tokenizer(torture, sequence_length=24))


def test_a_cased_tokeniser_keeps_case_and_accents():
    layer = keras_hub.tokenizers.BertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Café", "cafe"])
    assert Tokenizer(layer)(["Café"], sequence_length=3)["token_ids"].tolist() == [[2, 5, 3]]
    assert Tokenizer(layer, lowercase=True)(["Café"], sequence_length=3)["token_ids"].tolist() == [[2, 6, 3]]


def test_lengths_are_untruncated_and_include_start_and_end(tokenizer):
    assert tokenizer.lengths(["", "where is it", "word " * 500]).tolist()[:2] == [2, 5]
    assert tokenizer.lengths(["where " * 500])[0] == 502
    assert tokenizer.lengths([]).shape == (0,)
    assert tokenizer([], sequence_length=8)["token_ids"].shape == (0, 8)


def test_long_texts_keep_their_end_token(tokenizer):
    row = tokenizer(["where is my parcel " * 10], sequence_length=5)["token_ids"][0]
    assert tokenizer.tokens(row) == ["[CLS]", "where", "is", "my", "[SEP]"]


def test_learning_is_repeatable_and_knows_whole_words_of_a_small_set(intents, tokenizer):
    again = learn_word_pieces(intents.train.texts, size=800)
    assert again.tokens(range(again.vocabulary_size)) == tokenizer.tokens(range(tokenizer.vocabulary_size))
    assert 400 < tokenizer.vocabulary_size <= 800
    assert {"parcel", "refund", "address"} <= set(tokenizer.tokens(range(tokenizer.vocabulary_size)))


def test_length_is_chosen_from_the_distribution(tokenizer):
    texts = ["where is it"] * 98 + ["where " * 18] + ["where " * 60]
    report = measure_lengths(texts, tokenizer, truncated_share=0.01)
    assert (report.sequence_length, report.truncated_share) == (24, 0.01)
    assert report.percentiles == {50: 5, 90: 5, 95: 5, 99: 20, 100: 62}
    assert measure_lengths(texts, tokenizer, truncated_share=0.05).sequence_length == 8
    assert measure_lengths(texts, tokenizer, truncated_share=0.0, limit=32).sequence_length == 32
    assert measure_lengths(texts, tokenizer, sequence_length=10).truncated_share == 0.02
    assert json.loads(json.dumps(report.to_json()))["percentiles"]["100"] == 62


def test_wrong_use_is_told(tokenizer, tmp_path):
    with pytest.raises(ModelError, match="sequence_length must be 3 or more; got 2"):
        tokenizer(["a"], sequence_length=2)
    with pytest.raises(ModelError, match=r"ids must be in \[0, \d+\); got -1, 999999"):
        tokenizer.tokens([1, -1, 999_999])
    with pytest.raises(DataError, match="no text"):
        learn_word_pieces(["", " "], size=100)
    with pytest.raises(DataError, match="10 or more; got 3"):
        learn_word_pieces(["a"], size=3)
    with pytest.raises(DataError, match=r"truncated_share must be .*; there is no text to measure"):
        measure_lengths([], tokenizer, truncated_share=1.0)
    with pytest.raises(ModelError, match="expected a keras-hub WordPiece"):
        open_tokenizer(object())
    with pytest.raises(ModelError, match="has no start"):
        open_tokenizer(keras_hub.tokenizers.WordPieceTokenizer(["[UNK]", "a"]))
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        tokenizer.save(tmp_path / "file")


def test_folders_without_a_whole_tokeniser_are_told(tokenizer, tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        open_tokenizer(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="no tokeniser could be opened"):
        open_tokenizer(tmp_path)
    tokenizer.save(tmp_path)
    vocabulary = (tmp_path / "vocabulary.txt").read_text().splitlines()
    (tmp_path / "vocabulary.txt").write_text("\n".join(vocabulary[:-5]) + "\n")
    with pytest.raises(ModelError, match=r"has \d+ tokens; specification.json says"):
        open_tokenizer(tmp_path)
    (tmp_path / "vocabulary.txt").unlink()
    with pytest.raises(ModelError, match="is damaged"):
        open_tokenizer(tmp_path)


@pytest.mark.parametrize("name", ["vocabulary.txt", "specification.json", "keras_layer.json"])
def test_a_pipe_in_the_folder_is_not_waited_for(tokenizer, tmp_path, name):
    tokenizer.save(tmp_path)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(ModelError, match=f"'{name}': it is a pipe"):
        open_tokenizer(tmp_path)
    assert token_ids_on_host(["where"], TextSpec(8, tmp_path)) is None


@pytest.mark.real_data
def test_banking77_whole_has_the_same_ids_everywhere(tmp_path):
    model, data = os.environ.get("TFKIT_MINILM"), os.environ.get("TFKIT_REAL_DATA")
    if not model or not data:
        pytest.skip("needs TFKIT_MINILM, a MiniLM folder, and TFKIT_REAL_DATA")
    splits = load_text_splits(
        source="csv",
        directory=Path(data) / "banking77",
        train=Path("train.csv"),
        test=Path("test.csv"),
        label_column="category",
    )
    texts = [text for part in (splits.train, splits.validation, splits.test) for text in part.texts]
    assert len(texts) == 13_083
    tokenizer = open_tokenizer(Path(model))
    offline = tokenizer(texts, sequence_length=128)
    _assert_same(_in_pipeline(tokenizer, texts, 128), offline)
    loaded = _exported(tokenizer, tmp_path, 128).tokenize(tf.constant(texts))
    _assert_same({key: value.numpy() for key, value in loaded.items()}, offline)
    original = tokenizers.BertWordPieceTokenizer(str(Path(model) / "vocab.txt"), lowercase=True)
    assert _rows(offline) == [row.ids for row in original.encode_batch(texts)]
    specification = tokenizer.specification()
    vocabulary = tokenizer.tokens(range(tokenizer.vocabulary_size))
    assert _rows(offline) == [_ids_by_specification(specification, vocabulary, text) for text in texts]
