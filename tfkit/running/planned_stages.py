"""What each section of a recipe makes run, in a few words: the table that `tfkit check` shows."""

from typing import Any

from tfkit.artifacts import TaskName
from tfkit.config import AcceptanceSection, AnyTaskSection, EmbeddingRecipeConfig, RecipeConfig, TextRecipeConfig
from tfkit.config.text_sections import TextFineTuneSection
from tfkit.config.training_sections import GRADIENT_KEYS, GRADIENT_KEYS_OF_HEAD, set_keys
from tfkit.reports.quantities import counted
from tfkit.tasks import task_named

Rows = tuple[tuple[str, str], ...]


def planned_image_stages(config: RecipeConfig, examples: int) -> Rows:
    """The stages of a recipe for images.

    Args:
        config: The recipe.
        examples: How many training images there are.

    Returns:
        For each section its name and what it does; nothing for one that does not run.
    """
    data, mixing = config.data, config.augmentation.mixing
    height, width = data.image_height_width
    size = f"{height}x{width} pixels, {'grey' if data.channels == 1 else 'RGB'}, {data.resize}"
    return (
        ("data", f"{size}, batches of {data.batch_size}"),
        ("task", _task(config.task)),
        ("augmentation", f"{config.augmentation.policy}{f' with {mixing}' if mixing else ''}"),
        ("head", _image_head(config)),
        ("fine_tune", _image_fine_tuning(config, examples)),
        ("pruning", _image_pruning(config)),
        ("quantization", _image_quantization(config)),
        ("distillation", _distillation(config)),
        ("export", ", ".join(config.export.formats) if config.export else ""),
        ("acceptance", _limits(config.acceptance, config.task.kind)),
    )


def _image_head(config: RecipeConfig) -> str:
    head = config.head
    if head is None:
        return ""
    if head.solver_meant() == "lbfgs":
        return _FITTED
    steps = f"{counted(head.epochs, 'epoch')}, {head.optimizer} at {head.learning_rate:g}"
    because = set_keys(head, GRADIENT_KEYS_OF_HEAD) if head.solver == "auto" else ()
    return f"{steps} (solver gradient, because of {', '.join(because)})" if because else steps


_FITTED = "fitted by lbfgs, penalty and scale chosen on validation examples"


def _image_fine_tuning(config: RecipeConfig, examples: int) -> str:
    tune = config.fine_tune
    if tune is None:
        return ""
    learns = f"lora of rank {tune.rank}" if tune.method == "lora" else f"unfreeze {tune.unfreeze}"
    return f"{_training(tune, examples, config.data.batch_size)}, {learns}"


def planned_text_stages(config: TextRecipeConfig | EmbeddingRecipeConfig, examples: int, *, search: str = "") -> Rows:
    """The stages of a recipe for texts or for sentence embeddings.

    Args:
        config: The recipe.
        examples: How many training texts there are.
        search: Of embeddings: what is searched, in words.

    Returns:
        As `planned_image_stages`.
    """
    data, tune = config.data, config.fine_tune
    rows = [("data", f"batches of {data.batch_size}")]
    if isinstance(config, TextRecipeConfig):
        rows.append(("task", _task(config.task)))
    told = ""
    if tune is not None:
        told = f"{tune.method}, {_training(tune, examples, data.batch_size)}"
        if isinstance(tune, TextFineTuneSection) and tune.method == "head" and tune.solver != "gradient":
            unread = set_keys(tune, GRADIENT_KEYS)
            told = f"head, {_FITTED}"
            told += f" ({', '.join(unread)} not read: that would be solver gradient)" if unread else ""
        if (runs := getattr(tune, "average_runs", 1)) > 1:
            told += f", {runs} times with other seeds; the weights are averaged"
    rows.append(("fine_tune", told))
    if isinstance(config, TextRecipeConfig):
        pruning, quantization = config.pruning, config.quantization
        rows += [
            ("pruning", f"{counted(pruning.epochs, 'epoch')} at {pruning.learning_rate:g}" if pruning else ""),
            (
                "quantization",
                f"{quantization.target}, {counted(quantization.epochs, 'epoch')} at {quantization.learning_rate:g}"
                if quantization
                else "",
            ),
            ("distillation", _distillation(config)),
        ]
    else:
        rows.append(("search", search))
    kind: TaskName = config.task.kind if isinstance(config, TextRecipeConfig) else "classification"
    rows += [
        ("export", ", ".join(config.export.formats) if config.export else ""),
        (
            "acceptance",
            _limits(config.acceptance, kind),
        ),
    ]
    return tuple(rows)


def _training(section: Any, examples: int, batch_size: int) -> str:
    steps = counted(-(-examples // batch_size), "step")
    return f"{counted(section.epochs, 'epoch')} of {steps}, {section.optimizer} at {section.learning_rate:g}"


def _image_pruning(config: RecipeConfig) -> str:
    pruning = config.pruning
    if pruning is None:
        return ""
    budgets = {
        name: getattr(pruning, name) for name in ("keep", "max_parameters", "max_multiply_adds", "max_latency_ms")
    }
    asked = {
        "magnitude": f"{pruning.sparsity:.0%} zeros by magnitude",
        "n_of_m": "{} of {} weights kept".format(*pruning.pattern),
        "channels": "channels by "
        + pruning.criterion
        + "".join(f", {k} {v}" for k, v in budgets.items() if v is not None),
    }
    return f"{asked[pruning.method]}, {counted(pruning.epochs, 'epoch')} at {pruning.learning_rate:g}"


def _image_quantization(config: RecipeConfig) -> str:
    section = config.quantization
    if section is None:
        return ""
    bits = f"int{section.weight_bits} weights, int{section.activation_bits} activations"
    by = ", by tfmot" if section.engine == "tfmot" else ""
    return f"{bits}, {counted(section.epochs, 'epoch')} at {section.learning_rate:g}{by}"


def _distillation(config: RecipeConfig | TextRecipeConfig) -> str:
    section = config.distillation
    if section is None:
        return ""
    teacher = section.teacher or "the float model of this run"
    return f"from {teacher}, temperature {section.temperature:g}, alpha {section.alpha:g}"


def _task(section: AnyTaskSection) -> str:
    told: str = section.kind
    if section.operating_point is not None:
        told += f", thresholds for a sensitivity of {section.operating_point:.0%}"
    return told


def _limits(limits: AcceptanceSection, kind: TaskName) -> str:
    unit = task_named(kind).unit
    return (
        f"{unit} at most {100 * limits.max_accuracy_drop:g} % points below Keras, "
        f"agreement {100 * limits.min_agreement:g} % or more"
    )
