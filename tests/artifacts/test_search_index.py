"""What is searched: nearest texts, probabilities of labels, and the folder it is kept in."""

import json

import numpy as np
import pytest

from tfkit.artifacts.search_index import SearchIndex, load_search_index
from tfkit.errors import ModelError


def unit(rows):
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def index():
    """Two texts of `card`, one of `loan`, and a class that has none."""
    return SearchIndex(
        texts=("lost card", "card gone", "a loan"),
        labels=np.array([0, 0, 1], np.int32),
        class_names=("card", "loan", "other"),
        vectors=unit([[1, 0], [3, 1], [0, 1]]),
        temperature=0.1,
        threshold=0.5,
        answers={"card": "Block it."},
    )


def test_the_nearest_texts_come_first_with_their_cosines(index):
    positions, cosines = index.nearest(unit([[1, 0], [0, 1]]), count=5)
    assert positions.tolist() == [[0, 1, 2], [2, 1, 0]]
    np.testing.assert_allclose(cosines[0], [1, 3 / np.sqrt(10), 0], atol=1e-6)


def test_the_label_of_the_nearest_text_is_the_most_probable(index):
    asked = unit(np.random.default_rng(0).normal(size=(700, 2)))  # more than are compared at once
    probabilities = index.probabilities(asked)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == index.labels[index.nearest(asked)[0][:, 0]]).all()


def test_a_class_without_texts_is_as_far_as_can_be(index):
    assert index.class_similarities(unit([[1, 0]])).tolist() == [[1.0, 0.0, -1.0]]


def test_an_index_is_read_as_it_was_saved(index, tmp_path):
    index.save(tmp_path / "search")
    read = load_search_index(tmp_path / "search")
    np.testing.assert_array_equal(read.vectors, index.vectors)
    for name in ("texts", "class_names", "temperature", "threshold", "answers"):
        assert getattr(read, name) == getattr(index, name)
    assert read.labels.tolist() == [0, 0, 1]


def test_a_damaged_index_is_told(index, tmp_path):
    index.save(tmp_path)
    described = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps(described | {"texts": ["one"]}))
    with pytest.raises(ModelError, match="1 texts and 3 vectors"):
        load_search_index(tmp_path)
    (tmp_path / "vectors.npy").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load_search_index(tmp_path)
