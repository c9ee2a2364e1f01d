"""Pairs for contrastive training, answers, and texts that no label fits."""

import numpy as np
import pytest

from tfkit.data.text import TextExamples, label_texts, pair_batches
from tfkit.data.text.normalizing import BUILT_IN_ANSWERS, BUILT_IN_OUT_OF_SCOPE, read_answers, read_lines
from tfkit.errors import DataError

OPTIONS = {"sequence_length": 16, "batch_size": 32}


def texts_of(side):
    """Token ids as hashable rows without padding."""
    return [tuple(row[row != 0]) for row in side]


@pytest.fixture(scope="module")
def label_of(intents, tokenizer):
    """The label of each text by its token ids."""
    ids = tokenizer(intents.train.texts, sequence_length=16)["token_ids"]
    return dict(zip(texts_of(ids), intents.train.labels.tolist(), strict=True))


def test_partners_are_other_texts_of_the_same_label(intents, tokenizer, label_of):
    anchors_seen = set()
    for inputs, target in pair_batches(intents.train, intents.train, tokenizer, **OPTIONS):
        ids = inputs["token_ids"].numpy()
        anchors, partners = texts_of(ids[:32]), texts_of(ids[32:])
        assert [label_of[text] for text in anchors] == inputs["groups"].numpy().tolist()
        assert [label_of[text] for text in partners] == inputs["groups"].numpy().tolist()
        assert all(anchor != partner for anchor, partner in zip(anchors, partners, strict=True))
        assert np.array_equal(target, np.eye(32))
        anchors_seen |= set(anchors)
    assert len(anchors_seen) >= len(intents.train) // 32 * 32 - 2  # long texts may be cut to the same ids


def test_epochs_differ_and_seeds_repeat_them(intents, tokenizer):
    def epochs(seed, repeats=False):
        batches = pair_batches(intents.train, intents.train, tokenizer, **OPTIONS, seed=seed, repeats=repeats)
        return [np.concatenate([inputs["groups"].numpy() for inputs, _ in batches]) for _ in range(2)]

    first, second = epochs(1)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, epochs(1)[0]) and not np.array_equal(first, epochs(2)[0])
    assert np.array_equal(*epochs(1, repeats=True))


def test_labels_that_are_texts_are_partners(intents, tokenizer):
    labels = label_texts(intents.train)
    (inputs, _), *_ = pair_batches(intents.validation, labels, tokenizer, sequence_length=16, batch_size=4)
    expected = tokenizer(intents.class_names, sequence_length=16)["token_ids"][inputs["groups"].numpy()]
    length = inputs["token_ids"].shape[1]
    assert np.array_equal(inputs["token_ids"][4:], expected[:, :length])


def test_what_gives_no_pairs_is_told(tokenizer):
    one = TextExamples(("a", "b"), np.zeros(2, np.int32), ("1", "2"), ("only",))
    with pytest.raises(DataError, match="one label only"):
        pair_batches(one, one, tokenizer, **OPTIONS)
    with pytest.raises(DataError, match="a batch needs 2 pairs"):
        pair_batches(one, one, tokenizer, sequence_length=16, batch_size=1)


def test_every_built_in_intent_has_an_answer(intents):
    assert set(read_answers(BUILT_IN_ANSWERS, intents.class_names)) == set(intents.class_names)
    assert len(read_lines(BUILT_IN_OUT_OF_SCOPE)) == 40


def test_all_faults_of_answers_are_told_at_once(tmp_path):
    file = tmp_path / "answers.csv"
    file.write_text("label,answer\ncard,Block it.\ncard,Again\nloans,Yes\nloan,\n")
    with pytest.raises(DataError) as told:
        read_answers(file, ("card", "loan"))
    for fault in ("answers.csv:3: 'card' has an answer already", ":4: 'loans' is none of the 2", ":5: 'loan' has no"):
        assert fault in str(told.value)
    file.write_text("intent,reply\ncard,x\n")
    with pytest.raises(DataError, match="must have the columns label and answer; it has intent, reply"):
        read_answers(file, ("card",))
    with pytest.raises(DataError, match="cannot read the answers"):
        read_answers(tmp_path / "none.csv", ("card",))
    file.write_text("label,answer\ncard,Block it.\nloans,Yes\n")
    assert read_answers(file, ("card", "loan"), passes_others=True) == {"card": "Block it."}
