"""A misspelt keyword on the main path is told before any work: by mypy, and by Python."""

from typing import Any

import pytest

from tfkit.stages import prune, prune_text, quantize, quantize_text
from tfkit.training import fine_tune
from tfkit.training.contrastive import train_embedder
from tfkit.training.fine_tune_text import fine_tune_text

STAGES: dict[Any, dict[str, Any]] = {
    quantize: {"optimization": None},
    prune: {"settings": None, "optimization": None},
    fine_tune: {"optimization": None},
    prune_text: {"sequence_length": 8, "optimization": None},
    quantize_text: {"sequence_length": 8, "target": "int8"},
    fine_tune_text: {},
    train_embedder: {"sequence_length": 8, "optimization": None},
}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)
def test_a_misspelt_keyword_is_told_before_anything_is_looked_at(stage: Any) -> None:
    with pytest.raises(
        TypeError, match=rf"{stage.__name__}\(\) got an unexpected keyword argument 'precison'.*precision"
    ):
        stage(None, None, None, None, precison="float32", **STAGES[stage])
