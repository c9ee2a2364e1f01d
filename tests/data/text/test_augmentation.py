import numpy as np
import pytest

from tfkit.data.text import TextAugmentation
from tfkit.data.text.augmentation import nearest_words, read_word_vectors
from tfkit.errors import DataError

TEXTS = [f"where is my green parcel number {index}" for index in range(200)]


def _vectors(folder, *, header=False):
    words = {"parcel": (1, 0, 0), "package": (0.9, 0.1, 0), "box": (0.8, 0.3, 0), "sky": (0, 0, 1), ".": (1, 0, 0)}
    lines = [f"{word} {' '.join(map(str, numbers))}" for word, numbers in words.items()]
    path = folder / "vectors.txt"
    path.write_text("\n".join([f"{len(words)} 3"] * header + lines) + "\n")
    return path


def test_deleting_takes_words_and_always_leaves_one():
    changed = TextAugmentation(delete=0.3, swap=0.0, share=1.0).augmented(TEXTS, seed=0, epoch=0)
    lengths = [len(text.split()) for text in changed]
    assert 0.6 < np.mean(lengths) / 7 < 0.8
    assert all(set(after.split()) <= set(before.split()) for before, after in zip(TEXTS, changed, strict=True))
    bare = TextAugmentation(delete=0.99, swap=0.0, share=1.0).augmented(TEXTS, seed=0, epoch=0)
    assert min(len(text.split()) for text in bare) == 1


def test_swapping_keeps_the_words():
    changed = TextAugmentation(delete=0.0, swap=0.2, share=1.0).augmented(TEXTS, seed=0, epoch=0)
    for before, after in zip(TEXTS, changed, strict=True):
        assert sorted(before.split()) == sorted(after.split())
    assert sum(before != after for before, after in zip(TEXTS, changed, strict=True)) == 200


@pytest.mark.parametrize("header", [False, True])
def test_synonyms_are_near_words_of_the_file(tmp_path, header):
    path = _vectors(tmp_path, header=header)
    assert nearest_words(read_word_vectors(path), ["parcel", "sky", "unknown"]) == {"parcel": ("package", "box")}
    augmentation = TextAugmentation(delete=0.0, swap=0.0, synonyms=0.5, word_vectors=path, share=1.0)
    changed = augmentation.augmented(["Where is my Parcel"] * 50, seed=0, epoch=0)
    assert set(changed) == {"Where is my package", "Where is my box"}


def test_a_users_own_function_is_one_more_operation():
    augmentation = TextAugmentation(delete=0.0, swap=0.0, hook=lambda text: text.upper() + "\ud800", share=1.0)
    assert augmentation.augmented(["where is it"], seed=0, epoch=0) == ["WHERE IS IT\ufffd"]


def test_the_share_decides_how_many_texts_change():
    half = TextAugmentation(delete=0.0, swap=0.2, share=0.5).augmented(TEXTS, seed=0, epoch=0)
    assert 70 < sum(before != after for before, after in zip(TEXTS, half, strict=True)) < 130
    assert TextAugmentation(delete=0.0, swap=0.0, share=1.0).augmented(TEXTS, seed=0, epoch=0) == TEXTS


def test_changes_are_functions_of_seed_epoch_and_place():
    augmentation = TextAugmentation(delete=0.2, swap=0.2)
    first = augmentation.augmented(TEXTS, seed=1, epoch=0)
    assert augmentation.augmented(TEXTS, seed=1, epoch=0) == first
    assert augmentation.augmented(TEXTS[:50], seed=1, epoch=0) == first[:50]
    assert augmentation.augmented(TEXTS, seed=1, epoch=1) != first
    assert augmentation.augmented(TEXTS, seed=2, epoch=0) != first


def test_empty_and_single_word_texts_survive():
    augmentation = TextAugmentation(delete=0.5, swap=0.5, share=1.0)
    assert augmentation.augmented(["", "one"] * 20, seed=0, epoch=0) == ["", "one"] * 20


def test_wrong_settings_are_told_all_at_once(tmp_path):
    with pytest.raises(DataError) as caught:
        TextAugmentation(delete=1.0, swap=1.5, synonyms=0.1, share=-1, hook="x")
    message = str(caught.value)
    for part in (
        "delete must be in [0, 1); got 1.0",
        "swap must be in [0, 1]; got 1.5",
        "share",
        "word_vectors",
        "hook",
    ):
        assert part in message
    with pytest.raises(DataError, match="gave int for 'a', expected a string"):
        TextAugmentation(hook=len, delete=0.0, swap=0.0, share=1.0).augmented(["a"], seed=0, epoch=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a 1 2\nb 1\n", "line 2 has 1 numbers after 'b', expected 2"),
        ("a x y\n", "no file of word vectors"),
        ("", "are empty"),
    ],
)
def test_files_that_are_no_vectors_are_told(tmp_path, content, message):
    path = tmp_path / "v.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_word_vectors(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_word_vectors(tmp_path / "gone.txt")
