"""Climb from the cheapest compression to the dearest, and stop at the first file within the budget."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import keras

import tfkit
from tfkit.artifacts import ImageSpec
from tfkit.benchmarking import describe_host
from tfkit.data import DatasetSplits, calibration_pixels
from tfkit.errors import DataError
from tfkit.search.budget import Budget
from tfkit.search.cuts import SLACK_TO_TRY, cuts_to_try
from tfkit.search.folder import SearchFolder, fingerprint_of_data, fingerprint_of_model
from tfkit.search.preparation import searchable_classifier
from tfkit.search.progress import Stages, silent
from tfkit.search.result import Candidate, Rung, SearchResult, SkippedRung
from tfkit.search.training import Classroom, SearchTraining
from tfkit.search.workshop import Workshop

_FLOAT_IS_LARGER = "layers in float make a file larger and slower, and it is too large or too slow already"


def search_smallest(
    model: keras.Model,
    splits: DatasetSplits,
    image: ImageSpec,
    *,
    budget: Budget,
    directory: Path,
    training: SearchTraining = SearchTraining(),  # noqa: B008 - a frozen value
    sensitivity_images: int = 512,
    progress: Stages = silent,
) -> SearchResult:
    """Search the first int8 file within a budget: post-training, selective, quantisation-aware, fewer channels.

    Every candidate is exported, run over the whole test split in LiteRT and timed on this host with one thread;
    nothing is accepted on a prediction. Steps that cannot help are passed over, and said so: layers in float do not
    make a file smaller, fewer channels do not make it more accurate. What is found is kept in `directory` at once:
    the same call goes on where it was interrupted.

    Args:
        model: A trained float classifier, raw pixels 0..255 in, scores out. It is not changed.
        splits: Training images calibrate and teach, validation images choose, test images judge.
        image: The images the model takes.
        budget: What the file must keep to.
        directory: The search's folder, new, empty, or of the same search.
        training: How candidates are trained.
        sensitivity_images: Validation images that each layer's rounding is measured on.
        progress: Opens a stage for each step; default silent.

    Returns:
        How it ended. An accepted file lies in `directory / "artifacts"` with its manifest and labels.

    Raises:
        UnreachableBudgetError: Before anything is trained, when no file of this model can meet the budget.
        ModelError: When the model is no classifier, or a layer cannot be quantised.
        DataError: When the data do not fit the model.
        RunError: When the folder belongs to something else, or cannot be written.

    Example:
        >>> budget = Budget(max_accuracy_drop=0.005, max_latency_ms=0.5)
        >>> search_smallest(model, splits, image, budget=budget, directory=Path("runs/small"))  # doctest: +SKIP
    """
    teacher = searchable_classifier(model)
    _check_data(teacher, splits, image)
    fingerprint = {
        "model": fingerprint_of_model(teacher),
        "data": fingerprint_of_data(splits),
        "image": f"{image.width}x{image.height}x{image.channels} {image.resize}",
        "processor": describe_host().processor,
        "tfkit": tfkit.__version__,
        **asdict(budget),
        **asdict(training),
        "sensitivity_images": sensitivity_images,
    }
    folder = SearchFolder(directory, fingerprint)
    calibration = calibration_pixels(splits.train, image, count=training.calibration_images)
    classroom = Classroom(teacher, splits, image, calibration, training)
    workshop = Workshop(classroom, folder, budget, sensitivity_images=sensitivity_images, progress=progress)
    return _Climb(workshop, budget).run()


def _check_data(model: keras.Model, splits: DatasetSplits, image: ImageSpec) -> None:
    faults = []
    classes = int(model.output_shape[-1])
    if len(splits.class_names) != classes:
        faults.append(f"the images have {len(splits.class_names)} classes, the model scores {classes}")
    if tuple(model.input_shape[1:]) != image.shape:
        faults.append(f"the model takes {model.input_shape[1:]}, the images are fitted to {image.shape}")
    if not len(splits.test):
        faults.append("there are no test images to judge on")
    if faults:
        raise DataError("; ".join(faults), hint="give labelled images of the model's own classes")


class _Climb:
    """Which candidates are made, in which order, and why others are not."""

    def __init__(self, workshop: Workshop, budget: Budget) -> None:
        self._workshop, self._budget = workshop, budget
        self._skipped: list[SkippedRung] = []

    def run(self) -> SearchResult:
        reference, sensitivity = self._workshop.reference(), self._workshop.sensitivity()
        found: list[Candidate] = []
        for candidate in self._candidates():
            found.append(candidate)
            if candidate.accepted:
                self._workshop.ship(candidate)
                break
        return SearchResult(
            budget=self._budget,
            reference=reference,
            sensitivity=sensitivity,
            candidates=tuple(found),
            skipped=(*self._workshop.failed, *self._skipped),
            accepted=found[-1] if found and found[-1].accepted else None,
            nearest=min(
                found, key=lambda file: self._budget.excess(file, float_accuracy=reference.accuracy), default=None
            ),
            sensitivity_images=self._workshop.sensitivity_images,
            training=self._workshop.settings,
        )

    def _candidates(self) -> Iterator[Candidate]:
        whole = self._workshop.post_training()
        if whole is not None:
            yield whole
        if whole is None or self._fits(whole, slack=SLACK_TO_TRY):
            if selective := self._selective(whole):
                yield selective
            if trained := self._workshop.quantization_aware():
                yield trained
                whole = trained
        else:
            self._skip("selective", _FLOAT_IS_LARGER)
            self._skip(
                "qat", "its file has the size and speed of the post-training one, which is too large or too slow"
            )
        if whole is None:
            self._skip("channels", "there is no whole int8 file to predict its size and speed from")
        elif self._fits(whole):
            self._skip("channels", "size and speed are met, and fewer channels do not make a file more accurate")
        else:
            yield from self._with_fewer_channels(whole)

    def _selective(self, whole: Candidate | None) -> Candidate | None:
        if self._budget.integer_only:
            self._skip("selective", "the budget wants no float operator")
            return None
        if whole is not None and not self._fits(whole):
            self._skip("selective", _FLOAT_IS_LARGER)
            return None
        choice = self._workshop.float_choice()
        if not choice.layers:
            tried = ", ".join(f"{count} in float {100 * drop:.2f} points" for count, drop in choice.tried)
            self._skip("selective", f"on the validation images too much is lost all the same: {tried}")
            return None
        return self._workshop.selective(choice)

    def _with_fewer_channels(self, whole: Candidate) -> Iterator[Candidate]:
        cuts = self._workshop.cuts(whole)
        if not cuts:
            self._skip("channels", "no channel of this model can be removed")
        for cut in cuts_to_try(self._budget, cuts):
            candidate = self._workshop.narrower(cut)
            if candidate is None:
                continue
            yield candidate
            if self._fits(candidate):
                self._skip(
                    "channels", "no narrower one was tried: size and speed are met, and accuracy is what is missed"
                )
                return

    def _fits(self, candidate: Candidate, *, slack: tuple[float, float] = (0.0, 0.0)) -> bool:
        return self._budget.fits_size_and_speed(size=candidate.bytes, milliseconds=candidate.latency_ms, slack=slack)

    def _skip(self, rung: Rung, reason: str) -> None:
        self._skipped.append(SkippedRung(rung, reason))
