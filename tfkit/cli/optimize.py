"""`tfkit optimize`: the smallest or quickest file of a model within a budget of accuracy, size and latency."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfkit.artifacts import ResizeMode
from tfkit.cli.options import CustomObjects, KerasModel, PixelOptions, TaskOption
from tfkit.errors import ConfigError

if TYPE_CHECKING:
    from tfkit.operations import Optimized
    from tfkit.terminal import Display

NOT_MET = 3


# As in a recipe's augmentation.policy; tfkit.data is not imported here, because --help must come at once.
class Augmentation(StrEnum):
    """How training images are varied."""

    NONE = "none"
    LIGHT = "light"
    RAND_AUGMENT = "rand_augment"


class Minimize(StrEnum):
    """What is to be as small as possible."""

    BYTES = "bytes"
    LATENCY = "latency"


def optimize(
    model: KerasModel,
    *,
    data: Annotated[str, typer.Option(help="Labelled images: a folder, an .npz or CSV, or 'digits'.", metavar="DATA")],
    max_drop: Annotated[
        float, typer.Option(help="Accuracy the file may lose, as a fraction: 0.005 is half a point.", metavar="SHARE")
    ],
    max_bytes: Annotated[int | None, typer.Option(help="Its largest size in bytes.")] = None,
    max_latency_ms: Annotated[
        float | None, typer.Option(help="Its largest median time for an image, here, on one thread.")
    ] = None,
    minimize: Annotated[Minimize, typer.Option(help="What is to be smallest within these limits.")] = Minimize.BYTES,
    max_minutes: Annotated[
        float | None, typer.Option(help="Begin no training that would end later.", metavar="MINUTES")
    ] = None,
    max_files: Annotated[int, typer.Option(help="Files to train at most.")] = 12,
    integer_only: Annotated[bool, typer.Option("--integer-only", help="Leave no layer in float.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="The search's folder; the same command goes on in it.", show_default="runs/MODEL_optimized"),
    ] = None,
    test_data: Annotated[
        Path | None, typer.Option(help="Images to judge on, beside an .npz or CSV.", metavar="DATA")
    ] = None,
    validation_data: Annotated[
        Path | None, typer.Option(help="Images to choose by, beside an .npz or CSV.", metavar="DATA")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="The model's classes in the order of its scores, one a line.", metavar="FILE")
    ] = None,
    custom_objects: CustomObjects = None,
    resize: Annotated[ResizeMode, typer.Option(help="How pictures are fitted.")] = "crop",
    pixels: PixelOptions,
    task: TaskOption = None,
    epochs: Annotated[int, typer.Option(help="Epochs of quantisation-aware training.")] = 3,
    recovery_epochs: Annotated[int, typer.Option(help="Epochs in float after channels were cut.")] = 6,
    batch_size: Annotated[int, typer.Option(help="Images in a batch.")] = 32,
    augmentation: Annotated[Augmentation, typer.Option(help="How training images are varied.")] = Augmentation.LIGHT,
    flip: Annotated[bool, typer.Option(help="Whether training images may be mirrored.")] = True,
    seed: Annotated[int, typer.Option(help="Of the splits and the training.")] = 0,
) -> int:
    """Find the smallest or quickest file within a budget, and prove it.

    Quantised after training in every way, then what Optuna proposes: quantisation-aware training, 4-bit weights, fewer
    channels, distillation. Validation images choose; test images judge the chosen file, once.

    Exit status 3: no file met the budget; the nearest is named.
    """
    from tfkit.operations import Images, optimize
    from tfkit.terminal import Display, tensorflow_started

    images = Images(data, test_data, validation_data, labels)
    folder = output or Path("runs") / f"{model.stem}_optimized"
    numbers = {"--epochs": epochs, "--recovery-epochs": recovery_epochs, "--batch-size": batch_size}
    said = pixels.scaling()
    limits = {"--max-bytes": max_bytes, "--max-latency-ms": max_latency_ms, "--max-minutes": max_minutes}
    faults = [] if model.exists() else [f"there is no model '{model}'"]
    _check_arguments([*faults, *images.faults()], numbers, limits, max_drop=max_drop, max_files=max_files)
    display = Display()
    display.header(f"{model} to {folder}")
    with tensorflow_started():
        from tfkit.search import Budget, SearchTraining

        training = SearchTraining(
            qat_epochs=epochs, recovery_epochs=recovery_epochs, batch_size=batch_size, seed=seed, flip=flip,
            augmentation=augmentation.value,
        )  # fmt: skip
        budget = Budget(
            max_accuracy_drop=max_drop, max_bytes=max_bytes, max_latency_ms=max_latency_ms, integer_only=integer_only,
            minimize=minimize.value,
        )  # fmt: skip
        found = optimize(
            model, images, budget=budget, training=training, folder=folder, max_files=max_files,
            max_minutes=max_minutes, resize=resize, scaling=said, task=task, custom_objects=custom_objects,
            display=display,
        )  # fmt: skip
        return _tell(display, found)


def _check_arguments(
    faults: list[str],
    counts: dict[str, int],
    limits: dict[str, float | int | None],
    *,
    max_drop: float,
    max_files: int,
) -> None:
    """Tell every fault of the command line at once, before TensorFlow starts."""
    if not 0 <= max_drop < 1:
        faults.append(f"--max-drop is a fraction in [0, 1): 0.005 for half a point; got {max_drop:g}")
    faults += [
        f"{option} must be more than 0; got {limit:g}"
        for option, limit in limits.items()
        if limit is not None and not limit > 0
    ]
    if max_files < 0:
        faults.append(f"--max-files must be 0 or more; got {max_files}")
    faults += [f"{option} must be 1 or more; got {count}" for option, count in counts.items() if count < 1]
    if faults:
        raise ConfigError("\n".join(faults), hint="tfkit optimize --help")


def _tell(display: "Display", found: "Optimized") -> int:
    from tfkit.search import candidate_table
    from tfkit.search.words import described, headline, tested

    result, folder, report = found.result, found.folder, found.report
    display.table(candidate_table(result))
    display.notes(f"could not be made: {failed.variant.title}: {failed.reason}" for failed in result.failed)
    display.note(f"the search ended: {result.ended}")
    if result.test is not None:
        display.note(tested(result.test))
    if result.accepted is not None:
        display.notes(f"left in float: {layer.name}: {layer.reason}" for layer in result.accepted.float_layers)
        display.next_steps(report, f"tfkit verify {folder}")
        return 0
    display.note(
        f"{headline(result)}; its file is {folder / result.nearest.file}" if result.nearest else headline(result)
    )
    if result.nearest is not None and result.chosen is None:
        display.note(described(result.nearest, result))
    display.notes(f"  missed: {miss}" for miss in result.misses)
    display.next_steps(report)
    return NOT_MET
