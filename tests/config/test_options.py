"""What sections hand to the library has the types that it says."""

from typing import Any, get_type_hints

import pytest
from pydantic import TypeAdapter

from tfkit import config
from tfkit.config import options
from tfkit.config.compression_sections import DistillationSection, FeatureSection, PruningSection, QuantizationSection
from tfkit.config.data_sections import AugmentationSection, DataSection, ModelSection
from tfkit.config.embedding_sections import ContrastiveSection, EmbeddingAcceptanceSection, EmbeddingModelSection
from tfkit.config.sections import AcceptanceSection
from tfkit.config.task_section import TaskSection
from tfkit.config.text_sections import (
    TextAugmentationSection,
    TextDataSection,
    TextDistillationSection,
    TextExportSection,
    TextFineTuneSection,
    TextModelSection,
    TextPruningSection,
    TextQuantizationSection,
)
from tfkit.config.training_sections import FineTuneSection, HeadSection

HANDED = [
    (HeadSection(batch_size=8).learning_options(), options.HeadOptions),
    (HeadSection().optimization_options(), options.HeadOptimizationOptions),
    (FineTuneSection(unfreeze=0.5).learning_options(), options.FineTuneOptions),
    (FineTuneSection(class_weights={"a": 2.0}).optimization_options(), options.OptimizationOptions),
    (PruningSection().learning_options(), options.ImageLearningOptions),
    (PruningSection(budgets={"conv*": 0.5}).pruning_options(), options.PruningOptions),
    (QuantizationSection().learning_options(), options.QuantizeOptions),
    (QuantizationSection(skip=("logits",)).policy_options(), options.PolicyOptions),
    (DistillationSection().distiller_options(), options.DistillerOptions),
    (DataSection(source="digits", classes=("0", "1")).loading_options(), options.LoadingOptions),
    (AugmentationSection().batch_options(), options.AugmentationOptions),
    (ModelSection().classifier_options(), options.ClassifierOptions),
    (
        TextDataSection(source="built_in", text_column=0, classes=("a", "b")).loading_options(),
        options.TextLoadingOptions,
    ),
    (TextAugmentationSection().augmentation_options(), options.TextAugmentationOptions),
    (TextModelSection().classifier_options(), options.TextModelOptions),
    (TextFineTuneSection().learning_options(), options.TextFineTuneOptions),
    (TextFineTuneSection(r_drop=1.0).objective_options(), options.ObjectiveOptions),
    (TextPruningSection().learning_options(), options.TextPruneOptions),
    (TextPruningSection(layers=3).size_options(), options.StudentOptions),
    (TextPruningSection().size_options(), options.StudentOptions),
    (TextQuantizationSection().learning_options(), options.TextQuantizeOptions),
    (TextQuantizationSection(skip=("logits",)).policy_options(), options.TextPolicyOptions),
    (TextDistillationSection().teacher_options(), options.TextTeacherOptions),
    (EmbeddingModelSection().embedder_options(), options.TextModelOptions),
    (ContrastiveSection().learning_options(), options.ContrastiveOptions),
    (TaskSection(kind="multilabel").target_options(), options.TargetOptions),
    (AcceptanceSection().limits(), options.AcceptanceLimits),
    (EmbeddingAcceptanceSection().limits(), options.AcceptanceLimits),
]


@pytest.mark.parametrize(("handed", "kind"), HANDED, ids=[kind.__name__ for _, kind in HANDED])
def test_options_have_the_types_that_they_say(handed: dict[str, Any], kind: Any) -> None:
    types = get_type_hints(kind)
    assert kind.__required_keys__ <= set(handed) <= set(types)
    assert {name: TypeAdapter(types[name]).validate_python(handed[name], strict=True) for name in handed} == handed


def test_pairs_of_features_are_handed_one_by_one() -> None:
    pair = {"student": "a", "teacher": "b", "weight": 2.0}
    assert DistillationSection(features=(FeatureSection(**pair),)).feature_options() == [pair]


def test_a_skipped_layer_lifts_the_limit_of_float_operators() -> None:
    data = DataSection(source="digits")
    recipe = config.RecipeConfig(recipe="finetune_image", data=data, quantization=QuantizationSection(skip=("x",)))
    assert recipe.limits()["max_float_ops"] is None
    assert "max_float_ops" not in config.RecipeConfig(recipe="finetune_image", data=data).limits()


@pytest.mark.parametrize(
    "changes",
    [
        {"quantization": TextQuantizationSection(target="int8", skip=("logits",))},
        {"export": TextExportSection(formats=("tflite_int8",), allow_float=("SOFTMAX",))},
    ],
    ids=["skip", "allow_float"],
)
def test_so_it_does_for_texts(changes: dict[str, Any]) -> None:
    data = TextDataSection(source="built_in")
    assert config.TextRecipeConfig(recipe="finetune_text", data=data, **changes).limits()["max_float_ops"] is None
    assert "max_float_ops" not in config.TextRecipeConfig(recipe="finetune_text", data=data).limits()
