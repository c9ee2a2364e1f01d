"""Where a run's shipped file looked in the pictures that it answers wrongly, and whether that means anything."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from tfkit.errors import ModelError
from tfkit.reports.findings import Evaluation, mistakes

# Only for the type checker: these rooms load TensorFlow, and `tfkit --help` must not.
if TYPE_CHECKING:
    from tfkit.artifacts import ImageSpec, RunDirectory
    from tfkit.data import ImageExamples
    from tfkit.explaining import Faithfulness, HeatMapMethod

MOST_SHOWN = 12
_TOLD = {"shap": "SHAP", "lime": "LIME"}
_SECONDS = 30.0  # a large network on 512 pixels takes seconds a picture
_FOR, _AGAINST = np.array([230, 80, 0], np.float32), np.array([0, 110, 220], np.float32)
_STRENGTH = 0.7  # of the hottest place's colour over the picture


@dataclass(frozen=True, eq=False)
class HeatMap:
    """Where a file looked in one picture.

    Attributes:
        position: The picture's place in the evaluation split.
        answer: The class that the file gives it.
        heat: float32 (height, width): above zero what spoke for that class.
        told: How the file's score follows the heat map.
    """

    position: int
    answer: str
    heat: NDArray[np.float32]
    told: Faithfulness

    @property
    def followed(self) -> str:
        """How the score follows the heat map, in words."""
        low, high = self.told.random_insertion
        return f"insertion {self.told.insertion:.2f}, random {low:.2f} to {high:.2f}"


@dataclass(frozen=True, eq=False)
class HeatMaps:
    """Heat maps of a run's mistakes.

    Attributes:
        file: The file whose answers they explain.
        method: How they were made.
        maps: One for each picture.
        notes: What was not explained, and why.
    """

    file: str
    method: str
    maps: tuple[HeatMap, ...]
    notes: tuple[str, ...] = ()

    def of(self, position: int) -> HeatMap | None:
        """The heat map of the picture at a place of the evaluation split; None where there is none."""
        return next((one for one in self.maps if one.position == position), None)

    @property
    def summary(self) -> str:
        """A few words for the terminal."""
        if not self.maps:
            return "none"
        return f"{len(self.maps)} pictures by {self.method}; {self.meaningful} of them beat every random order"

    @property
    def meaningful(self) -> int:
        """How many beat every random order."""
        return sum(one.told.means_something for one in self.maps)


def map_mistakes(
    run: RunDirectory,
    model: object,
    evaluation: Evaluation,
    test: ImageExamples,
    image: ImageSpec,
    method: Literal["auto", "occlusion", "shap", "lime"] = "auto",
    *,
    seconds: float = _SECONDS,
    progress: Callable[[int, int, str], None] | None = None,
) -> HeatMaps:
    """Make heat maps of a classifier's most confident mistakes, for the answers of the file that ships.

    Args:
        run: The run, whose file that ships is explained; its scores judge the heat maps.
        model: The Keras model that the file was made from: its gradients are asked where it has feature maps.
        evaluation: The Keras model's answers on the evaluation split.
        test: The split.
        image: What the model takes.
        method: `auto` is Grad-CAM, or occlusion where a model has no feature maps; else as for
            `tfkit.explaining.heat_map`.
        seconds: When this time has passed no further picture is begun; a note tells how many were left.
        progress: Called with pictures done, pictures in all and what is being done.

    Returns:
        One for each of at most 12 mistakes.
    """
    import keras

    from tfkit.artifacts import best_artifact, read_manifest
    from tfkit.data import host_pixel_batches
    from tfkit.explaining import faithfulness, grad_cam, heat_map
    from tfkit.runtimes import open_runtime

    served = best_artifact(read_manifest(run.artifacts, compare=False))
    wrong = mistakes(evaluation)[:MOST_SHOWN]
    chosen = test.select(np.array([mistake.position for mistake in wrong], np.int64))
    found: list[HeatMap] = []
    notes: list[str] = []
    # The tfmot engine trains a tf-keras model, whose gradients are not asked.
    by_gradient = method == "auto" and isinstance(model, keras.Model)
    by_answers: HeatMapMethod = "occlusion" if method == "auto" else method
    began = time.perf_counter()
    with open_runtime(served) as runtime:
        pictures = (pixels[0] for pixels in host_pixel_batches(chosen, image, batch_size=1))
        for done, (mistake, pixels) in enumerate(zip(wrong, pictures, strict=True)):
            if found and time.perf_counter() - began > seconds:
                notes.append(f"{len(wrong) - done} more were not explained: {seconds:.0f} seconds were used up")
                break
            answer, heat = int(runtime.scores(pixels[None]).argmax()), None
            with contextlib.suppress(ModelError):
                heat = grad_cam(model, pixels, answer) if by_gradient else None
            if heat is None:
                by_gradient, heat = False, heat_map(runtime.scores, pixels, answer, method=by_answers)
            told = faithfulness(runtime.scores, pixels, heat, answer)
            found.append(HeatMap(mistake.position, evaluation.class_names[answer], heat, told))
            if progress is not None:
                progress(done + 1, len(wrong), f"picture {done + 1}/{len(wrong)}")
    told_method = "Grad-CAM" if by_gradient else _TOLD.get(by_answers, by_answers)
    return HeatMaps(served.path.name, told_method, tuple(found), tuple(notes))


def heated(pixels: np.ndarray, heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture in grey under its heat map: orange what spoke for the answer, blue what spoke against it.

    Args:
        pixels: uint8 (height, width, 1 or 3).
        heat: float32 (height, width).

    Example:
        >>> heated(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.float32)).shape
        (2, 2, 3)
    """
    grey = np.repeat(pixels.astype(np.float32).mean(axis=-1, keepdims=True), 3, axis=2)
    strength = _STRENGTH * heat / max(float(np.abs(heat).max()), 1e-12)
    colour = np.where(strength[..., None] >= 0, _FOR, _AGAINST)
    mixed = (1 - np.abs(strength[..., None])) * grey + np.abs(strength[..., None]) * colour
    return np.asarray(mixed.clip(0, 255), np.uint8)


def heat_document(maps: HeatMaps) -> dict[str, object]:
    """The heat maps' figures as plain values for report.json; the maps themselves stand in the page."""
    return {
        "file": maps.file,
        "method": maps.method,
        "notes": maps.notes,
        "pictures": [
            {
                "position": one.position,
                "answer": one.answer,
                "deletion": one.told.deletion,
                "insertion": one.told.insertion,
                "random_deletion": one.told.random_deletion,
                "random_insertion": one.told.random_insertion,
                "means_something": one.told.means_something,
            }
            for one in maps.maps
        ],
    }
