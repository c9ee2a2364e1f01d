"""What a recipe for texts says about making its model smaller, and every refusal of it before anything is trained."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfkit.compression import CompressionCoverage
    from tfkit.compression.transformers import StudentSize
    from tfkit.config import TextRecipeConfig
    from tfkit.running.display import Display
    from tfkit.stages.text_training import TextTeacher

_TITLE = "Layer plan"


def plan_text_compression(config: "TextRecipeConfig", model: Any, display: "Display") -> "CompressionCoverage":
    """Find out what pruning and quantisation will do, and show it in one line.

    Args:
        config: The recipe.
        model: Its classifier, not trained yet.
        display: Where to show it.

    Returns:
        Layer plan of the model that is quantised; empty without quantisation.

    Raises:
        ModelError: For everything that a later stage would refuse, as far as it can be known before training.
    """
    from tfkit.compression import CompressionCoverage, PruningSettings, compression_coverage
    from tfkit.compression.transformers import cut_transformer, plan_student
    from tfkit.models.text import open_transformer
    from tfkit.stages.text_quantization import quantization_policy

    if config.pruning is None and config.quantization is None:
        return CompressionCoverage()
    with display.stage(_TITLE) as stage:
        opened, told = open_transformer(model), []
        if (size := student_size(config)) is not None:
            known = replace(size, criterion="weight_norm", drop="last" if size.drop == "loss" else size.drop)
            plan = plan_student(opened, known)
            opened = cut_transformer(opened, plan.cuts)
            told.append(f"{len(plan.blocks)} of {len(plan.cuts)} layers stay, {opened.count_params():,} parameters")
        sparsity = config.pruning.sparsity if config.pruning else None
        coverage = compression_coverage(
            opened,
            pruning=None if sparsity is None else PruningSettings(sparsity=sparsity),
            quantization=quantization_policy(**config.quantization.policy_options()) if config.quantization else None,
        )
        stage.result("; ".join([*told, *filter(None, [coverage.sentence])]))
    return coverage


def student_size(config: "TextRecipeConfig") -> "StudentSize | None":
    """What of the encoder a recipe's `pruning:` leaves; None when it cuts nothing out of it."""
    from tfkit.compression.transformers import StudentSize

    options = config.pruning.size_options() if config.pruning else {}
    return StudentSize(**options) if options else None


def text_teacher(config: "TextRecipeConfig", model: Any) -> "TextTeacher | None":
    """A recipe's whole float model as the teacher of what comes after it; None without `distillation:`."""
    from tfkit.stages.text_training import TextTeacher
    from tfkit.tasks import task_named

    if config.distillation is None:
        return None
    return TextTeacher(model=model, task=task_named(config.task.kind), **config.distillation.teacher_options())


def taught_by(config: "TextRecipeConfig") -> str:
    """Who teaches, in words; empty without `distillation:`."""
    return "the run's own float model" if config.distillation else ""
