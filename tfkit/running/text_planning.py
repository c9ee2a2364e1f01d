"""From the sections of a recipe for texts to the values that the library takes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkit.running.task_planning import head_of

if TYPE_CHECKING:
    from tfkit.config import EmbeddingRecipeConfig, TextRecipeConfig
    from tfkit.data.text import LengthReport, TextExamples, Tokenizer
    from tfkit.models import HeadSpec


def open_backbone(config: "TextRecipeConfig | EmbeddingRecipeConfig", train: "TextExamples") -> "tuple[Any, Tokenizer]":
    """A recipe's backbone with its tokeniser; one from scratch learns its word pieces from the training texts.

    Args:
        config: The recipe.
        train: The training texts.

    Returns:
        The keras-hub backbone and the tokeniser that belongs to it.

    Raises:
        ModelError: When there is no such backbone, or it cannot be loaded.
    """
    import keras

    from tfkit.data.text import learn_word_pieces, open_tokenizer
    from tfkit.models.text import build_text_backbone, text_backbone_names

    chosen = config.model
    keras.utils.set_random_seed(config.run.seed)
    if chosen.backbone in text_backbone_names():
        tokenizer = learn_word_pieces(train.texts, size=chosen.vocabulary_size)
        backbone = build_text_backbone(chosen.backbone, weights="random", vocabulary_size=tokenizer.vocabulary_size)
        return backbone, tokenizer
    backbone = build_text_backbone(chosen.backbone, weights=chosen.weights)
    folder = Path(chosen.backbone)
    return backbone, open_tokenizer(folder if folder.is_dir() else chosen.backbone)


def measure_length(
    config: "TextRecipeConfig | EmbeddingRecipeConfig", train: "TextExamples", tokenizer: "Tokenizer", backbone: Any
) -> "LengthReport":
    """The length of a recipe's texts: what it says, or what its training texts need."""
    from tfkit.data.text import measure_lengths

    limit = getattr(backbone, "max_sequence_length", None) or 512
    return measure_lengths(train.texts, tokenizer, sequence_length=config.data.sequence_length, limit=limit)


def build_classifier(config: "TextRecipeConfig", backbone: Any, classes: int, head: "HeadSpec | None" = None) -> Any:
    """A recipe's classifier on its backbone, not trained yet; `head` stands behind its logits."""
    from tfkit.models.text import build_text_classifier

    head = head or head_of(config.task)
    return build_text_classifier(backbone, classes=classes, head=head, **config.model.classifier_options())


def stage_options(config: "TextRecipeConfig", name: str, whole: Any = None) -> dict[str, object]:
    """What a recipe says about one stage, as keyword arguments of the function that runs it.

    Args:
        config: The recipe.
        name: `fine_tune`, `pruning` or `quantization`; its section is there.
        whole: For the stages after `fine_tune`: the float model it gave, which teaches them.

    Returns:
        The arguments of `tfkit.training.fine_tune_text`, or of `prune_text` or `quantize_text` of `tfkit.stages`, but
        for the model, the texts, their length, and where files go.
    """
    from tfkit.data.text import TextAugmentation
    from tfkit.running.text_compression import student_size, text_teacher
    from tfkit.training import Optimization, TextObjectives

    section, data, augmentation = getattr(config, name), config.data, config.augmentation
    options: dict[str, object] = {"batch_size": data.batch_size, "buckets": data.buckets, "seed": config.run.seed}
    options |= {"optimization": Optimization(**section.optimization_options())} | section.learning_options()
    if name == "fine_tune":
        options["objectives"] = TextObjectives(**section.objective_options())
    else:
        options["teacher"] = text_teacher(config, whole)
    if name == "pruning":
        options |= {"size": student_size(config), "threads": config.acceptance.latency_threads}
    if augmentation is not None:
        options["augmentation"] = TextAugmentation(**augmentation.augmentation_options())
    return options
