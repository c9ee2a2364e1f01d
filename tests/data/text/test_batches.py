from collections import Counter

import numpy as np
import pytest

from tfkit.data.text import (
    TextAugmentation,
    calibration_tokens,
    evaluation_text_batches,
    length_classes,
    token_arrays,
    training_text_batches,
)
from tfkit.errors import DataError


def _epoch(batches):
    return [(inputs["token_ids"], inputs["padding_mask"], targets) for inputs, targets in batches.as_numpy_iterator()]


def _texts(tokenizer, epoch):
    rows = (ids[: mask.sum()] for batch_ids, masks, _ in epoch for ids, mask in zip(batch_ids, masks, strict=True))
    return [" ".join(tokenizer.tokens(row)) for row in rows]


@pytest.fixture(scope="module")
def long_and_short(intents):
    """230 texts, a third of them long."""
    texts = tuple(
        f"{text} {text} {text}" if number % 3 == 0 else text for number, text in enumerate(intents.train.texts)
    )
    return type(intents.train)(texts, intents.train.labels, intents.train.names, intents.class_names)


def test_an_epoch_holds_every_text_once_with_its_label(tokenizer, long_and_short):
    batches = training_text_batches(long_and_short, tokenizer, sequence_length=64, batch_size=32)
    assert int(batches.cardinality()) == 8
    epoch = _epoch(batches)
    arrays = token_arrays(long_and_short, tokenizer, sequence_length=64)
    expected = Counter(
        (*row[: mask.sum()].tolist(), int(label))
        for row, mask, label in zip(arrays["token_ids"], arrays["padding_mask"], long_and_short.labels, strict=True)
    )
    found = Counter(
        (*row[: mask.sum()].tolist(), int(target.argmax()))
        for ids, masks, targets in epoch
        for row, mask, target in zip(ids, masks, targets, strict=True)
    )
    assert found == expected
    assert epoch[0][2].dtype == np.float32
    assert epoch[0][2].shape == (32, 10)
    assert [len(ids) for ids, _, _ in epoch] == [32] * 7 + [6]


def test_calibration_takes_the_classes_in_turn_as_it_does_of_images(tokenizer, intents):
    rare = np.flatnonzero(intents.train.labels == 3)[:2]
    many = np.flatnonzero(intents.train.labels != 3)
    train = intents.train.select(np.concatenate([many, rare]))  # the last two are all that there is of a class
    tokens = calibration_tokens(train, tokenizer, sequence_length=64, count=20, seed=2)
    rows = {tuple(row) for row in token_arrays(train, tokenizer, sequence_length=64)["token_ids"][-2:]}
    assert rows <= {tuple(row) for row in tokens["token_ids"]} and len(tokens["token_ids"]) == 20
    again, other = (calibration_tokens(train, tokenizer, sequence_length=64, count=20, seed=seed) for seed in (2, 3))
    np.testing.assert_array_equal(tokens["token_ids"], again["token_ids"])
    assert not np.array_equal(tokens["token_ids"], other["token_ids"])
    assert len(calibration_tokens(train, tokenizer, sequence_length=64, count=5000)["token_ids"]) == len(train)


def test_batches_are_padded_to_their_length_class_only(tokenizer, long_and_short):
    epoch = _epoch(training_text_batches(long_and_short, tokenizer, sequence_length=64, batch_size=32))
    widths = [ids.shape[1] for ids, _, _ in epoch]
    assert set(widths) <= set(length_classes(64))
    assert min(widths) <= 16
    assert widths[:-1] != sorted(widths[:-1])
    plain = _epoch(training_text_batches(long_and_short, tokenizer, sequence_length=64, buckets=False))
    assert {ids.shape[1] for ids, _, _ in plain} == {64}
    assert sum(ids.size for ids, _, _ in epoch) < 0.6 * sum(ids.size for ids, _, _ in plain)


def test_the_same_seed_gives_the_same_batches_and_epochs_differ(tokenizer, long_and_short):
    options = {"sequence_length": 48, "batch_size": 16}
    batches = training_text_batches(long_and_short, tokenizer, seed=3, **options)
    first, second = _texts(tokenizer, _epoch(batches)), _texts(tokenizer, _epoch(batches))
    assert first != second
    again = training_text_batches(long_and_short, tokenizer, seed=3, **options)
    assert _texts(tokenizer, _epoch(again)) == first
    resumed = training_text_batches(long_and_short, tokenizer, seed=3, first_epoch=1, **options)
    assert _texts(tokenizer, _epoch(resumed)) == second
    other = training_text_batches(long_and_short, tokenizer, seed=4, **options)
    assert _texts(tokenizer, _epoch(other)) != first


def test_evaluation_keeps_the_order_and_the_length(tokenizer, intents):
    batches = _epoch(evaluation_text_batches(intents.test, tokenizer, sequence_length=24, batch_size=32))
    arrays = token_arrays(intents.test, tokenizer, sequence_length=24)
    np.testing.assert_array_equal(np.concatenate([ids for ids, _, _ in batches]), arrays["token_ids"])
    np.testing.assert_array_equal(np.concatenate([mask for _, mask, _ in batches]), arrays["padding_mask"])
    targets = np.concatenate([targets for _, _, targets in batches])
    np.testing.assert_array_equal(targets.argmax(axis=1), intents.test.labels)


def test_evaluation_in_buckets_gives_every_text_once_with_less_padding(tokenizer, long_and_short):
    batches = _epoch(
        evaluation_text_batches(long_and_short, tokenizer, sequence_length=48, batch_size=16, buckets=True)
    )
    lengths = [ids.shape[1] for ids, _, _ in batches]
    assert lengths == sorted(lengths) and lengths[0] < lengths[-1] <= 48
    assert sorted(_texts(tokenizer, batches)) == sorted(
        _texts(tokenizer, _epoch(evaluation_text_batches(long_and_short, tokenizer, sequence_length=48)))
    )


def test_length_classes_end_with_the_length_itself():
    assert length_classes(40) == (8, 16, 24, 32, 40)
    assert length_classes(32) == (8, 16, 24, 32)
    assert length_classes(6) == (6,)


def test_augmented_batches_are_tokenised_anew_each_epoch_and_repeatable(tokenizer, long_and_short):
    augmentation = TextAugmentation(delete=0.3, swap=0.2, share=1.0)
    options = {"sequence_length": 48, "augmentation": augmentation, "seed": 1}
    batches = training_text_batches(long_and_short, tokenizer, **options)
    first, second = _texts(tokenizer, _epoch(batches)), _texts(tokenizer, _epoch(batches))
    assert sorted(first) != sorted(second)
    assert len(first) == len(long_and_short)
    assert _texts(tokenizer, _epoch(training_text_batches(long_and_short, tokenizer, **options))) == first
    changed = augmentation.augmented(long_and_short.texts, seed=1, epoch=0)
    rows = tokenizer(changed, sequence_length=48)
    expected = [" ".join(tokenizer.tokens(ids[: mask.sum()])) for ids, mask in zip(*rows.values(), strict=True)]
    assert sorted(first) == sorted(expected)


def test_wrong_use_is_told_before_training(tokenizer, intents):
    with pytest.raises(DataError, match="no text to train on"):
        training_text_batches(intents.train.select(np.arange(0)), tokenizer, sequence_length=16)
    with pytest.raises(DataError, match="batch_size must be 1 or more; got 0"):
        training_text_batches(intents.train, tokenizer, sequence_length=16, batch_size=0)
    broken = TextAugmentation(hook=lambda text: text.undefined)
    with pytest.raises(DataError, match=r"own function failed on .*AttributeError"):
        training_text_batches(intents.train, tokenizer, sequence_length=16, augmentation=broken)
