"""Make the candidates of a search one by one; what is made once is never made again."""

import shutil
import time
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from tfkit.artifacts import Artifact, Quantization, write_manifest
from tfkit.compression import QuantizationPolicy, quantize_aware
from tfkit.errors import ExportError, ModelError
from tfkit.models import load_model_file, save_model_file
from tfkit.reports.quantities import file_size, percent
from tfkit.runtimes import read_signature
from tfkit.search.budget import Budget
from tfkit.search.folder import Finish, SearchFolder
from tfkit.search.preparation import predict_cuts
from tfkit.search.proving import Prover, judged
from tfkit.search.result import (
    Candidate,
    Cut,
    Failed,
    FloatChoice,
    FloatLayer,
    LayerSensitivity,
    Reference,
    TestJudgement,
)
from tfkit.search.sensitivity import accuracy, choose_float_layers, measure_sensitivity
from tfkit.search.training import Classroom, Limit, some_images
from tfkit.search.variants import Variant
from tfkit.search.words import Stage, Stages, latency, points

_MOST_IMAGES_TO_CHOOSE = 2000


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
        self.sensitivity_images = min(sensitivity_images, len(classroom.splits.validation))
        self._prover = Prover(classroom, folder.path / "float_scores.npy")

    @property
    def settings(self) -> dict[str, str | int | float | bool]:
        """The settings of the training, by name."""
        return asdict(self._room.settings)

    @property
    def made(self) -> tuple[Candidate, ...]:
        """The finished files, in the order they were made."""
        return self._folder.state.candidates

    @property
    def failed(self) -> tuple[Failed, ...]:
        """What no file could be made of."""
        return self._folder.state.failed

    @property
    def finish(self) -> Finish | None:
        """Why the search ended; None while it has not."""
        return self._folder.state.finish

    @property
    def reference_figures(self) -> Reference:
        """What `reference` measured."""
        reference = self._folder.state.reference
        assert reference is not None, "the reference is measured before any candidate"
        return reference

    def end(self, finish: Finish) -> None:
        """Keep why no more files are made."""
        self._folder.keep(finish=finish)

    def knows(self, variant: Variant) -> bool:
        """Whether a file was made, or could not be made."""
        return self._folder.candidate(variant) is not None or any(one.variant == variant for one in self.failed)

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
            stage.result(f"{told[0]} of {kept.examples} images, {told[1]}, {told[2]}")
        return kept

    def sensitivity(self) -> tuple[LayerSensitivity, ...]:
        """What the rounding of each layer costs, measured on images that choose."""
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
        """Predictions for fewer channels, from the measured int8 file of the whole model."""
        with self._progress("Predict narrower models") as stage:
            kept = self._folder.state.cuts
            if kept is None:
                file = self._folder.path / whole.file
                kept = predict_cuts(self._room.teacher, whole, file, progress=stage.progress)
                self._folder.keep(cuts=kept)
            narrowest = f"down to {file_size(kept[-1].bytes)}, {latency(kept[-1].latency_ms)}" if kept else ""
            stage.result(narrowest or "no channel can be removed")
        return kept

    def make(
        self, variant: Variant, *, cut: Cut | None = None, predicted: tuple[float, float] | None = None
    ) -> Candidate | None:
        """A candidate: as it was found before, or made, proved and kept.

        Args:
            variant: How to make it.
            cut: What was predicted for its share of channels, when some go.
            predicted: Its bytes and milliseconds, as predicted; None for a file that nothing predicts.

        Returns:
            The candidate; None when no file can be made of it (`failed` says why).
        """
        if any(one.variant == variant for one in self.failed):
            return None
        with self._progress(variant.title[0].upper() + variant.title[1:]) as stage:
            if kept := self._folder.candidate(variant):
                stage.result(f"{self._told(kept)}; found before")
                return kept
            self._folder.clear(variant.name)
            try:
                candidate = self._proved(variant, cut, predicted, stage)
            except (ExportError, ModelError) as fault:
                self._folder.keep(failed=(*self.failed, Failed(variant, f"{fault}")))
                stage.result("no file could be made; the report says why")
                return None
            self._folder.keep(candidates=(*self.made, candidate))
            stage.result(self._told(candidate))
            return candidate

    def judge(self, candidate: Candidate) -> TestJudgement:
        """The chosen file on the test images; as it was found before, when it was."""
        with self._progress("Chosen file on the test images") as stage:
            tests = self._folder.state.tests
            found = next((one for one in tests if one.name == candidate.name), None)
            if found is None:
                artifact = self._artifact(candidate)
                looks = len(tests) + 1
                found = self._prover.judge(artifact, name=candidate.name, looks=looks, progress=stage.progress)
                self._folder.keep(tests=(*tests, found))
            stage.result(f"{percent(found.accuracy, decimals=2)} ({points(-found.drop)} points) of {found.examples}")
        return found

    def ship(self, candidate: Candidate) -> None:
        """Copy an accepted file to `artifacts/`, with the manifest and labels that an export writes."""
        folder = self._folder.path / "artifacts"
        folder.mkdir(exist_ok=True)
        for other in folder.glob("model_*.tflite"):
            other.unlink()
        path = folder / f"model_{_quantization(candidate.variant)}.tflite"
        shutil.copyfile(self._folder.path / candidate.file, path)
        write_manifest((self._artifact(candidate, path),), folder)

    def _artifact(self, candidate: Candidate, path: Path | None = None) -> Artifact:
        path = path or self._folder.path / candidate.file
        return Artifact(
            path=path,
            format="tflite",
            quantization=_quantization(candidate.variant),
            signature=read_signature(path),
            input=self._room.image,
            class_names=self._room.splits.class_names,
            made_by=candidate.made_by,
        )

    def _proved(
        self, variant: Variant, cut: Cut | None, predicted: tuple[float, float] | None, stage: Stage
    ) -> Candidate:
        began = time.perf_counter()
        reference = self.reference_figures
        base = self._base(variant, cut, stage)
        model, float_layers = self._quantized(variant, base, stage)
        proof = self._prover.prove(
            model,
            self._folder.candidates / f"{variant.name}.tflite",
            quantization=_quantization(variant),
            progress=stage.progress,
        )
        return judged(
            proof,
            budget=self._budget,
            float_accuracy=reference.accuracy,
            directory=self._folder.path,
            variant=variant,
            checkpoint=self._save(model, variant.name) if variant.learns else "",
            float_layers=float_layers,
            parameters=base.count_params(),
            predicted_bytes=None if predicted is None else round(predicted[0]),
            predicted_latency_ms=None if predicted is None else predicted[1],
            seconds=time.perf_counter() - began,
        )

    def _base(self, variant: Variant, cut: Cut | None, stage: Stage) -> keras.Model:
        """The float model that is quantised: the whole one, or one with fewer channels, trained on; made once."""
        if variant.keep >= 1:
            return self._room.teacher
        path = self._folder.candidates / f"{variant.base}.float.keras"
        if path.is_file():
            return load_model_file(path)
        limit: Limit = {"keep": variant.keep}
        if variant.widths == "ranked":
            assert cut is not None, "a ranked cut leaves as much as the even one that was predicted"
            quick = self._budget.minimize == "latency"
            limit = {"max_multiply_adds": cut.multiply_adds} if quick else {"max_parameters": cut.parameters}
        smaller = self._room.pruned(**limit, distillation=variant.distillation, progress=stage.progress)
        self._save(smaller, f"{variant.base}.float")
        return smaller

    def _quantized(
        self, variant: Variant, base: keras.Model, stage: Stage
    ) -> tuple[keras.Model, tuple[FloatLayer, ...]]:
        """The model that is exported, and the layers that it leaves in float."""
        plain = variant.precision in ("int8", "dynamic_int8") and not variant.trained
        if plain:  # the exporter calibrates and quantises it
            return base, ()
        choice = self._folder.state.float_choice if variant.precision == "selective" else None
        float_layers = choice.layers if choice else ()
        policy = self._policy(variant, base, skip=tuple(layer.name for layer in float_layers))
        if not variant.trained:
            return quantize_aware(base, self._room.calibration, policy=policy), float_layers
        trained = self._room.quantized(base, policy=policy, distillation=variant.distillation, progress=stage.progress)
        return trained, float_layers

    def _policy(self, variant: Variant, base: keras.Model, *, skip: tuple[str, ...]) -> QuantizationPolicy:
        if variant.precision == "int16x8":
            return QuantizationPolicy(activation_bits=16)
        if variant.precision == "int4":
            return QuantizationPolicy(weight_bits=4)
        if variant.precision == "mixed_int4":
            return QuantizationPolicy(weight_bits=4, eight_bit=self._sensitive_kernels(base))
        return QuantizationPolicy(skip=skip)

    def _sensitive_kernels(self, base: keras.Model) -> tuple[str, ...]:
        """The more sensitive half of the layers that a model holds, which keep weights of 8 bits."""
        names = {layer.name for layer in base.layers}
        ranked = sorted(self._folder.state.sensitivity or (), key=lambda layer: -layer.divergence)
        kernels = [name for unit in ranked for name in unit.layers if name in names]
        return tuple(kernels[: max(1, len(kernels) // 2)])

    def _told(self, candidate: Candidate) -> str:
        gained = points(candidate.accuracy - self.reference_figures.accuracy)
        figures = (file_size(candidate.bytes), latency(candidate.latency_ms))
        told = f"{percent(candidate.accuracy, decimals=2)} ({gained} points), {', '.join(figures)}"
        return f"{told}: within the budget" if candidate.within else told

    def _images(self, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        return some_images(self._room.splits.validation, self._room.image, count)

    def _save(self, model: keras.Model, name: str) -> str:
        path = self._folder.candidates / f"{name}.keras"
        save_model_file(model, path)
        return path.relative_to(self._folder.path).as_posix()


def _quantization(variant: Variant) -> Quantization:
    return "dynamic_int8" if variant.precision == "dynamic_int8" else "int8"
