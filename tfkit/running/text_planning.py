"""A recipe for texts: its sections as values, its data read, its classifier or embedder built, and what is refused."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from tfkit import artifacts, reports
from tfkit.config import EmbeddingRecipeConfig, TextRecipeConfig, dump_recipe
from tfkit.data import DatasetSplits
from tfkit.data.text import LengthReport, TextExamples, Tokenizer
from tfkit.running.display import Display
from tfkit.running.planning import devices_of, head_of, note_devices
from tfkit.running.reading import EarlierRun, read_data
from tfkit.running.recipe_run import RecipeRun, begin_folder
from tfkit.running.teachers import text_teacher

if TYPE_CHECKING:
    from tfkit.compression import CompressionCoverage
    from tfkit.compression.transformers import StudentSize
    from tfkit.config import EmbeddingRecipeConfig, TextRecipeConfig
    from tfkit.data.text import LengthReport, TextExamples, Tokenizer
    from tfkit.models import HeadSpec
    from tfkit.running.display import Display


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


def open_texts(
    config: "TextRecipeConfig | EmbeddingRecipeConfig", train: "TextExamples", earlier: "EarlierRun | None" = None
) -> "tuple[Any, Tokenizer, LengthReport]":
    """A recipe's backbone, its tokeniser and the length of its texts; of an earlier run all that is its own.

    Args:
        config: The recipe.
        train: The training texts.
        earlier: The run that it goes on from, whose classifier stands for the backbone.
    """
    from tfkit.data.text import measure_lengths, open_tokenizer

    if earlier is None:
        backbone, tokenizer = open_backbone(config, train)
        return backbone, tokenizer, measure_length(config, train, tokenizer, backbone)
    tokenizer = open_tokenizer(earlier.folder.tokenizer)
    length = measure_lengths(train.texts, tokenizer, sequence_length=earlier.sequence_length)
    return earlier.classifier(), tokenizer, length


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


def stage_options(config: "TextRecipeConfig", name: str, teacher: Any = None) -> dict[str, object]:
    """What a recipe says about one stage, as keyword arguments of the function that runs it.

    Args:
        config: The recipe.
        name: `fine_tune`, `pruning` or `quantization`; its section is there.
        teacher: Who teaches in this stage, where the recipe has `distillation:`; None for nobody.

    Returns:
        The arguments of `tfkit.training.fine_tune_text`, or of `prune_text` or `quantize_text` of `tfkit.stages`, but
        for the model, the texts, their length, and where files go.
    """
    from tfkit.data.text import TextAugmentation
    from tfkit.training import Optimization, TextObjectives

    section, data, augmentation = getattr(config, name), config.data, config.augmentation
    options: dict[str, object] = {"batch_size": data.batch_size, "buckets": data.buckets, "seed": config.run.seed}
    options |= {"optimization": Optimization(**section.optimization_options())} | section.learning_options()
    options["devices"] = devices_of(config)
    taught = text_teacher(config, teacher)
    if name != "fine_tune":
        options["teacher"] = taught
    else:
        options["objectives"] = TextObjectives(**section.objective_options())
        options["objective"] = taught.objective() if taught and section.method != "head" else None
    if name == "pruning":
        options |= {"size": student_size(config), "threads": config.acceptance.latency_threads}
    if augmentation is not None:
        options["augmentation"] = TextAugmentation(**augmentation.augmentation_options())
    return options


@dataclass(frozen=True)
class ReadTexts:
    """A recipe's texts with the backbone and the tokeniser that go with them; no file is written yet."""

    splits: DatasetSplits[TextExamples]
    backbone: Any
    tokenizer: Tokenizer
    length: LengthReport
    log: tuple[reports.StageSummary, ...]
    earlier: EarlierRun | None = None

    @property
    def planned_spec(self) -> artifacts.TextSpec:
        """What the model will take; its tokeniser has no folder yet."""
        return artifacts.TextSpec(self.length.sequence_length, Path())


def read_texts(config: TextRecipeConfig | EmbeddingRecipeConfig, display: Display) -> ReadTexts:
    """Read a recipe's texts, and open its backbone and tokeniser.

    Args:
        config: The recipe.
        display: Where progress is shown.

    Returns:
        What was read.

    Raises:
        RunError: When there is such a run already, before anything is read.
        DataError: When the texts cannot be read.
        ModelError: When there is no such backbone, or it cannot be loaded.
    """
    display.header(f"{config.run.name}: {config.model.backbone} on {config.data.source}")
    folder = config.run.directory / config.run.name
    artifacts.refuse_existing_run(folder, overwrite=config.run.overwrite, recipe=dump_recipe(config))
    with display.stage("Read the texts") as reading:
        read = read_data(config)
        splits = read.splits
        reading.result(f"{len(splits.train)} training, {len(splits.validation)} validation, {len(splits.test)} test")
        if read.drawn:
            reading.note(read.drawn)
    with display.stage("Backbone and tokeniser") as opening:
        backbone, tokenizer, length = open_texts(config, splits.train, read.earlier)
        opening.result(length.sentence)
    log = (
        reports.StageSummary("data", reading.title, reading.seconds, notes=splits.report.notes),
        reports.StageSummary("tokenizer", opening.title, opening.seconds, notes=(length.sentence,)),
    )
    return ReadTexts(splits, backbone, tokenizer, length, log, read.earlier)


def begin_text_run(config: TextRecipeConfig | EmbeddingRecipeConfig, display: Display, read: ReadTexts) -> RecipeRun:
    """Create a run's folder, with the recipe, what was read, and the tokeniser in it.

    Args:
        config: The recipe.
        display: Where progress is shown.
        read: Its texts.

    Returns:
        The run, ready to train.

    Raises:
        RunError: When the folder cannot be created.
    """
    described = read.splits.report.to_json() | {"token_lengths": read.length.to_json()}
    folder = begin_folder(config, display, read.splits, described)
    read.tokenizer.save(folder.tokenizer)
    segment_ids = config.export is not None and config.export.segment_ids
    spec = artifacts.TextSpec(read.length.sequence_length, folder.tokenizer, segment_ids)
    answered = None
    if read.earlier is not None and isinstance(config, TextRecipeConfig):
        answered = read.earlier.answers(spec, config.task)
    return RecipeRun(config, display, read.splits, spec, folder, list(read.log), answered)


_TITLE = "Layer plan"


def plan_text_compression(config: "TextRecipeConfig", model: Any, display: "Display") -> "CompressionCoverage":
    """Say which devices train; find out what pruning and quantisation will do, and show it in one line.

    Args:
        config: The recipe.
        model: Its classifier, not trained yet.
        display: Where to show it.

    Returns:
        Layer plan of the model that is quantised; empty without quantisation.

    Raises:
        ModelError: For everything that a later stage would refuse, as far as it can be known before training.
        TrainingError: When the devices asked for are not there, or cannot train the recipe together.
    """
    from tfkit.compression import CompressionCoverage, PruningSettings, compression_coverage
    from tfkit.compression.transformers import cut_transformer, plan_student
    from tfkit.models.text import open_transformer
    from tfkit.stages.texts import quantization_policy

    note_devices(config, model, display)
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
    from tfkit.data.text.normalizing import BUILT_IN_ANSWERS, BUILT_IN_OUT_OF_SCOPE, read_answers, read_lines

    section, built_in = config.search, config.data.source == "built_in"
    chosen = config.data.classes is not None
    answers = section.answers or (BUILT_IN_ANSWERS if built_in else None)
    out_of_scope = section.out_of_scope or (BUILT_IN_OUT_OF_SCOPE if built_in else None)
    return {
        "min_confidence": section.min_confidence,
        "novel_share": section.novel_share,
        "labels_are_texts": config.data.labels_are_texts,
        "answers": read_answers(answers, class_names, passes_others=chosen) if answers else {},
        "out_of_scope": read_lines(out_of_scope) if out_of_scope else (),
    }
