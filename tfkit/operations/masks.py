"""What a segmenter answered, as mask files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from tfkit.errors import ModelError, RunError
from tfkit.operations.values import Prediction
from tfkit.reports.overlays import class_colours
from tfkit.tasks import PLAIN, task_named


def write_masks(told: Prediction, folder: Path) -> Prediction:
    """Write the mask of each picture as a PNG: its values are positions of classes, its palette has their colours.

    A mask has the size that the model takes, as the picture was fitted to it.

    Args:
        told: What a segmenter said about pictures.
        folder: Where to write them, each under its picture's name; made when it is missing.

    Returns:
        The same, with the masks' files.

    Raises:
        ModelError: When the model gives no masks.
        RunError: When a file is there already, or cannot be written.

    Example:
        >>> told = write_masks(tfkit.predict("runs/streets", "street.jpg"), Path("masks"))  # doctest: +SKIP
        >>> told.masks  # doctest: +SKIP
        ('masks/street.png',)
    """
    if not told.asked.answers_pixels:
        raise ModelError(f"'{told.model}' gives no masks: it is no segmenter", hint="leave --masks out")
    answers = task_named(told.task).given(told.scores, PLAIN)
    files = files_in(folder, told.inputs)
    palette = class_colours(len(told.class_names)).ravel().tolist()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, mask in zip(files, answers, strict=True):
            picture = Image.fromarray(np.asarray(mask, np.uint8), mode="P")
            picture.putpalette(palette)
            with file.open("xb") as written:
                picture.save(written, format="PNG", optimize=True)
    except FileExistsError as fault:
        raise RunError(f"'{fault.filename}' exists already", hint="name another folder: --masks") from None
    except OSError as fault:
        raise RunError(f"cannot write masks to '{folder}': {fault.strerror}", hint="name another folder") from None
    return replace(told, masks=tuple(map(str, files)))


def files_in(folder: Path, pictures: tuple[str, ...]) -> list[Path]:
    """A PNG file in a folder for each picture; of several of one name the later ones get a number.

    Args:
        folder: The folder.
        pictures: The pictures' files.

    Example:
        >>> [file.name for file in files_in(Path("masks"), ("a/one.jpg", "b/one.png"))]
        ['one.png', 'one_2.png']
    """
    taken: dict[str, int] = {}
    files = []
    for picture in pictures:
        stem = Path(picture).stem
        taken[stem] = number = taken.get(stem, 0) + 1
        files.append(folder / (f"{stem}.png" if number == 1 else f"{stem}_{number}.png"))
    return files
