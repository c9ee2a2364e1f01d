"""Make the candidates of a search one by one; what is made once is never made again."""

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import Artifact, write_manifest
from tfkit.compression import QuantizationPolicy, quantize_aware
from tfkit.errors import ExportError
from tfkit.models import save_model_file
from tfkit.reports.quantities import file_size, percent
from tfkit.runtimes import read_signature
from tfkit.search.budget import Budget
from tfkit.search.cuts import predict_cuts, refuse_unreachable
from tfkit.search.folder import SearchFolder
from tfkit.search.progress import Stage, Stages
from tfkit.search.proving import Prover, judged
from tfkit.search.result import (
    RUNG_TITLES,
    Candidate,
    Cut,
    FloatChoice,
    LayerSensitivity,
    Reference,
    Rung,
    SkippedRung,
)
from tfkit.search.sensitivity import accuracy, choose_float_layers, measure_sensitivity
from tfkit.search.training import Classroom, some_images
from tfkit.search.words import latency, points

_MOST_IMAGES_TO_CHOOSE = 2000
# A model built for one candidate, and the fields of `Candidate` that only its builder knows.
_Built = tuple[keras.Model, dict[str, Any]]


class Workshop:
    """Everything a search measures and makes, each thing once.

    Args:
        classroom: The float model, its images, and how to train.
        folder: Where it is kept.
        budget: What each candidate is held against.
        sensitivity_images: How many images each layer's rounding is measured on.
        progress: Opens a stage for each step.
    """

    def __init__(
        self, classroom: Classroom, folder: SearchFolder, budget: Budget, *, sensitivity_images: int, progress: Stages
    ) -> None:
        self._room, self._folder, self._budget, self._progress = classroom, folder, budget, progress
        # What chooses must not be what judges; without validation images the training images choose.
        self._choosing = classroom.splits.validation if len(classroom.splits.validation) else classroom.splits.train
        self.sensitivity_images = min(sensitivity_images, len(self._choosing))
        self._prover = Prover(classroom, folder.path / "float_scores.npy")

    @property
    def settings(self) -> dict[str, str | int | float | bool]:
        """The settings of the training, by name."""
        return asdict(self._room.settings)

    @property
    def failed(self) -> tuple[SkippedRung, ...]:
        """What no file could be made of."""
        return self._folder.state.failed

    def reference(self) -> Reference:
        """The float model's figures, and those of its float32 file."""
        with self._progress("Float model") as stage:
            kept = self._folder.state.reference
            if kept is None:
                self._folder.clear("float32")
                path = self._folder.candidates / "float32.tflite"
                proof = self._prover.prove(self._room.teacher, path, quantization="none", progress=stage.progress)
                kept = Reference(
                    accuracy=accuracy(self._prover.scores, self._prover.examples.labels),
                    examples=len(self._prover.examples),
                    parameters=self._room.teacher.count_params(),
                    bytes=proof.artifact.bytes,
                    latency_ms=proof.latency.latency_ms_p50,
                )
                self._folder.keep(reference=kept)
            told = (percent(kept.accuracy, decimals=2), file_size(kept.bytes), latency(kept.latency_ms))
            stage.result(f"{told[0]} of {kept.examples} test images, {told[1]}, {told[2]}")
        return kept

    def sensitivity(self) -> tuple[LayerSensitivity, ...]:
        """What the rounding of each layer costs, measured on validation images."""
        with self._progress("Sensitivity of each layer") as stage:
            kept = self._folder.state.sensitivity
            if kept is None:
                pixels, labels = self._images(self.sensitivity_images)
                kept = measure_sensitivity(
                    self._room.teacher, pixels, labels, calibration=self._room.calibration, progress=stage.progress
                )
                self._folder.keep(sensitivity=kept)
            if kept:
                worst = max(kept, key=lambda layer: layer.divergence)
                stage.result(f"{len(kept)} layers; the most sensitive is {worst.name}")
        return kept

    def float_choice(self) -> FloatChoice:
        """Which layers must stay in float, chosen on validation images."""
        with self._progress("Choose layers for float") as stage:
            kept = self._folder.state.float_choice
            if kept is None:
                pixels, labels = self._images(_MOST_IMAGES_TO_CHOOSE)
                kept = choose_float_layers(
                    self._room.teacher,
                    self._folder.state.sensitivity or (),
                    pixels,
                    labels,
                    calibration=self._room.calibration,
                    max_drop=self._budget.max_accuracy_drop,
                    progress=stage.progress,
                )
                self._folder.keep(float_choice=kept)
            stage.result(f"{len(kept.layers)} on the validation images" if kept.layers else "half of them do not help")
        return kept

    def cuts(self, whole: Candidate) -> tuple[Cut, ...]:
        """Predictions for fewer channels, from the measured file of the whole model.

        Raises:
            UnreachableBudgetError: When even the narrowest model is predicted to miss the budget by far.
        """
        with self._progress("Predict narrower models") as stage:
            kept = self._folder.state.cuts
            if kept is None:
                file = self._folder.path / whole.file
                kept = predict_cuts(self._room.teacher, whole, file, progress=stage.progress)
                self._folder.keep(cuts=kept)
            refuse_unreachable(self._budget, kept, whole)
            stage.result(f"down to {file_size(kept[-1].bytes)}, {latency(kept[-1].latency_ms)}" if kept else "")
        return kept

    def post_training(self) -> Candidate | None:
        """The float model, quantised with calibration images only."""
        return self._made("post_training", "post_training", lambda stage: (self._room.teacher, {}))

    def selective(self, choice: FloatChoice) -> Candidate | None:
        """The same with some layers left in float."""

        def build(stage: Stage) -> _Built:
            policy = QuantizationPolicy(skip=tuple(layer.name for layer in choice.layers))
            model = quantize_aware(self._room.teacher, self._room.calibration, policy=policy)
            return model, {"float_layers": choice.layers}

        return self._made("selective", "selective", build, title=f"int8 with {len(choice.layers)} layers in float")

    def quantization_aware(self) -> Candidate | None:
        """The whole model, trained quantisation-aware."""

        def build(stage: Stage) -> _Built:
            model = self._room.quantized(self._room.teacher, progress=stage.progress)
            return model, {"checkpoint": self._save(model, "qat")}

        return self._made("qat", "qat", build)

    def narrower(self, cut: Cut) -> Candidate | None:
        """The model with fewer channels, trained in float and then quantisation-aware."""
        name = f"channels_{100 * cut.keep:g}".replace(".", "_")

        def build(stage: Stage) -> _Built:
            smaller = self._room.pruned(cut.keep, progress=stage.progress)
            self._save(smaller, f"{name}.float")
            model = self._room.quantized(smaller, progress=stage.progress)
            return model, {
                "checkpoint": self._save(model, name),
                "parameters": smaller.count_params(),
                "cut": cut,
            }

        width = "Narrowest widths" if cut.keep < 0.1 else f"{100 * cut.keep:g} % of the channels"
        return self._made(name, "channels", build, title=f"{width} + QAT")

    def ship(self, candidate: Candidate) -> None:
        """Copy an accepted file to `artifacts/`, with the manifest and labels that an export writes."""
        folder = self._folder.path / "artifacts"
        folder.mkdir(exist_ok=True)
        path = folder / "model_int8.tflite"
        shutil.copyfile(self._folder.path / candidate.file, path)
        artifact = Artifact(
            path=path,
            format="tflite",
            quantization="int8",
            signature=read_signature(path),
            input=self._room.image,
            class_names=self._room.splits.class_names,
            made_by=candidate.made_by,
        )
        write_manifest((artifact,), folder)

    def _made(
        self, name: str, rung: Rung, build: Callable[[Stage], _Built], *, title: str | None = None
    ) -> Candidate | None:
        """A candidate: as it was found before, or built, proved and kept; None when no file can be made of it."""
        title = title or RUNG_TITLES[rung]
        failure = f"{title}: no file could be made: "
        if any(failed.reason.startswith(failure) for failed in self._folder.state.failed):
            return None
        with self._progress(title) as stage:
            if kept := self._folder.candidate(name):
                stage.result(f"{self._told(kept)}; found before")
                return kept
            self._folder.clear(name)
            try:
                candidate = self._proved(name, rung, title, build, stage)
            except ExportError as fault:
                self._folder.keep(failed=(*self._folder.state.failed, SkippedRung(rung, f"{failure}{fault}")))
                stage.result("no file could be made; the report says why")
                return None
            self._folder.keep(candidates=(*self._folder.state.candidates, candidate))
            stage.result(self._told(candidate))
            return candidate

    def _proved(self, name: str, rung: Rung, title: str, build: Callable[[Stage], _Built], stage: Stage) -> Candidate:
        began = time.perf_counter()
        reference = self._known_reference()
        model, known = build(stage)
        proof = self._prover.prove(model, self._folder.candidates / f"{name}.tflite", progress=stage.progress)
        usual = {"checkpoint": "", "float_layers": (), "parameters": reference.parameters, "cut": None}
        return judged(
            proof,
            budget=self._budget,
            float_accuracy=reference.accuracy,
            directory=self._folder.path,
            name=name,
            rung=rung,
            title=title,
            seconds=time.perf_counter() - began,
            **usual | known,
        )

    def _told(self, candidate: Candidate) -> str:
        gained = points(candidate.accuracy - self._known_reference().accuracy)
        figures = (file_size(candidate.bytes), latency(candidate.latency_ms))
        told = f"{percent(candidate.accuracy, decimals=2)} ({gained} points), {', '.join(figures)}"
        return f"{told}: within the budget" if candidate.accepted else told

    def _known_reference(self) -> Reference:
        reference = self._folder.state.reference
        assert reference is not None, "the reference is measured before any candidate"
        return reference

    def _images(self, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        return some_images(self._choosing, self._room.image, count)

    def _save(self, model: keras.Model, name: str) -> str:
        path = self._folder.candidates / f"{name}.keras"
        save_model_file(model, path)
        return path.relative_to(self._folder.path).as_posix()
