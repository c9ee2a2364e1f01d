"""What a recipe for sentence embeddings may say."""

import pytest

from tfkit.config import EmbeddingRecipeConfig, load_recipe
from tfkit.errors import ConfigError

RECIPE = "recipe: embed_text\n\ndata:\n  source: built_in\n  label_column: intent\n\nfine_tune:\n\nexport:\n"


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "mine.yaml").write_text(RECIPE)
    return tmp_path / "mine.yaml"


def test_empty_sections_run_with_their_defaults(recipe):
    config = load_recipe(recipe)
    assert isinstance(config, EmbeddingRecipeConfig)
    assert config.fine_tune.temperature == 0.05 and "tflite_dynamic_int8" in config.export.formats
    assert config.limits()["min_cosine"] == 0.98 and "latency_threads" not in config.limits()
    assert config.search.novel_share == 0.05
    assert load_recipe(recipe, ["fine_tune=null"]).fine_tune is None


def test_what_embeddings_cannot_do_is_told_with_its_place(recipe):
    with pytest.raises(ConfigError) as told:
        load_recipe(recipe, ["fine_tune.label_smoothing=0.1", "data.validation_fraction=0", "data.test_fraction=0.5"])
    assert "fine_tune.label_smoothing means nothing to pairs of texts" in str(told.value)
    assert "data.validation_fraction must be more than 0: the confidence is calibrated there" in str(told.value)
    with pytest.raises(ConfigError, match=r"export\.formats must be .*tflite_dynamic_int8"):
        load_recipe(recipe, ["export.formats=[tflite_int8]"])
    with pytest.raises(ConfigError, match=r"fine_tune\.method must be"):
        load_recipe(recipe, ["fine_tune.method=head"])
