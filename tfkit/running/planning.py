"""From a recipe's sections to the values that the library takes, and every refusal before anything is trained."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tfkit.config import AnyRecipe, AnyTaskSection, RecipeConfig, TextRecipeConfig, TrainedRecipe
from tfkit.errors import ModelError
from tfkit.running.teachers import find_teacher, taught_by, teaching

if TYPE_CHECKING:
    import numpy as np

    from tfkit.artifacts import ImageSpec
    from tfkit.compression import CompressionCoverage
    from tfkit.config import RecipeConfig, TextRecipeConfig
    from tfkit.data.targets import Targets
    from tfkit.models import HeadSpec
    from tfkit.running.display import Display


RecipeT = TypeVar("RecipeT", bound=TrainedRecipe)


def targets_of(config: AnyRecipe) -> "Targets":
    """What a recipe's examples are labelled with."""
    from tfkit.data.targets import CLASSES, Targets
    from tfkit.tasks import task_named

    if not isinstance(config, RecipeConfig | TextRecipeConfig):
        return CLASSES
    targets = Targets(**config.task.target_options())
    task = task_named(config.task.kind)
    task.refused()
    if task.answers_pixels:
        assert isinstance(config, RecipeConfig)  # rules refuse masks of texts
        from tfkit.artifacts import ImageSpec
        from tfkit.data.masks import MaskCoding

        image = ImageSpec(*config.data.image_height_width, config.data.channels, config.data.resize)
        return replace(targets, masks=MaskCoding(image, **config.task.mask_options()))
    column = getattr(config.data, "label_column", None)
    if task.targets.named_by_column and not targets.columns and isinstance(column, str):
        return replace(targets, columns=(column,))
    return targets


def head_of(task: AnyTaskSection, labels: "np.ndarray | None" = None) -> "HeadSpec":
    """What stands behind the logits of a recipe's model.

    Args:
        task: The recipe's section.
        labels: Of numbers: those of the training split, whose mean and deviation the head works with.
    """
    from tfkit.data.targets import mean_and_deviation
    from tfkit.models import HeadSpec
    from tfkit.tasks import task_named

    activation = task_named(task.kind).activation
    if activation != "linear" or labels is None:
        return HeadSpec(activation)
    means, deviations = mean_and_deviation(labels)
    return HeadSpec(activation, tuple(map(float, means)), tuple(map(float, deviations)))


def with_float_head(config: RecipeT, outputs: int) -> tuple[RecipeT, str]:
    """A recipe for images that leaves the last layer of several numbers in float, and a sentence on it.

    One integer tensor has one scale: an age and a price would share steps as wide as the price needs.
    """
    from tfkit.tasks import task_named

    section: Any = getattr(config, "quantization", None)
    if not isinstance(config, RecipeConfig) or section is None or outputs < 2:
        return config, ""
    if not task_named(config.task.kind).gives_numbers:
        return config, ""
    from tfkit.models.classifier import LOGITS

    if LOGITS in section.skip:
        return config, ""
    section = section.model_copy(update={"skip": (*section.skip, LOGITS)})
    note = f"the last layer of {outputs} numbers stays in float: one integer tensor would give all of them one step"
    return config.model_copy(update={"quantization": section}), note


_TITLE = "Layer plan"


@dataclass(frozen=True, eq=False)
class CompressionPlan:
    """What compression will do, found out before training.

    Attributes:
        coverage: Layer plan.
        teacher: The teacher that `distillation.teacher` names; None when there is none, or the run's own float model.
        taught_by: Who teaches, in words; empty without distillation.
    """

    coverage: "CompressionCoverage"
    teacher: Any = None
    taught_by: str = ""


def build_classifier(
    config: "RecipeConfig",
    image: "ImageSpec",
    classes: int,
    *,
    weights: str | None = None,
    head: "HeadSpec | None" = None,
) -> Any:
    """Build a recipe's classifier, or its segmenter, not trained yet.

    Args:
        config: The recipe.
        image: The images it takes.
        classes: How many classes it tells apart.
        weights: Instead of what `model.weights` says.
        head: What stands behind its logits; None as for data that have not been read.

    Returns:
        A Keras model.
    """
    import keras

    from tfkit import models
    from tfkit.tasks import task_named

    chosen = config.model
    keras.utils.set_random_seed(config.run.seed)
    weights = chosen.weights if weights is None else weights
    models.register_custom_objects(chosen.custom_objects)
    scaling = _given_scaling(config)
    backbone = models.build_backbone(chosen.backbone, image=image, weights=weights, width=chosen.width, scaling=scaling)
    head = head or head_of(config.task)
    if task_named(config.task.kind).answers_pixels:
        return models.build_segmenter(backbone, classes=classes, head=head, **chosen.decoder_options())
    if task_named(config.task.kind).answers_boxes:
        return models.build_detector(backbone, classes=classes, **chosen.decoder_options())
    return models.build_classifier(backbone, classes=classes, head=head, **chosen.classifier_options())


def plan_compression(
    config: "RecipeConfig",
    model: Any,
    display: "Display",
    *,
    class_names: tuple[str, ...] = (),
    teacher_too: bool = True,
) -> CompressionPlan:
    """Find out what pruning, quantisation and distillation will do, and show it in one line.

    Args:
        config: The recipe.
        model: Its classifier, not trained yet.
        display: Where to show it.
        class_names: Its classes, for a teacher that is to have the same; empty where they are not known.
        teacher_too: Whether the teacher is looked at; False while the number of classes is not known yet.

    Returns:
        The plan.

    Raises:
        ModelError: For everything that a later stage would refuse, as far as it can be known before training.
    """
    from tfkit import compression

    _note_pixels(config, model, display)
    note_devices(config, model, display)
    _plan_low_rank(config, model, display)
    if not (config.pruning or config.quantization or config.distillation):
        return CompressionPlan(compression.CompressionCoverage())
    with display.stage(_TITLE) as stage:
        _refuse_untrainable(config, model)
        coverage = compression.compression_coverage(
            model,
            pruning=_pruning_settings(config),
            quantization=_quantization_policy(config),
            engine=config.quantization.engine if config.quantization else "tfkit",
        )
        teacher = find_teacher(config, model, class_names) if teacher_too else None
        stage.result(coverage.sentence)
    return CompressionPlan(coverage, teacher, taught_by(config))


def _given_scaling(config: "RecipeConfig") -> Any:
    from tfkit.artifacts import checked_scaling

    said = config.model
    return checked_scaling(
        said.input_range, said.input_mean, said.input_std, said.input_channels, called="model.input_"
    )


def _note_pixels(config: "RecipeConfig", model: Any, display: "Display") -> None:
    """Say what a backbone from a file is given, where neither it nor the recipe says it."""
    from tfkit import models

    of_file = Path(config.model.backbone).suffix in (".keras", ".h5", ".hdf5")
    if of_file and _given_scaling(config) is None and not models.scales_its_pixels(model):
        display.note(
            "nothing in the backbone's file scales its pixels: it is given 0..255; if it learned on others, say "
            "model.input_range=[0,1], or model.input_mean and model.input_std"
        )


def _plan_low_rank(config: "RecipeConfig", model: Any, display: "Display") -> None:
    """Say how much learns with `fine_tune.method: lora`; a backbone without attention is refused."""
    from tfkit import models
    from tfkit.training.result import count_trainable

    if config.fine_tune is None or config.fine_tune.method != "lora":
        return
    with display.stage("What learns") as stage:
        adapted = models.with_low_rank(model, rank=config.fine_tune.rank)
        learning = count_trainable(adapted)
        stage.result(f"{learning:,} parameters, {learning / adapted.count_params():.1%}")


def stage_options(config: "RecipeConfig", name: str, teacher: Any = None) -> dict[str, object]:
    """What a recipe says about one stage, as keyword arguments of the function that runs it.

    Args:
        config: The recipe.
        name: `head`, `fine_tune`, `pruning` or `quantization`; its section is there.
        teacher: Who teaches in this stage; None for nobody.

    Returns:
        The arguments of `tfkit.training.train_head` or `fine_tune`, or of `tfkit.stages.prune` or `quantize`, but for
        the model, the images, and where files go.
    """
    from tfkit.training import Optimization

    section = getattr(config, name)
    options = batch_options(config) | {"optimization": Optimization(**section.optimization_options())}
    options |= section.learning_options()
    if name == "pruning":
        options |= {"settings": _pruning_settings(config), "threads": config.acceptance.latency_threads}
        options["feature_maps"] = config.distillation.feature_maps if config.distillation else 0.0
    if name == "quantization":
        options |= {"policy": _quantization_policy(config)}
    if name == "head":
        return options
    return options | {"objective": teaching(config, teacher), "devices": devices_of(config)}


def devices_of(config: "RecipeConfig | TextRecipeConfig") -> tuple[str, ...]:
    """The devices that a recipe's trainings are shared by; none for one device.

    Raises:
        TrainingError: When those that `run.distribution` asks for are not there.
    """
    from tfkit.training import training_devices

    return training_devices(config.run.distribution, config.data.batch_size)


def note_devices(config: "RecipeConfig | TextRecipeConfig", model: Any, display: "Display") -> None:
    """Say which devices train a recipe's model, where there is a choice.

    Args:
        config: The recipe.
        model: Its classifier, not trained yet.
        display: Where to say it.

    Raises:
        ModelError: For the engine `tfmot`, which trains on one device.
        TrainingError: When the devices asked for are not there, or cannot train the recipe together.
    """
    from tfkit.training import Optimization
    from tfkit.training.distribution import refuse_together, told_devices, training_devices

    sections = [config.fine_tune, config.pruning, config.quantization]
    # A head is trained on features that one device computes.
    together = [section for section in sections if section and getattr(section, "method", None) != "head"]
    if not together:
        return
    if devices := devices_of(config):
        display.note(told_devices(devices))
        if getattr(config.quantization, "engine", "tfkit") == "tfmot":
            raise ModelError(
                "quantization.engine=tfmot trains on one device", hint="say run.distribution=none, or engine: tfkit"
            )
        for section in together:
            plan = Optimization(**section.optimization_options())
            refuse_together(model, plan, adversarial=getattr(section, "adversarial", None) is not None)
    elif config.run.distribution == "none" and (others := training_devices("auto", config.data.batch_size)):
        display.note(f"one device trains; run.distribution=auto would take {len(others)} GPUs")


def batch_options(config: "RecipeConfig") -> dict[str, object]:
    """Augmentation, batch size, cache and seed: keyword arguments of `tfkit.data.training_batches`."""
    sizes = {"batch_size": config.data.batch_size, "cache_bytes": config.data.cache_mb << 20}
    return config.augmentation.batch_options() | sizes | {"seed": config.run.seed}


def _pruning_settings(config: "RecipeConfig") -> Any:
    from tfkit.compression import PruningSettings

    return PruningSettings(**config.pruning.pruning_options()) if config.pruning else None


def _quantization_policy(config: "RecipeConfig") -> Any:
    from tfkit.compression import QuantizationPolicy

    return QuantizationPolicy(**config.quantization.policy_options()) if config.quantization else None


def _refuse_untrainable(config: "RecipeConfig", model: Any) -> None:
    """What the stages of training would refuse, though only the last of them has compression in it."""
    from tfkit import models, training

    narrowed = config.pruning is not None and config.pruning.method == "channels"
    for name in ("pruning", "quantization"):
        section = getattr(config, name)
        if section is None:
            continue
        try:
            if not narrowed:  # then BatchNorm has statistics again, even where they were folded
                models.unfreeze(model, "all", batch_norm=section.batch_norm)
            training.uses_jit(model, section.jit)
        except ModelError as fault:
            raise ModelError(
                str(fault).replace("fine_tune.", f"{name}."), hint=fault.hint.replace("fine_tune.", f"{name}.")
            ) from None
