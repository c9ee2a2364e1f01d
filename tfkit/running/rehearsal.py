"""What a recipe asks of its files, tried before training: every format converted once, old runtimes asked."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkit.config import AnyRecipe, EmbeddingRecipeConfig, TrainedRecipe

if TYPE_CHECKING:
    from tfkit.artifacts import ImageSpec, InputSpec
    from tfkit.config import EmbeddingRecipeConfig, RecipeConfig, TextRecipeConfig
    from tfkit.data import ImageExamples
    from tfkit.data.text import TextExamples, Tokenizer
    from tfkit.running.display import Display


def plan_formats(
    config: AnyRecipe,
    model: Any,
    spec: "InputSpec",
    display: "Display",
) -> None:
    """Refuse a recipe whose formats `acceptance.min_runtime` cannot read; without it, do nothing.

    Args:
        config: The recipe.
        model: Its model, not trained yet.
        spec: The images or texts it takes.
        display: Where to show it.

    Raises:
        ExportError: Names the formats and their operators.
    """
    oldest = config.acceptance.min_runtime
    if oldest is None or config.export is None:
        return
    from tfkit.exporters.rehearsal import refuse_newer_formats

    with display.stage(f"Files for TensorFlow Lite {oldest}") as stage:
        refuse_newer_formats(model, config.export.formats, spec=spec, oldest=oldest)
        stage.result("it reads every format asked for")


def refuse_scores_beyond_memory(config: "RecipeConfig", test: "ImageExamples", image: "ImageSpec") -> None:
    """Refuse a test split whose scores of each pixel do not fit the memory.

    Args:
        config: The recipe.
        test: What the model and its files are judged on.
        image: The images the model takes.

    Raises:
        DataError: Names how many would fit.
    """
    from tfkit.errors import DataError
    from tfkit.tasks import task_named

    if not task_named(config.task.kind).answers_pixels or not len(test):
        return
    from tfkit.training import free_memory

    files = len(config.export.formats) if config.export else 0
    # The model's scores and each file's are held as float32, and twice as much while two are compared.
    one = 4 * image.height * image.width * len(test.class_names) * (3 + files)
    if (fitting := free_memory() // one) < len(test):
        raise DataError(
            f"the scores of each pixel of {len(test):,} test images take {one * len(test) / 2**30:.1f} GiB in this "
            f"run; {fitting:,} images fit the memory",
            hint=f"judge on fewer: acceptance.examples={max(1, fitting)}; or take smaller images",
        )


_TITLE = "Rehearse the export"
_SAMPLES = 8


def rehearse_images(
    config: "RecipeConfig", model: Any, display: "Display", train: "ImageExamples", image: "ImageSpec"
) -> None:
    """Convert a recipe's classifier, not trained yet, to each format that it asks for.

    Args:
        config: The recipe.
        model: Its classifier; its weights are as they were afterwards.
        display: Where to show it.
        train: The training images.
        image: The images the model takes.

    Raises:
        ModelError, ExportError: For what the export would refuse after training.
    """
    from tfkit.compression import QuantizationPolicy
    from tfkit.inputs import calibration_inputs

    _refuse_too_large_batches(config, model, display, len(train), noun="image")
    section = config.quantization
    formats = list(config.export.formats) if config.export else []
    if section is not None and section.engine == "tfmot" and "tflite_int8" in formats:
        formats.remove("tflite_int8")  # its twin is compared by itself, and converted by the stock converter
        section = None
    policy = QuantizationPolicy(**section.policy_options()) if section else None
    samples = calibration_inputs(train, image, count=_SAMPLES)
    allowed = config.export.allow_float if config.export else ()
    given = {"samples": samples, "quantization": policy, "allow_float": allowed, "task": config.task.kind}
    rehearse(display, model, formats, spec=image, **given)


def rehearse_texts(
    config: "TextRecipeConfig | EmbeddingRecipeConfig",
    model: Any,
    display: "Display",
    train: "TextExamples",
    tokenizer: "Tokenizer",
    *,
    sequence_length: int,
) -> None:
    """Convert a recipe's text model, not trained yet, to each format that it asks for; see `rehearse_images`.

    Args:
        config: The recipe.
        model: Its classifier or embedder.
        display: Where to show it.
        train: The training texts.
        tokenizer: The backbone's tokeniser.
        sequence_length: Tokens of a text.
    """
    from tfkit.artifacts import TextSpec
    from tfkit.data.text import calibration_tokens
    from tfkit.stages.texts import quantization_policy

    _refuse_too_large_batches(config, model, display, len(train), noun="text", length=sequence_length)
    section = getattr(config, "quantization", None)
    policy = quantization_policy(**section.policy_options()) if section else None
    formats = list(config.export.formats) if config.export else []
    samples = calibration_tokens(train, tokenizer, sequence_length=sequence_length, count=_SAMPLES)
    with tempfile.TemporaryDirectory(prefix="tfkit-") as folder:
        tokenizer.save(Path(folder) / "tokenizer")
        segment_ids = config.export is not None and config.export.segment_ids
        spec = TextSpec(sequence_length, Path(folder) / "tokenizer", segment_ids)
        kind = "embedding" if isinstance(config, EmbeddingRecipeConfig) else config.task.kind
        rehearse(display, model, formats, spec=spec, samples=samples, quantization=policy, task=kind)


def _refuse_too_large_batches(
    config: TrainedRecipe, model: Any, display: "Display", examples: int, *, noun: str, length: int = 1
) -> None:
    """Try a training step where its batch may not fit the memory; most recipes need no trial."""
    from tfkit.training import free_memory, may_not_fit, refuse_too_large_batches

    batch_size, free = min(config.data.batch_size, examples), free_memory()
    if may_not_fit(model, batch_size, length=length, free=free):
        with display.stage("Rehearse a step") as stage:
            measured = refuse_too_large_batches(model, batch_size, noun=noun, length=length, free=free)
            most = f"{measured.largest_batch(free)} would fit" if measured else "what it takes is not known"
            stage.result(f"{batch_size} {noun}s; {most}")


def rehearse(display: "Display", model: Any, formats: Sequence[str], *, spec: Any, **given: Any) -> None:
    """Convert a model, not trained yet, to each format.

    Args:
        display: Where to show it.
        model: The model.
        formats: The formats; for none nothing is done.
        spec: What the model takes.
        **given: Further keyword arguments of `tfkit.exporters.rehearse_export`.

    Raises:
        ModelError, ExportError: For what the export would refuse.
    """
    from tfkit.exporters import rehearse_export
    from tfkit.models import named_outputs
    from tfkit.models.text import is_embedder
    from tfkit.reports.quantities import counted

    if not formats:
        return
    classes = () if is_embedder(model) else tuple(map(str, range(named_outputs(model))))
    with display.stage(_TITLE) as stage:
        rehearse_export(model, formats, spec=spec, class_names=classes, progress=stage.progress, **given)
        stage.result(f"{counted(len(formats), 'format')} can be made")
