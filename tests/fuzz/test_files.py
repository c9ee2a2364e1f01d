"""Mutated files are used or refused in words: a sample of `tests/fuzz/files.py`, which runs a thousand."""

from pathlib import Path

import pytest

from tests.fuzz.files import run_cases


@pytest.mark.slow
@pytest.mark.parametrize(("count", "seed"), [(28, 1), (280, 2)])
def test_mutated_files_are_used_or_refused_in_words(count: int, seed: int, tmp_path: Path) -> None:
    assert run_cases(count, seed, tmp_path).faults == []
