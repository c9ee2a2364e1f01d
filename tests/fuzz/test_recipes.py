"""Mutated recipes end in sentences: a sample of `tests/fuzz/recipes.py`, which runs thousands of them."""

from pathlib import Path

import pytest

from tests.fuzz.recipes import run_cases


@pytest.mark.parametrize(("count", "seed"), [(150, 1), pytest.param(3000, 2, marks=pytest.mark.slow)])
def test_mutated_recipes_are_taken_or_refused_in_words(count: int, seed: int, tmp_path: Path) -> None:
    counts = run_cases(count, seed, tmp_path)
    assert counts.faults == []
    assert counts.ended["told in a sentence"] > count / 2
