"""One trial: a recipe's stages on the training examples, and the figure of what they give on the validation ones."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras

from tfkit import reports
from tfkit.artifacts import ImageSpec, TextSpec
from tfkit.artifacts.search_index import SearchIndex
from tfkit.config import EmbeddingRecipeConfig, RecipeConfig, TextRecipeConfig, TrainedRecipe, find_script
from tfkit.data import ImageExamples
from tfkit.data.text import TextExamples, label_texts
from tfkit.errors import ConfigError
from tfkit.running import SilentDisplay, text_planning
from tfkit.running import planning as image_planning
from tfkit.running.recipe_run import decision_on
from tfkit.running.teachers import find_text_teacher
from tfkit.tasks import EMBEDDING, Decision, Task, task_named
from tfkit.training import StageResult
from tfkit.training.contrastive import train_embedder
from tfkit.tuning.examples import TrialExamples
from tfkit.verification import reference_scores

_COMPRESSION = ("pruning", "quantization", "distillation")
# Title, what runs it, and the model it leaves, by the stage's name: `STAGES` of a recipe script.
Stages = Mapping[str, tuple[str, Any, str]]


class Watching(Protocol):
    """Who sees each stage of a trial."""

    def options(self, stage: int, title: str) -> dict[str, Any]:
        """Callbacks and progress of a stage, as keyword arguments of the function that runs it."""


def task_of_recipe(config: TrainedRecipe) -> Task:
    """What a recipe's trials are compared in."""
    return EMBEDDING if isinstance(config, EmbeddingRecipeConfig) else task_named(config.task.kind)


def stages_of(config: TrainedRecipe) -> Stages:
    """The stages of the script that a recipe names; none for embedders, which have one training alone.

    Raises:
        ConfigError: When a script of somebody's own does not say them.
    """
    script = find_script(config.recipe)
    if isinstance(config, EmbeddingRecipeConfig) and script.shipped:
        return {}
    stages = getattr(script.load(), "STAGES", None)
    if not isinstance(stages, dict) or isinstance(config, EmbeddingRecipeConfig):
        raise ConfigError(
            f"tfkit tune does not know the stages of the script '{script.path}'",
            hint="it runs STAGES of finetune_image, finetune_text or a copy of them, and embed_text as it comes",
        )
    return stages


def without_untried_compression(config: TrainedRecipe, space: Mapping[str, object]) -> TrainedRecipe:
    """A recipe whose compression does not run in trials, unless something of it is tried."""
    if isinstance(config, EmbeddingRecipeConfig) or any(key.partition(".")[0] in _COMPRESSION for key in space):
        return config
    return config.model_copy(update={"pruning": None, "quantization": None})


@dataclass(frozen=True, eq=False)
class Training:
    """What a trial needs beside its recipe.

    Attributes:
        stages: Of its script.
        examples: What it learns from, and is compared on.
        watching: Who sees it.
    """

    stages: Stages
    examples: TrialExamples[Any]
    watching: Watching

    def figure(self, config: TrainedRecipe) -> float:
        """Train, and measure on the validation examples.

        Args:
            config: The trial's recipe.

        Returns:
            The task's deciding figure.

        Raises:
            TrainingError: When the loss is no number.
            ModelError: When the recipe's values do not go with its model.
        """
        if isinstance(config, RecipeConfig):
            return self._of_images(config, self.examples)
        with tempfile.TemporaryDirectory(prefix="tfkit-") as folder:
            if isinstance(config, TextRecipeConfig):
                return self._of_texts(config, self.examples, Path(folder))
            return self._of_embeddings(config, self.examples, Path(folder))

    def _of_images(self, config: RecipeConfig, examples: TrialExamples[ImageExamples]) -> float:
        train, data, names = examples.train, config.data, examples.train.class_names
        image = ImageSpec(*data.image_height_width, data.channels, data.resize)
        config, _ = image_planning.with_float_head(config, len(names))
        head = image_planning.head_of(config.task, train.labels)
        model = image_planning.build_classifier(config, image, len(names), head=head)
        teacher = image_planning.plan_compression(config, model, SilentDisplay(), class_names=names).teacher
        for number, (name, (title, run_stage, kept)) in enumerate(self._running(config)):
            teacher = model if teacher is None and kept != "float" else teacher  # the trial's own float model
            options = image_planning.stage_options(config, name, teacher) | self.watching.options(number, title)
            keras.utils.set_random_seed(config.run.seed)
            result = run_stage(model, train, examples.validation, image, **options)
            model = model if isinstance(result, StageResult) else result.model
        decision = decision_on(model, examples.validation, image, config.task)
        return reports.evaluate(model, examples.validation, image, decision=decision).keras

    def _of_texts(self, config: TextRecipeConfig, examples: TrialExamples[TextExamples], folder: Path) -> float:
        train = examples.train
        backbone, tokenizer = text_planning.open_backbone(config, train)
        length = text_planning.measure_length(config, train, tokenizer, backbone).sequence_length
        head = image_planning.head_of(config.task, train.labels)
        model = text_planning.build_classifier(config, backbone, len(train.class_names), head)
        teacher = find_text_teacher(config, model, tokenizer, train, sequence_length=length)
        whole = None
        for number, (name, (title, run_stage, kept)) in enumerate(self._running(config)):
            options = text_planning.stage_options(config, name, teacher or whole)
            options |= self.watching.options(number, title) | {"sequence_length": length}
            keras.utils.set_random_seed(config.run.seed)
            model = run_stage(model, train, examples.validation, tokenizer, **options).model
            whole = model if kept == "float" else whole
        tokenizer.save(folder / "tokenizer")
        spec = TextSpec(length, folder / "tokenizer")
        decision = decision_on(model, examples.validation, spec, config.task)
        return reports.evaluate(model, examples.validation, spec, decision=decision).keras

    def _of_embeddings(
        self, config: EmbeddingRecipeConfig, examples: TrialExamples[TextExamples], folder: Path
    ) -> float:
        train = examples.train
        backbone, tokenizer = text_planning.open_backbone(config, train)
        length = text_planning.measure_length(config, train, tokenizer, backbone).sequence_length
        model = text_planning.build_embedder(config, backbone)
        if config.fine_tune is not None:
            options: dict[str, Any] = text_planning.contrastive_options(config, train)
            options |= self.watching.options(0, "Train on pairs") | {"sequence_length": length}
            keras.utils.set_random_seed(config.run.seed)
            model = train_embedder(model, train, examples.validation, tokenizer, **options).model
        tokenizer.save(folder / "tokenizer")
        spec = TextSpec(length, folder / "tokenizer")
        known = label_texts(train) if config.data.labels_are_texts else train
        vectors = reference_scores(model, known, spec)
        index = SearchIndex(known.texts, known.labels, known.class_names, vectors)
        found = reference_scores(model, examples.validation, spec)
        return EMBEDDING.quality(examples.validation.labels, found, Decision(index=index)).value

    def _running(self, config: TrainedRecipe) -> list[tuple[str, tuple[str, Any, str]]]:
        return [(name, stage) for name, stage in self.stages.items() if getattr(config, name) is not None]
