"""Where a model looked in pictures: asked of any model, and written as pictures."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tfkit.errors import ModelError, RunError
from tfkit.explaining.methods import HeatMapMethod
from tfkit.operations.masks import files_in
from tfkit.operations.values import Heated, Prediction

_GAP = 4  # pixels between a picture and its heat map
_LEAST = 128  # pixels of a side: smaller pictures are enlarged


def heat_maps_of(
    told: Prediction,
    pictures: Iterable[NDArray[np.uint8]],
    scores: Callable[[NDArray[np.uint8]], NDArray[np.floating]],
    method: HeatMapMethod = "occlusion",
) -> Prediction:
    """Ask a model where it looked, by its answers alone.

    Args:
        told: What it said about the pictures.
        pictures: The same pictures, uint8 (height, width, channels) each, as it takes them.
        scores: The model, from uint8 (n, height, width, channels) to float32 (n, k).
        method: How heat maps are made; as for `tfkit.explaining.heat_map`.

    Returns:
        The same, with a heat map of each picture.

    Raises:
        ModelError: When it answers with numbers or masks.
    """
    if not told.asked.has_labels or not told.asked.answers_whole:
        answers = told.asked.targets.name
        raise ModelError(
            f"'{told.model}' answers with {answers}: heat maps are of classes and labels", hint="leave them out"
        )
    from tfkit.explaining import faithfulness, heat_map

    heated = []
    for pixels, row in zip(pictures, told.scores, strict=True):
        answer = int(row.argmax())
        heat = heat_map(scores, pixels, answer, method=method)
        judged = faithfulness(scores, pixels, heat, answer)
        heated.append(Heated(told.class_names[answer], pixels, heat, judged, method))
    return replace(told, heated=tuple(heated))


def write_heat_maps(told: Prediction, folder: Path) -> Prediction:
    """Write each picture beside its heat map as a PNG.

    Args:
        told: What a model said about pictures, with heat maps.
        folder: Where to write them, each under its picture's name; made when it is missing.

    Returns:
        The same, with the files.

    Raises:
        ModelError: When there are no heat maps: the model is one of texts.
        RunError: When a file is there already, or cannot be written.
    """
    if not told.heated:
        raise ModelError(f"'{told.model}' was not asked about pictures", hint="leave --heat-maps out")
    files = files_in(folder, told.inputs)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, one in zip(files, told.heated, strict=True):
            with file.open("xb") as written:
                Image.fromarray(_beside(one)).save(written, format="PNG", optimize=True)
    except FileExistsError as fault:
        raise RunError(f"'{fault.filename}' exists already", hint="name another folder: --heat-maps") from None
    except OSError as fault:
        raise RunError(f"cannot write heat maps to '{folder}': {fault.strerror}", hint="name another folder") from None
    shown = (replace(one, file=str(file)) for one, file in zip(told.heated, files, strict=True))
    return replace(told, heated=tuple(shown))


def _beside(one: Heated) -> NDArray[np.uint8]:
    from tfkit.reports.heat_maps import heated

    plain = np.repeat(one.pixels, 3, axis=2) if one.pixels.shape[-1] == 1 else one.pixels
    factor = max(1, round(_LEAST / min(plain.shape[:2])))
    tiles = [tile.repeat(factor, axis=0).repeat(factor, axis=1) for tile in (plain, heated(one.pixels, one.heat))]
    gap = np.full((tiles[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.concatenate([tiles[0], gap, tiles[1]], axis=1)
