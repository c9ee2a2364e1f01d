"""Everything that can be known of a recipe before training: its data, its backbone, its layer plan, its files."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkit.config import (
    AnyRecipe,
    EmbeddingRecipeConfig,
    RecipeConfig,
    RecommendRecipeConfig,
    ReplyRecipeConfig,
    TextRecipeConfig,
)
from tfkit.running.display import Display
from tfkit.running.planned_stages import planned_image_stages, planned_text_stages
from tfkit.running.planning import head_of, with_float_head
from tfkit.running.teachers import find_teacher, find_text_teacher

if TYPE_CHECKING:
    from tfkit.compression import CompressionCoverage
    from tfkit.data import DataReport, DatasetSplits
    from tfkit.running.reading import EarlierRun


@dataclass(frozen=True, eq=False)
class RecipeCheck:
    """What was found about a recipe.

    Attributes:
        class_names: The labels.
        data: What was read, left out, and found twice.
        coverage: The layer plan: what compression will do with each layer; None where nothing is compressed.
        stages: What each section makes run, in words; empty for one that does not run.
        notes: Sentences worth knowing before the run.
    """

    class_names: tuple[str, ...]
    data: "DataReport"
    coverage: "CompressionCoverage | None"
    stages: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    @property
    def examples(self) -> dict[str, int]:
        """How many examples each split has."""
        return self.data.examples


def check_config(config: AnyRecipe, display: Display) -> RecipeCheck:
    """Check a recipe that has been read already; nothing is trained or written.

    Raises:
        TfkitError: For everything that a run would refuse, as far as it can be known before training.
    """
    if isinstance(config, TextRecipeConfig):
        return _check_texts(config, display)
    if isinstance(config, EmbeddingRecipeConfig):
        return _check_embeddings(config, display)
    if isinstance(config, RecommendRecipeConfig):
        return _check_recommender(config, display)
    if isinstance(config, ReplyRecipeConfig):
        return _check_replies(config, display)
    return _check_images(config, display)


def _check_images(config: RecipeConfig, display: Display) -> RecipeCheck:
    from tfkit.artifacts import ImageSpec
    from tfkit.models import backbone_layers
    from tfkit.running.planning import build_classifier, plan_compression
    from tfkit.running.reading import read_data
    from tfkit.running.rehearsal import plan_formats, refuse_scores_beyond_memory, rehearse_images

    data = config.data
    image = ImageSpec(*data.image_height_width, channels=data.channels, resize=data.resize)
    with display.stage("Backbone: weights and image size") as stage:
        weights = None if config.earlier is None else "random"  # the earlier run's model brings its own
        model = build_classifier(config, image, 2, weights=weights)
        parameters = sum(layer.count_params() for layer in backbone_layers(model))
        stage.result(f"{config.model.backbone}, {parameters / 1e6:.2f} M parameters")
    plan = plan_compression(config, model, display, teacher_too=False)
    plan_formats(config, model, image, display)
    with display.stage("Data: every image is read") as stage:
        read = read_data(config, progress=stage.progress)
        splits = read.splits
        stage.result(_counts(splits))
    if config.distillation:
        find_teacher(config, build_classifier(config, image, len(splits.class_names)), splits.class_names)
    refuse_scores_beyond_memory(config, splits.test, image)
    config, note = with_float_head(config, len(splits.class_names))
    if read.earlier:
        model = read.earlier.classifier(image.shape)
    elif config.task.kind != "classification":
        head = head_of(config.task, splits.train.labels)
        model = build_classifier(config, image, len(splits.class_names), head=head)
    rehearse_images(config, model, display, splits.train, image)
    stages = planned_image_stages(config, len(splits.train))
    notes = (*filter(None, [note]), *_place(config))
    return RecipeCheck(splits.class_names, splits.report, plan.coverage, stages, notes)


def _check_texts(config: TextRecipeConfig, display: Display) -> RecipeCheck:
    from tfkit.models import logits_model
    from tfkit.running.text_planning import build_classifier, plan_text_compression
    from tfkit.training import TextObjectives

    splits, earlier = _read(config, display)

    def built(backbone: Any) -> Any:
        return build_classifier(config, backbone, len(splits.class_names)) if earlier is None else backbone

    read = _Opened(config, display, splits, built, earlier)
    length = read.length.sequence_length
    find_text_teacher(config, read.model, read.tokenizer, splits.train, sequence_length=length)
    coverage = plan_text_compression(config, read.model, display)
    read.rehearse()
    adapted = read.adapted()
    objectives = TextObjectives(**config.fine_tune.objective_options())
    objectives.around(logits_model(adapted))  # what the model has no place for is told now
    stages = planned_text_stages(config, len(splits.train))
    notes = (read.length.sentence, *(f"fine_tune: {note}" for note in objectives.notes), *_place(config))
    return RecipeCheck(splits.class_names, splits.report, coverage, stages, notes)


def _check_embeddings(config: EmbeddingRecipeConfig, display: Display) -> RecipeCheck:
    from tfkit.running.text_planning import build_embedder, search_options

    splits, _ = _read(config, display)
    searched = search_options(config, splits.class_names)
    read = _Opened(config, display, splits, lambda backbone: build_embedder(config, backbone))
    read.rehearse()
    if config.fine_tune is not None:
        read.adapted()
    indexed = len(splits.class_names) if config.data.labels_are_texts else len(splits.train)
    told = f"{len(searched['answers'])} answers, {len(searched['out_of_scope'])} out-of-scope texts"
    search = f'{indexed} texts; "not sure" below {config.search.min_confidence:g}; {told}'
    stages = planned_text_stages(config, len(splits.train), search=search)
    return RecipeCheck(splits.class_names, splits.report, None, stages, (read.length.sentence, *_place(config)))


def _check_recommender(config: RecommendRecipeConfig, display: Display) -> RecipeCheck:
    from tfkit.running.history_planning import planned_history_stages, read_histories, rehearse_recommender

    splits = read_histories(config, display)
    rehearse_recommender(config, display, splits)
    stages = planned_history_stages(config)
    return RecipeCheck(splits.train.catalogue.names, splits.report, None, stages, _place(config))


def _check_replies(config: ReplyRecipeConfig, display: Display) -> RecipeCheck:
    from tfkit.running.reply_planning import open_replies, planned_reply_stages, rehearse_replies

    read = open_replies(config, display)
    rehearse_replies(config, display, read)
    return RecipeCheck((), read.splits.report, None, planned_reply_stages(config), (*read.notes, *_place(config)))


class _Opened:
    """A text recipe's model, opened and not trained."""

    def __init__(
        self,
        config: TextRecipeConfig | EmbeddingRecipeConfig,
        display: Display,
        splits: Any,
        build: Any,
        earlier: "EarlierRun | None" = None,
    ) -> None:
        from tfkit.running.text_planning import open_texts

        self.config, self.display, self.train = config, display, splits.train
        with display.stage("Backbone and tokeniser") as stage:
            backbone, self.tokenizer, self.length = open_texts(config, self.train, earlier)
            self.model = build(backbone)
            stage.result(f"{self.model.count_params() / 1e6:.2f} M parameters")

    def rehearse(self) -> None:
        from tfkit.artifacts import TextSpec
        from tfkit.running.rehearsal import plan_formats, rehearse_texts

        length = self.length.sequence_length
        rehearse_texts(self.config, self.model, self.display, self.train, self.tokenizer, sequence_length=length)
        plan_formats(self.config, self.model, TextSpec(length, Path()), self.display)

    def adapted(self) -> Any:
        """The model of which only what the recipe says learns."""
        from tfkit.models.text import adapt

        section = self.config.fine_tune
        assert section is not None
        with self.display.stage("What learns") as stage:
            rank = section.rank
            adapted = adapt(self.model, section.method, layers=section.layers, rank=rank, bottleneck=rank)
            stage.result(f"{adapted.trainable_parameters:,} parameters, {adapted.share:.1%}")
        return adapted.model


def _read(
    config: TextRecipeConfig | EmbeddingRecipeConfig, display: Display
) -> "tuple[DatasetSplits[Any], EarlierRun | None]":
    from tfkit.running.reading import read_data

    with display.stage("Data: every text is read") as stage:
        read = read_data(config)
        stage.result(_counts(read.splits))
    return read.splits, read.earlier


def _counts(splits: Any) -> str:
    return f"{len(splits.train)} train, {len(splits.validation)} validation, {len(splits.test)} test"


def _place(config: AnyRecipe) -> tuple[str, ...]:
    """Whether the run's folder is taken."""
    run = config.run.directory / config.run.name
    if not (run.is_dir() and any(run.iterdir())):
        return ()
    if config.run.overwrite:
        return (f"{run} exists and will be set aside",)
    return (f"{run} exists already: add run.name=NAME, or run.overwrite=true to set it aside",)
