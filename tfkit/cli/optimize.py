"""`tfkit optimize`: the smallest or quickest file of a model within a budget of accuracy, size and latency."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfkit.artifacts import PixelScaling, ResizeMode
from tfkit.cli.options import CustomObjects, InputChannels, InputMean, InputRange, InputStd, TaskOption, pixel_scaling
from tfkit.errors import ConfigError, ModelError
from tfkit.opening.heads import Task

if TYPE_CHECKING:
    from tfkit.terminal.display import Display

NOT_MET = 3
# These images choose among a dozen files: more than stop a training early.
_VALIDATION = 0.2
DIGITS = "digits"


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


@dataclass(frozen=True)
class Images:
    """Where the images come from, as the command line says it."""

    data: str
    test: Path | None
    validation: Path | None
    labels: Path | None

    def faults(self) -> list[str]:
        """What is wrong with it that can be told without reading an image."""
        given = {"--test-data": self.test, "--validation-data": self.validation, "--labels": self.labels}
        found = [f"{option}: there is no '{path}'" for option, path in given.items() if path and not path.exists()]
        path = Path(self.data)
        if self.data != DIGITS and not path.exists():
            found.append(f"--data: there is no '{self.data}'")
        elif (self.test or self.validation) and path.suffix.lower() not in (".npz", ".csv"):
            found.append("--test-data and --validation-data go with an .npz or .csv; a folder holds train/ and test/")
        return found

    def options(self) -> dict[str, Any]:
        """The arguments of `load_image_splits` that say the source."""
        path = Path(self.data)
        if self.data == DIGITS:
            return {"source": "digits"}
        kind = path.suffix.lower().removeprefix(".")
        if kind in ("npz", "csv"):
            files = {"train": path, "test": self.test, "validation": self.validation}
            return {"source": kind, **{part: file.absolute() for part, file in files.items() if file}}
        return {"source": "image_folder", "directory": path}


def optimize(
    model: Annotated[Path, typer.Argument(help="A .keras or .h5 file, or a run's folder.", metavar="MODEL")],
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
    input_range: InputRange = None,
    input_mean: InputMean = None,
    input_std: InputStd = None,
    input_channels: InputChannels = "rgb",
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
    from tfkit.terminal.display import Display
    from tfkit.terminal.interruption import InterruptedRunError
    from tfkit.terminal.quiet import tensorflow_started

    images = Images(data, test_data, validation_data, labels)
    folder = output or Path("runs") / f"{model.stem}_optimized"
    numbers = {"--epochs": epochs, "--recovery-epochs": recovery_epochs, "--batch-size": batch_size}
    said = pixel_scaling(input_range, input_mean, input_std, input_channels)
    limits = {"--max-bytes": max_bytes, "--max-latency-ms": max_latency_ms, "--max-minutes": max_minutes}
    _check_arguments(model, images, numbers, limits, max_drop=max_drop, max_files=max_files)
    display = Display()
    display.header(f"{model} to {folder}")
    with tensorflow_started():
        from tfkit.models import register_custom_objects
        from tfkit.search import Budget, SearchTraining, search_within_budget, write_search_report

        register_custom_objects(custom_objects)
        budget = Budget(
            max_accuracy_drop=max_drop,
            max_bytes=max_bytes,
            max_latency_ms=max_latency_ms,
            integer_only=integer_only,
            minimize=minimize.value,
        )
        training = SearchTraining(
            qat_epochs=epochs,
            recovery_epochs=recovery_epochs,
            batch_size=batch_size,
            augmentation=augmentation.value,
            flip=flip,
            seed=seed,
        )
        loaded, image, splits = _load(display, model, images, said, task, resize=resize, seed=seed)
        _warn_of_few_images(display, splits, max_drop)
        try:
            result = search_within_budget(
                loaded,
                splits,
                image,
                budget=budget,
                directory=folder,
                training=training,
                max_files=max_files,
                max_minutes=max_minutes,
                progress=display.stage,
            )
        except KeyboardInterrupt:
            hint = "the same command goes on after the last finished file"
            raise InterruptedRunError("interrupted", hint=hint) from None
        report = write_search_report(result, folder, name=model.name)
        return _tell(display, result, folder, report)


def _check_arguments(
    model: Path,
    images: Images,
    counts: dict[str, int],
    limits: dict[str, float | int | None],
    *,
    max_drop: float,
    max_files: int,
) -> None:
    """Tell every fault of the command line at once, before TensorFlow starts."""
    faults = [] if model.exists() else [f"there is no model '{model}'"]
    faults += images.faults()
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


def _load(
    display: "Display",
    path: Path,
    images: Images,
    said: PixelScaling | None,
    task: Task | None,
    *,
    resize: ResizeMode,
    seed: int,
) -> tuple[Any, Any, Any]:
    from tfkit.data import load_image_splits
    from tfkit.graph import read_head
    from tfkit.models import load_model_file
    from tfkit.opening.heads import judge_head
    from tfkit.opening.inputs import given_pixels, on_raw_pixels_of, try_on
    from tfkit.opening.targets import keras_image, read_labels, run_labels
    from tfkit.reports.quantities import counted

    with display.stage("Model") as stage:
        loaded = load_model_file(path)
        image = keras_image(loaded, path, resize=resize)
        read_head(loaded)
        parameters = f"{loaded.count_params() / 1e6:.2f} M parameters"
        stage.result(f"{parameters}, {image.height}x{image.width}x{image.channels}")
    classes = (read_labels(images.labels) if images.labels else run_labels(path)) or None
    with display.stage("Images") as stage:
        options = images.options() | {"channels": image.channels, "classes": classes, "seed": seed}
        options["validation_fraction"] = _VALIDATION
        splits = load_image_splits(**options, progress=stage.progress)
        counts = (len(splits.train), len(splits.validation), len(splits.test))
        stage.result("{} training, {} validation, {} test".format(*counts))
        if classes is None:
            stage.note(
                f"the model's scores are taken for {counted(len(splits.class_names), 'class', 'classes')} in "
                f"the order of the data: {', '.join(splits.class_names[:5])}, …; --labels FILE says another"
            )
    scored, scores, note = judge_head(loaded, path, task, named=len(splits.class_names))
    if scores == "multilabel":
        raise ModelError(
            f"'{path}' gives several labels at once; a search judges by one label a picture",
            hint="--task classification takes the largest score for the label; else tfkit export --format tflite_int8",
        )
    if note:
        display.note(note)
    given = given_pixels(scored, said)
    if scored.output_shape[-1] == len(splits.class_names):
        some = splits.validation if len(splits.validation) else splits.train
        try_on(display, scored, some, image, given, known=classes is not None)
    return on_raw_pixels_of(scored, image, given, path), image, splits


def _warn_of_few_images(display: "Display", splits: Any, max_drop: float) -> None:
    for count, what in ((len(splits.validation), "validation"), (len(splits.test), "test")):
        if count and 0 < max_drop < 1 / count:
            told = f"one of {count} {what} images is {100 / count:.2f} points: a smaller --max-drop means none lost"
            display.note(told)


def _tell(display: "Display", result: Any, folder: Path, report: Path) -> int:
    from tfkit.search.words import described, headline, tested

    _show_files(display, result)
    for failed in result.failed:
        display.note(f"could not be made: {failed.variant.title}: {failed.reason}")
    display.note(f"the search ended: {result.ended}")
    if result.test is not None:
        display.note(tested(result.test))
    if result.accepted is not None:
        for layer in result.accepted.float_layers:
            display.note(f"left in float: {layer.name}: {layer.reason}")
        display.next_steps(report, f"tfkit verify {folder}")
        return 0
    display.note(
        f"{headline(result)}; its file is {folder / result.nearest.file}" if result.nearest else headline(result)
    )
    if result.nearest is not None and result.chosen is None:
        display.note(described(result.nearest, result))
    for miss in result.misses:
        display.note(f"  missed: {miss}")
    display.next_steps(report)
    return NOT_MET


def _show_files(display: "Display", result: Any) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from tfkit.reports.quantities import percent
    from tfkit.search.words import latency, points

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False)
    table.add_column(f"file, on {result.chosen_on}", overflow="fold")
    for heading in ("accuracy", "points", "bytes", "p50"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("budget", no_wrap=True)
    reference = result.reference
    figures = (percent(reference.accuracy, decimals=2), "", f"{reference.bytes:,}", latency(reference.latency_ms), "")
    table.add_row("Float model", *figures, end_section=True)
    for file in result.candidates:
        met = Text("met", style="green") if file.within else Text("missed", style="bold red")
        if file is result.chosen:
            met = Text("chosen", style="bold green")
        gained = points(file.accuracy - reference.accuracy)
        shown = (percent(file.accuracy, decimals=2), gained, f"{file.bytes:,}", latency(file.latency_ms), met)
        table.add_row(Text(file.title), *shown)
    display.table(table)
