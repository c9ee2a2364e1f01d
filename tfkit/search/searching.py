"""Search the smallest, or the quickest, file within a budget: propose, predict, make, measure; judge once on test."""

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import keras

from tfkit.artifacts import ImageSpec
from tfkit.benchmarking import describe_host
from tfkit.data import DatasetSplits, keep_pixels
from tfkit.data.validation_part import with_validation
from tfkit.errors import DataError, ModelError
from tfkit.inputs import calibration_inputs
from tfkit.search.budget import Budget, UnreachableBudgetError
from tfkit.search.folder import Finish, SearchFolder, fingerprint_of_data, fingerprint_of_model
from tfkit.search.preparation import searchable_classifier
from tfkit.search.result import Candidate, Cut, SearchResult
from tfkit.search.training import Classroom, SearchTraining
from tfkit.search.variants import FLOAT_PRECISIONS, PRECISIONS, Precision, Proposals, Variant
from tfkit.search.words import Stages, silent
from tfkit.search.workshop import Workshop
from tfkit.version import __version__

# Predicted sizes are right within a tenth, predicted times within a quarter (`predict_latency`).
_SLACK_TO_REFUSE = (0.10, 0.25)
# A file this little above the limits, as predicted, is made: it may do.
_SLACK_TO_TRY = (0.05, 0.10)
# What a file must be predicted to save, to be worth its training: sizes and times.
_LEAST_GAIN = (0.01, 0.03)
# After so many proposals that are predicted to gain nothing the space is taken for searched.
_MOST_IDLE = 200
_KEPT_BYTES = 1 << 30  # of decoded images, in memory
_MARGIN = 2.0  # standard errors by which a wider file must miss the accuracy for a narrower one to be given up

_log = logging.getLogger(__name__)


def search_within_budget(
    model: keras.Model,
    splits: DatasetSplits,
    image: ImageSpec,
    *,
    budget: Budget,
    directory: Path,
    training: SearchTraining = SearchTraining(),  # noqa: B008 - a frozen value
    max_files: int = 12,
    max_minutes: float | None = None,
    sensitivity_images: int = 512,
    progress: Stages = silent,
) -> SearchResult:
    """Search the smallest, or the quickest, file within a budget.

    First the model is quantised after training in every way there is: int8, 16-bit activations, 4-bit weights in all
    layers and where they cost least, sensitive layers in float, dynamic int8. Their sizes, times and answers, and
    what fewer channels are predicted to save, tell what else is worth a training: Optuna proposes from what was
    measured so far, and what is predicted to be no gain is passed over. Every file is exported, run in LiteRT over
    the validation images and timed on this host with one thread; nothing is chosen on a prediction. Without
    validation images a fifth of the training images is held out. The chosen file, and it alone, is then run over the
    test images. What is found is kept in `directory` at once: the same call goes on where it was interrupted, and
    one with more files or minutes goes on where the search ended.

    Args:
        model: A trained float classifier, raw pixels 0..255 in, scores out. It is not changed.
        splits: Training images calibrate and teach, validation images choose, test images judge the chosen file.
        image: The images the model takes.
        budget: What the file must keep to, and what of it is to be smallest.
        directory: The search's folder, new, empty, or of the same search.
        training: How candidates are trained.
        max_files: Files that something is trained for, 0 or more.
        max_minutes: No training is begun that would end later than this after the call; None for any time.
        sensitivity_images: Images that each layer's rounding is measured on.
        progress: Opens a stage for each step; default silent.

    Returns:
        How it ended. An accepted file lies in `directory / "artifacts"` with its manifest and labels.

    Raises:
        UnreachableBudgetError: Before anything is trained, when no file of this model can meet the budget.
        ModelError: When the model is no classifier, a layer cannot be quantised, or a limit is out of range.
        DataError: When the data do not fit the model.
        RunError: When the folder belongs to something else, or cannot be written.

    Example:
        >>> budget = Budget(max_accuracy_drop=0.005, max_latency_ms=0.5)
        >>> search_within_budget(model, splits, image, budget=budget, directory=Path("runs/small"))  # doctest: +SKIP
    """
    if max_files < 0 or (max_minutes is not None and not max_minutes > 0):
        raise ModelError(f"max_files must be 0 or more, max_minutes more than 0; got {max_files}, {max_minutes}")
    teacher = searchable_classifier(model)
    _check_data(teacher, splits, image)
    fingerprint = {
        "model": fingerprint_of_model(teacher),
        "data": fingerprint_of_data(splits),
        "image": f"{image.width}x{image.height}x{image.channels} {image.resize}",
        "processor": describe_host().processor,
        "tfkit": __version__,
        **asdict(budget),
        **asdict(training),
        "sensitivity_images": sensitivity_images,
    }
    folder = SearchFolder(directory, fingerprint)
    splits, chosen_on = with_validation(splits, seed=training.seed)
    parts = (splits.train, splits.validation, splits.test)
    if kept := keep_pixels(parts, image, memory_bytes=_KEPT_BYTES, folder=folder.path):
        _log.info(kept)
    calibration = calibration_inputs(splits.train, image, count=training.calibration_images)
    classroom = Classroom(teacher, splits, image, calibration, training)
    workshop = Workshop(classroom, folder, budget, sensitivity_images=sensitivity_images, progress=progress)
    return _Search(workshop, budget, chosen_on, max_files=max_files, max_minutes=max_minutes).run()


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


class _Search:
    """Which files are made, in which order, and when it is enough."""

    def __init__(
        self, workshop: Workshop, budget: Budget, chosen_on: str, *, max_files: int, max_minutes: float | None
    ) -> None:
        self._workshop, self._budget, self._chosen_on = workshop, budget, chosen_on
        self._max_files, self._max_minutes = max_files, max_minutes
        self._began = time.monotonic()
        self._after_training: dict[Precision, Candidate] = {}
        self._cuts: dict[float, Cut] = {}

    def run(self) -> SearchResult:
        reference, sensitivity = self._workshop.reference(), self._workshop.sensitivity()
        self._quantize_after_training()
        self._predict_cuts()
        ended = self._make_proposals()
        chosen = min(
            (file for file in self._workshop.made if file.within),
            key=lambda file: (self._target(file), -file.accuracy),
            default=None,
        )
        test = self._workshop.judge(chosen) if chosen else None
        result = SearchResult(
            budget=self._budget,
            reference=reference,
            chosen_on=self._chosen_on,
            sensitivity=sensitivity,
            candidates=self._workshop.made,
            failed=self._workshop.failed,
            ended=ended,
            chosen=chosen,
            test=test,
            nearest=chosen or min(self._workshop.made, key=self._excess, default=None),
            sensitivity_images=self._workshop.sensitivity_images,
            training=self._workshop.settings,
        )
        if result.accepted is not None:
            self._workshop.ship(result.accepted)
        return result

    def _quantize_after_training(self) -> None:
        for precision in PRECISIONS:
            if self._budget.integer_only and precision in FLOAT_PRECISIONS:
                continue
            if precision == "selective" and not self._float_layers_may_help():
                continue
            if made := self._workshop.make(Variant(precision)):
                self._after_training[precision] = made

    def _float_layers_may_help(self) -> bool:
        whole = self._after_training.get("int8")
        if whole is not None and (whole.within or not self._fits(whole.bytes, whole.latency_ms, _SLACK_TO_TRY)):
            return False  # accurate enough without them, or too large and too slow already
        return bool(self._workshop.float_choice().layers)

    def _predict_cuts(self) -> None:
        whole = self._after_training.get("int8")
        if whole is not None:
            self._cuts = {cut.keep: cut for cut in self._workshop.cuts(whole)}
        predicted = [self._predicted(Variant(precision, keep)) for precision, keep in self._choices()]
        sizes = [figures for figures in predicted if figures]
        if not sizes or any(self._fits(*figures, _SLACK_TO_REFUSE) for figures in sizes):
            return
        faults, achievable = [], []
        size, milliseconds = min(figure[0] for figure in sizes), min(figure[1] for figure in sizes)
        if self._budget.max_bytes is not None and size > self._budget.max_bytes * (1 + _SLACK_TO_REFUSE[0]):
            faults.append(f"{self._budget.max_bytes:,} bytes: {size:,.0f} are needed")
            achievable.append(f"--max-bytes {size:.0f}")
        most = self._budget.max_latency_ms
        if most is not None and milliseconds > most * (1 + _SLACK_TO_REFUSE[1]):
            faults.append(f"{most:g} ms: an image takes {milliseconds:.3g} ms")
            achievable.append(f"--max-latency-ms {milliseconds:.3g}")
        smallest = "with every layer at its narrowest" if self._cuts else "and no channel of this model can be removed"
        if not faults:
            faults, achievable = ["no file is both small and quick enough"], ["one of the two limits at a time"]
        raise UnreachableBudgetError(
            f"the budget cannot be met; nothing was trained. Predicted {smallest}: {'; '.join(faults)}",
            hint=f"the nearest achievable: {' '.join(achievable)}; or start from a smaller backbone",
        )

    def _choices(self) -> Iterator[tuple[Precision, float]]:
        for precision in self._after_training:
            for keep in (1.0, *(() if precision == "selective" else self._cuts)):
                yield precision, keep

    def _make_proposals(self) -> str:
        finish = self._workshop.finish
        if finish is not None and not finish.allows_more(self._max_files, self._max_minutes):
            return finish.reason
        reason = self._propose_and_make()
        self._workshop.end(Finish(reason, self._max_files, self._max_minutes))
        return reason

    def _propose_and_make(self) -> str:
        if not self._after_training:
            return "the model could be quantised in no way"
        proposals = Proposals(
            tuple(self._after_training),
            (1.0, *self._cuts),
            seed=int(self._workshop.settings["seed"]) + len(self._workshop.made),
        )
        for file in self._workshop.made:
            proposals.know(file.variant, target=self._target(file), excess=self._excess(file))
        for variant in self._first():
            if self._enough():
                break
            if self._is_worth(variant) and (made := self._make(variant)):
                proposals.know(variant, target=self._target(made), excess=self._excess(made))
        idle = 0
        while idle < _MOST_IDLE:
            if reason := self._enough():
                return reason
            proposal = proposals.ask()
            known = self._workshop.knows(proposal.variant)
            made = self._make(proposal.variant) if self._is_worth(proposal.variant) else None
            idle = 0 if made else idle + 1
            if made:
                proposals.tell(proposal, target=self._target(made), excess=self._excess(made))
            else:
                proposals.pass_over(proposal, known=known)
        gain = "smaller" if self._budget.minimize == "bytes" else "quicker"
        return f"nothing else that was proposed is predicted to be {gain} and accurate enough"

    def _first(self) -> tuple[Variant, ...]:
        """What is looked at before any proposal: the whole model trained, and cuts by halves."""
        whole = Variant("int8", trained=True, distillation=0.5)
        fitting = [keep for keep, cut in self._cuts.items() if self._fits(cut.bytes, cut.latency_ms, _SLACK_TO_TRY)]
        mildest = fitting[:1] if fitting and fitting[0] != next(iter(self._cuts)) else []
        keeps = dict.fromkeys([*mildest, *(keep for keep in (0.5, 0.25) if keep in self._cuts)])
        return (whole, *(replace(whole, keep=keep) for keep in keeps))

    def _make(self, variant: Variant) -> Candidate | None:
        figures = self._predicted(variant)
        return self._workshop.make(variant, cut=self._cuts.get(variant.keep), predicted=figures)

    def _enough(self) -> str:
        """Why no more is to be made; empty while there is room."""
        trained = [file for file in self._workshop.made if file.variant.learns]
        if len(trained) >= self._max_files:
            return f"{len(trained)} files were trained, as many as asked for"
        if self._max_minutes is not None:
            usual = sorted(file.seconds for file in trained)[len(trained) // 2] if trained else 0.0
            if time.monotonic() - self._began + usual > 60 * self._max_minutes:
                return f"the next file would not be ready in {self._max_minutes:g} minutes"
        return ""

    def _is_worth(self, variant: Variant) -> bool:
        """Whether a file may be better than every one so far: predicted size and time, and what wider ones lost."""
        if self._workshop.knows(variant):
            return False
        figures = self._predicted(variant)
        if figures is None or not self._fits(*figures, _SLACK_TO_TRY):
            return False
        best = min((self._target(file) for file in self._workshop.made if file.within), default=math.inf)
        gain = _LEAST_GAIN[self._budget.minimize == "latency"]
        predicted = self._budget.target(size=figures[0], milliseconds=figures[1])
        return predicted <= best * (1 - gain) and not any(
            self._says_hopeless(file, variant) for file in self._workshop.made
        )

    def _says_hopeless(self, file: Candidate, variant: Variant) -> bool:
        """Whether a wider file of the same kind lost more accuracy than chance explains."""
        same = (file.variant.precision, file.variant.trained) == (variant.precision, variant.trained)
        if not same or not file.variant.learns or file.variant.keep < variant.keep:
            return False
        reference = self._workshop.reference_figures
        chance = math.sqrt(max(file.accuracy * (1 - file.accuracy), 0.01) / reference.examples)
        lost = reference.accuracy - file.accuracy - self._budget.max_accuracy_drop
        return lost > _MARGIN * chance

    def _predicted(self, variant: Variant) -> tuple[float, float] | None:
        """Bytes and milliseconds to expect: those of the whole file of that kind, times what the cut saves of int8."""
        file, whole = self._after_training.get(variant.precision), self._after_training.get("int8")
        if file is None:
            return None
        cut = self._cuts.get(variant.keep)
        if cut is None or whole is None:
            return float(file.bytes), file.latency_ms
        return file.bytes * cut.bytes / whole.bytes, file.latency_ms * cut.latency_ms / whole.latency_ms

    def _fits(self, size: float, milliseconds: float, slack: tuple[float, float]) -> bool:
        return self._budget.fits_size_and_speed(size=size, milliseconds=milliseconds, slack=slack)

    def _target(self, file: Candidate) -> float:
        return self._budget.target(size=file.bytes, milliseconds=file.latency_ms)

    def _excess(self, file: Candidate) -> float:
        over = self._budget.excess(file, float_accuracy=self._workshop.reference_figures.accuracy)
        # Something else may make a file unfit that keeps to every limit.
        return over if over or file.within else 1.0
