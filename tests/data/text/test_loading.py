import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfkit.data.text import load_text_examples, load_text_splits
from tfkit.errors import DataError

ROWS = [(f"{kind} number {index}", kind) for kind in ("ask", "buy") for index in range(10)]


def _write(folder, name, lines, encoding="utf-8"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join(lines).encode(encoding) + b"\n")
    return path


def _csv(rows=ROWS, header="text,label"):
    return [header, *(f'"{text}",{label}' for text, label in rows)]


def test_the_built_in_set_is_balanced_and_has_no_duplicate(intents):
    assert len(intents.class_names) == 10
    assert len(intents.train) + len(intents.validation) + len(intents.test) == 330
    totals = [sum(intents.report.kept[split][name] for split in intents.report.kept) for name in intents.class_names]
    assert totals == [33] * 10
    assert intents.report.duplicates == intents.report.leakage == ()


def test_one_file_is_split_by_class_the_same_for_the_same_seed(tmp_path):
    path = _write(tmp_path, "all.csv", _csv())
    splits = load_text_splits(source="csv", train=path)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (14, 2, 4)
    assert splits.test.class_counts() == {"ask": 2, "buy": 2}
    assert splits.test.labels.dtype == np.int32
    assert load_text_splits(source="csv", train=path).test.names == splits.test.names
    assert load_text_splits(source="csv", train=path, seed=5).test.names != splits.test.names
    assert "4 texts (20% of each class) were held out for testing." in splits.report.notes


def test_a_row_is_named_by_the_line_it_starts_in(tmp_path):
    lines = ["text,label", '"two\nlines",ask', "", "one,buy", *_csv()[1:]]
    examples = load_text_examples(_write(tmp_path, "a.csv", lines))
    assert list(zip(examples.names, examples.texts, strict=True))[:2] == [("a.csv:2", "two\nlines"), ("a.csv:5", "one")]


def test_columns_are_named_by_the_caller(tmp_path):
    lines = ["id;intent;what was said", *(f"{number};{label};{text}" for number, (text, label) in enumerate(ROWS))]
    path = _write(tmp_path, "a.csv", lines)
    splits = load_text_splits(
        source="csv", train=path, separator=";", text_column="what was said", label_column="intent"
    )
    assert splits.class_names == ("ask", "buy")
    assert splits.train.texts[0].startswith("ask number")


def test_three_files_are_three_splits_in_latin_1(tmp_path):
    for name in ("train", "dev", "test"):
        _write(tmp_path, f"{name}.tsv", [f"caf\u00e9 {name} {text}\t{label}" for text, label in ROWS], "latin-1")
    splits = load_text_splits(
        source="tsv",
        directory=tmp_path,
        train=Path("train.tsv"),
        validation=Path("dev.tsv"),
        test=Path("test.tsv"),
        header=False,
        encoding="latin-1",
        label_names={"ask": "question"},
    )
    assert splits.class_names == ("buy", "question")
    assert splits.validation.texts[0] == "caf\u00e9 dev ask number 0"
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (20, 20, 20)


def test_a_separator_inside_an_unquoted_text_stays_in_it(tmp_path):
    lines = [*(f'{text} "quoted @{label}' for text, label in ROWS), "mail me @ home@ask"]
    path = _write(tmp_path, "phrases.txt", lines)
    examples = load_text_examples(path, header=False, separator="@")
    assert examples.texts[-1] == "mail me @ home"
    assert examples.texts[0] == 'ask number 0 "quoted'


def test_json_lines_with_numbers_as_labels_are_sorted_by_value(tmp_path):
    objects = [{"body": f"text {kind} {index}", "stars": kind} for kind in (2, 10, 1) for index in range(4)]
    path = _write(tmp_path, "a.jsonl", [*map(json.dumps, objects), ""])
    splits = load_text_splits(source="jsonl", train=path, text_column="body", label_column="stars")
    assert splits.class_names == ("1", "2", "10")


def test_a_split_column_decides(tmp_path):
    rows = [f"{text},{label},{('train', 'val', 'test')[number % 3]}" for number, (text, label) in enumerate(ROWS)]
    path = _write(tmp_path, "a.csv", ["text,label,part", *rows])
    splits = load_text_splits(source="csv", train=path, split_column="part")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (7, 7, 6)


def test_a_byte_order_mark_and_windows_line_ends_are_no_text(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(["text\tlabel", *(f"{t}\t{k}" for t, k in ROWS)]).encode())
    assert load_text_examples(path).class_names == ("ask", "buy")


def test_nul_and_lone_surrogates_are_replaced_and_told(tmp_path):
    objects = [{"text": text, "label": label} for text, label in ROWS]
    lines = [*map(json.dumps, objects), '{"text": "a\\ud800b \\ud83d\\ude00 c\\u0000d", "label": "ask"}']
    path = _write(tmp_path, "a.jsonl", lines)
    assert load_text_examples(path).texts[-1] == "a\ufffdb \U0001f600 c\ufffdd"
    report = load_text_splits(source="jsonl", train=path).report
    assert report.notes[0] == "1 texts held NUL or lone surrogates, which were replaced: a.jsonl:21."


def test_a_long_document_is_one_field(tmp_path):
    path = _write(tmp_path, "a.csv", [*_csv(), f'"{"word " * 60_000}",ask'])
    assert len(load_text_examples(path).texts[-1]) == 300_000 - 1


def test_duplicates_and_leakage_are_reported_and_copies_never_parted(tmp_path):
    rows = [*ROWS, ("ASK  number 3", "ask"), ("buy number 1", "ask")]
    report = load_text_splits(source="csv", train=_write(tmp_path, "a.csv", _csv(rows))).report
    assert report.duplicates == (("a.csv:5", "a.csv:22"), ("a.csv:13", "a.csv:23"))
    assert report.leakage == ()
    assert any("1 text appears under more than one class" in note for note in report.notes)
    _write(tmp_path, "b.csv", _csv([*ROWS[8:12], ("new", "ask")]))
    leaking = load_text_splits(
        source="csv", directory=tmp_path, train=Path("a.csv"), test=Path("b.csv"), validation_fraction=0.0
    )
    assert [group[-1] for group in leaking.report.leakage] == ["b.csv:2", "b.csv:3", "b.csv:4", "b.csv:5"]


def test_files_of_one_name_keep_different_examples_apart(tmp_path):
    _write(tmp_path, "train/data.csv", _csv())
    _write(tmp_path, "test/data.csv", _csv())
    splits = load_text_splits(
        source="csv", directory=tmp_path, train=Path("train/data.csv"), test=Path("test/data.csv")
    )
    assert splits.test.names[0] == "test/data.csv:2"
    assert len(splits.report.leakage) == 20


def test_all_bad_rows_are_told_at_once_or_left_out_with_their_reasons(tmp_path):
    bad = [",ask", '"  ",ask', "no label,", "one,two,three", "alone"]
    path = _write(tmp_path, "a.csv", [*_csv(), *bad])
    with pytest.raises(DataError) as caught:
        load_text_splits(source="csv", train=path)
    message = str(caught.value)
    assert message.startswith("5 rows of 25 cannot be used:")
    assert "a.csv:22: its text is empty" in message
    assert "a.csv:24: its label is empty" in message
    assert "a.csv:25: it has 3 fields, expected 2; a text that holds ',' must be in double quotes" in message
    assert "a.csv:26: it has 1 fields, expected 2" in message
    splits = load_text_splits(source="csv", train=path, bad_rows="skip")
    assert len(splits.report.left_out) == 5
    assert sum(map(len, (splits.train, splits.validation, splits.test))) == 20


def test_json_lines_that_are_none_are_told(tmp_path):
    lines = ['{"text": "a", "label": "x"}', "{broken", "[1]", '{"text": 3, "label": "x"}', '{"text": "b"}']
    path = _write(tmp_path, "a.jsonl", [*lines, '{"text": "b", "label": [1]}'])
    with pytest.raises(DataError) as caught:
        load_text_splits(source="jsonl", train=path)
    message = str(caught.value)
    assert "5 rows of 6" in message
    for part in ("a.jsonl:2: it is not JSON", "a.jsonl:3: it is a JSON list", "its 'text' is int", "it has no 'label'"):
        assert part in message


def test_labels_that_training_does_not_know_are_bad_rows(tmp_path):
    train = _write(tmp_path, "train.csv", _csv())
    test = _write(tmp_path, "test.csv", _csv([("one", "ask"), ("two", "bye")]))
    with pytest.raises(DataError, match=r"test.csv:3: its label 'bye' is none of the 2 classes"):
        load_text_splits(source="csv", train=train, test=test)
    splits = load_text_splits(source="csv", train=train, test=test, bad_rows="skip")
    assert "The test split has no text of 1 classes: buy." in splits.report.notes
    with pytest.raises(DataError, match=r"train.csv:2: its label 'ask' is none of the 2 classes"):
        load_text_examples(train, class_names=["buy", "sell"])


def test_classes_and_labels_per_class_choose(tmp_path):
    path = _write(tmp_path, "a.csv", _csv([*ROWS, ("x", "rare")]))
    splits = load_text_splits(source="csv", train=path, classes=["buy", "ask"], labels_per_class=3)
    assert splits.class_names == ("buy", "ask")
    assert splits.train.class_counts() == {"buy": 3, "ask": 3}
    with pytest.raises(DataError, match=r"there is no class 'bu' \(is 'buy' meant"):
        load_text_splits(source="csv", train=path, classes=["bu", "ask"])
    with pytest.raises(DataError, match=r"too few different texts to split off a test part: 'rare' \(1\)"):
        load_text_splits(source="csv", train=path)


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (["sentence,class", "a,b"], {}, "no column 'text' and 'label'; it has sentence, class"),
        (["a,b"], {"header": False, "label_column": 5}, "no column 5; its rows have 2 columns"),
        (["a,b"], {"header": False, "label_column": "x"}, "no column 'x'; without a header columns are numbers"),
        (_csv(), {"separator": "||"}, "a separator must be one character"),
        (_csv(), {"encoding": "utf-9"}, "there is no encoding 'utf-9'"),
        (_csv(), {"label_names": {"sell": "x"}}, "label_names renames what is not there: 'sell'"),
        (_csv(), {"test_fraction": 1.0, "validation_fraction": -1}, "validation_fraction must .*; test_fraction must"),
        (_csv(ROWS[:10]), {}, "only one class was found: 'ask'"),
        (["text,label"], {}, "no usable text is left to train on"),
        ([""], {}, "holds no row"),
        ([*_csv(), '"open,ask', "b,ask"], {}, "a.csv:22: it is not CSV"),
    ],
)
def test_files_that_cannot_be_used_say_why(tmp_path, lines, options, message):
    with pytest.raises(DataError, match=message):
        load_text_splits(source="csv", train=_write(tmp_path, "a.csv", lines), **options)


def test_faults_of_several_files_are_told_at_once(tmp_path):
    bad = _write(tmp_path, "bad.csv", ["text,label", "caf\u00e9,x"], "latin-1")
    with pytest.raises(DataError) as caught:
        load_text_splits(source="csv", train=bad, test=tmp_path / "gone.csv")
    assert "is not utf-8: line 2 holds the byte 0xe9" in str(caught.value)
    assert "gone.csv' does not exist" in str(caught.value)
    with pytest.raises(DataError, match="needs a file of training texts"):
        load_text_splits(source="tsv", test=bad)
    with pytest.raises(DataError, match="needs the name"):
        load_text_splits(source="tfds")


def _write_tfds(directory, sizes, *, secret=()):
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {"sentence": tfds.features.Text(), "label": tfds.features.ClassLabel(names=["no", "yes"])}
    )
    folder = directory / "tiny" / "1.0.0"
    folder.mkdir(parents=True)
    splits = []
    for split, count in sizes.items():
        template = tfds.core.ShardedFileTemplate(
            data_dir=folder, dataset_name="tiny", split=split, filetype_suffix="tfrecord"
        )
        for shard in range(2):
            with tf.io.TFRecordWriter(str(folder / f"tiny-{split}.tfrecord-{shard:05}-of-00002")) as writer:
                for index in range(shard * count // 2, (shard + 1) * count // 2):
                    example = {"sentence": f"{split} {index}", "label": -1 if split in secret else index % 2}
                    writer.write(features.serialize_example(features.encode_example(example)))
        lengths = [count // 2, count - count // 2]
        splits.append(tfds.core.SplitInfo(name=split, shard_lengths=lengths, num_bytes=0, filename_template=template))
    tfds.folder_dataset.write_metadata(data_dir=folder, features=features, split_infos=splits)


def test_tfds_texts_on_disk_are_read_in_order(tmp_path):
    _write_tfds(tmp_path, {"train": 40, "validation": 6, "test": 4}, secret=("test",))
    splits = load_text_splits(source="tfds", name="tiny", directory=tmp_path)
    assert splits.class_names == ("no", "yes")
    assert splits.test.texts == tuple(f"validation {index}" for index in range(6))
    assert splits.test.names[5] == "tiny/validation[5]"
    assert (len(splits.train), len(splits.validation)) == (36, 4)
    assert [item.reason for item in splits.report.left_out] == ["its labels are not published"]
    with pytest.raises(DataError, match=r"no Text named 'text'; it holds .*sentence: Text"):
        load_text_splits(source="tfds", name="tiny", directory=tmp_path, text_column="text")
