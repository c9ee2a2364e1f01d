"""From the sections of a recipe for sentence embeddings to the values that the library takes."""

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from tfkit.config import EmbeddingRecipeConfig
    from tfkit.data.text import TextExamples


class SearchOptions(TypedDict):
    """What `build_search_index` is told by a recipe."""

    min_confidence: float
    novel_share: float
    labels_are_texts: bool
    answers: dict[str, str]
    out_of_scope: tuple[str, ...]


def build_embedder(config: "EmbeddingRecipeConfig", backbone: Any) -> Any:
    """A recipe's embedder on its backbone, not trained yet."""
    from tfkit.models.text import build_text_embedder

    return build_text_embedder(backbone, **config.model.embedder_options())


def contrastive_options(config: "EmbeddingRecipeConfig", train: "TextExamples") -> dict[str, object]:
    """What a recipe says about training, as keyword arguments of `train_embedder`.

    Args:
        config: The recipe; it has a section `fine_tune`.
        train: The training texts.

    Returns:
        The arguments, but for the model, the texts, their length, and where files go.
    """
    from tfkit.data.text import label_texts
    from tfkit.training import Optimization

    section = config.fine_tune
    assert section is not None
    options = {"batch_size": config.data.batch_size, "seed": config.run.seed} | section.learning_options()
    partners = label_texts(train) if config.data.labels_are_texts else None
    return options | {"optimization": Optimization(**section.optimization_options()), "partners": partners}


def search_options(config: "EmbeddingRecipeConfig", class_names: tuple[str, ...]) -> SearchOptions:
    """What a recipe says about answering, as keyword arguments of `build_search_index`; its files are read.

    Raises:
        DataError: When they cannot be used.
    """
    from tfkit.data.text.answers import BUILT_IN_ANSWERS, BUILT_IN_OUT_OF_SCOPE, read_answers, read_lines

    section, built_in = config.search, config.data.source == "built_in"
    answers = section.answers or (BUILT_IN_ANSWERS if built_in else None)
    out_of_scope = section.out_of_scope or (BUILT_IN_OUT_OF_SCOPE if built_in else None)
    return {
        "min_confidence": section.min_confidence,
        "novel_share": section.novel_share,
        "labels_are_texts": config.data.labels_are_texts,
        "answers": read_answers(answers, class_names) if answers else {},
        "out_of_scope": read_lines(out_of_scope) if out_of_scope else (),
    }
