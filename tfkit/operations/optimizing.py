"""The smallest or quickest file of a model within a budget of accuracy, size and latency: `tfkit.optimize`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfkit.artifacts import ImageSpec, PixelScaling, ResizeMode, RunDirectory, TaskName
from tfkit.errors import ConfigError, ModelError
from tfkit.opening import given_pixels, judge_head, keras_image, on_raw_pixels_of, read_labels, try_on
from tfkit.running import Display, SilentDisplay
from tfkit.tasks import task_named
from tfkit.terminal import InterruptedRunError, import_tensorflow

if TYPE_CHECKING:
    import keras

    from tfkit.data import DatasetSplits, SourceName
    from tfkit.search import Budget, SearchResult, SearchTraining

    Progress = Callable[[int, int], None]

# These images choose among a dozen files: more than stop a training early.
_VALIDATION = 0.2
DIGITS = "digits"
_OF_SEGMENTERS = "train it with a recipe of task.kind segmentation, or make its file alone: tfkit export"


@dataclass(frozen=True)
class Images:
    """Where the images of a search come from.

    Attributes:
        data: A folder, an .npz or CSV, or `digits`.
        test: Images to judge on, beside an .npz or CSV.
        validation: Images to choose by, beside an .npz or CSV.
        labels: The model's classes in the order of its scores, one a line.
    """

    data: str
    test: Path | None = None
    validation: Path | None = None
    labels: Path | None = None

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

    def splits(
        self, *, channels: int, classes: tuple[str, ...] | None, seed: int, progress: "Progress"
    ) -> "DatasetSplits":
        """Read them; those that choose are split off where there are none."""
        from tfkit.data import load_image_splits

        path, kind = Path(self.data), Path(self.data).suffix.lower()
        of_files = self.data != DIGITS and kind in (".npz", ".csv")
        source: SourceName = (
            "digits" if self.data == DIGITS else ("npz" if kind == ".npz" else "csv") if of_files else "image_folder"
        )
        test, validation = (self.test, self.validation) if of_files else (None, None)
        return load_image_splits(
            source=source,
            directory=path if source == "image_folder" else None,
            train=path.absolute() if of_files else None,
            test=test.absolute() if test else None,
            validation=validation.absolute() if validation else None,
            channels=channels,
            classes=classes,
            seed=seed,
            validation_fraction=_VALIDATION,
            progress=progress,
        )


@dataclass(frozen=True, eq=False)
class Optimized:
    """How a search ended, and where it stands.

    Attributes:
        result: Every file that was made, the chosen one, and why the search ended.
        folder: The search's folder.
        report: Its page.
    """

    result: "SearchResult"
    folder: Path
    report: Path


def optimize(
    model: str | Path,
    images: Images,
    *,
    budget: "Budget",
    folder: str | Path,
    training: "SearchTraining | None" = None,
    max_files: int = 12,
    max_minutes: float | None = None,
    resize: ResizeMode = "crop",
    scaling: PixelScaling | None = None,
    task: TaskName | None = None,
    custom_objects: str | None = None,
    display: Display | None = None,
) -> Optimized:
    """Find the smallest or quickest file of a classifier of images within a budget; what `tfkit optimize` does.

    Args:
        model: A `.keras` or `.h5` file, or a run's folder.
        images: Labelled images: some train, some choose, and those of the test judge the chosen file, once.
        budget: What the file must keep to, and what is to be smallest.
        folder: The search's folder; the same call goes on in it.
        training: Epochs, batch and seed of the trainings; those of the command line when None.
        max_files: Files to train at most.
        max_minutes: Begin no training that would end later.
        resize: How pictures are fitted.
        scaling: What the model takes for raw pixels, where it does not say.
        task: What its outputs are, where the model does not say.
        custom_objects: A Python file or module that defines the model's own layers; it is run.
        display: Where progress is shown; nowhere when None.

    Returns:
        The search's result and report; `result.accepted` is None when no file met the budget.

    Raises:
        ConfigError: When the model or the images are not there.
        ModelError: When the model gives no single label a picture.
        InterruptedRunError: For Ctrl-C.

    Example:
        >>> from tfkit.operations import Images
        >>> from tfkit.search import Budget
        >>> budget, images = Budget(max_accuracy_drop=0.005), Images("digits")
        >>> found = tfkit.optimize("model.keras", images, budget=budget, folder="runs/small")  # doctest: +SKIP
        >>> found.result.accepted.bytes  # doctest: +SKIP
        9128
    """
    path, folder, display = Path(model), Path(folder), display or SilentDisplay()
    if faults := ([] if path.exists() else [f"there is no model '{path}'"]) + images.faults():
        raise ConfigError("\n".join(faults), hint="tfkit optimize --help")
    import_tensorflow()
    from tfkit.models import register_custom_objects
    from tfkit.search import SearchTraining, search_within_budget, write_search_report

    register_custom_objects(custom_objects)
    training = training or SearchTraining()
    loaded, image, splits = _load(display, path, images, scaling, task, resize=resize, seed=training.seed)
    _warn_of_few_images(display, splits, budget.max_accuracy_drop)
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
    return Optimized(result, folder, write_search_report(result, folder, name=path.name))


def _load(
    display: Display,
    path: Path,
    images: Images,
    said: PixelScaling | None,
    task: TaskName | None,
    *,
    resize: ResizeMode,
    seed: int,
) -> "tuple[keras.Model, ImageSpec, DatasetSplits]":
    from tfkit.graph import read_head
    from tfkit.models import load_model_file
    from tfkit.reports.quantities import counted

    with display.stage("Model") as stage:
        loaded = load_model_file(path)
        image = keras_image(loaded, path, resize=resize)
        read_head(loaded)
        parameters = f"{loaded.count_params() / 1e6:.2f} M parameters"
        stage.result(f"{parameters}, {image.height}x{image.width}x{image.channels}")
    classes = (read_labels(images.labels) if images.labels else RunDirectory.of_model(path).class_names) or None
    with display.stage("Images") as stage:
        splits = images.splits(channels=image.channels, classes=classes, seed=seed, progress=stage.progress)
        counts = (len(splits.train), len(splits.validation), len(splits.test))
        stage.result("{} training, {} validation, {} test".format(*counts))
        if classes is None:
            stage.note(
                f"the model's scores are taken for {counted(len(splits.class_names), 'class', 'classes')} in "
                f"the order of the data: {', '.join(splits.class_names[:5])}, …; --labels FILE says another"
            )
    scored, scores, note = judge_head(loaded, path, task, named=len(splits.class_names))
    asked = task_named(scores)
    if not asked.answers_whole:
        raise ModelError(f"'{path}' is a segmenter; a search judges by one label a picture", hint=_OF_SEGMENTERS)
    if asked.gives_several:
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


def _warn_of_few_images(display: Display, splits: "DatasetSplits", max_drop: float) -> None:
    for count, what in ((len(splits.validation), "validation"), (len(splits.test), "test")):
        if count and 0 < max_drop < 1 / count:
            told = f"one of {count} {what} images is {100 / count:.2f} points: a smaller --max-drop means none lost"
            display.note(told)
