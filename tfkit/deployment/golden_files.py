"""A run's golden samples as programs on devices read them: raw numbers, pictures, and texts with their token ids.

Every file is little-endian and has no header; how many samples there are, and their shapes, stand in `model.json` and
in the constants of each sample program.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tfkit.artifacts import Artifact, ImageSpec, RunDirectory, TextSpec
from tfkit.deployment.golden_texts import golden_texts
from tfkit.deployment.tolerances import same_runtime
from tfkit.errors import ExportError
from tfkit.files import write_whole
from tfkit.tasks import task_named

_ODD_SIZES = {"wide": (50, 97, 3), "tall": (131, 37, 3), "small": (9, 11, 3), "grey": (40, 33)}
_TURNED = (3, 5, 6)  # EXIF orientations: half a turn, mirrored on its side, on its side


@dataclass(frozen=True)
class GoldenSamples:
    """Inputs of a file and what it answered when it was proved.

    Attributes:
        inputs: By name, n rows each: `pixels` uint8, or `token_ids` and `padding_mask` int32.
        expected: float32 (n, scores).
        pictures: The encoded pictures, for a model of pictures.
        texts: The texts, for a model of texts.
    """

    inputs: Mapping[str, NDArray[np.generic]]
    expected: NDArray[np.float32]
    pictures: tuple[Path, ...] = ()
    texts: tuple[str, ...] = ()


def golden_samples(run: RunDirectory, served: Artifact) -> GoldenSamples:
    """Read a run's golden samples for one of its files, and have the file answer them again.

    Args:
        run: The run.
        served: The file.

    Returns:
        The samples.

    Raises:
        ExportError: When they have changed or are none of this file's, or the file answers otherwise.

    Example:
        >>> golden_samples(RunDirectory(Path("runs/digits")), served).expected.shape  # doctest: +SKIP
        (8, 10)
    """
    described = run.golden / "golden.json"
    if not described.is_file():
        raise ExportError(f"'{run.golden}' holds no golden samples", hint="run the recipe again")
    run.vouches_for(described)
    said = json.loads(described.read_text(encoding="utf-8"))
    entry = next((one for one in said["artifacts"] if one["file"] == served.path.name), None)
    if entry is None:
        raise ExportError(f"'{run.golden}' holds no answers of '{served.path.name}'", hint="run the recipe again")
    pictures = tuple(run.golden / one["file"] for one in said.get("images", ()))
    files = [run.golden / said["inputs"], run.golden / entry["expected"], *pictures]
    run.vouches_for(*files)
    with np.load(files[0]) as arrays:
        inputs = {name: arrays[name] for name in arrays.files if name != "labels"}
    with np.load(files[1]) as arrays:
        expected = np.asarray(arrays[task_named(served.task).output], np.float32)
    samples = GoldenSamples(inputs, expected, pictures, tuple(one["text"] for one in said.get("texts", ())))
    _refuse_other_answers(served, samples)
    return samples


def _refuse_other_answers(served: Artifact, samples: GoldenSamples) -> None:
    from tfkit.runtimes import open_runtime

    given = samples.inputs["pixels"] if samples.pictures else dict(samples.inputs)
    with open_runtime(served) as runtime:
        apart = float(np.abs(runtime.scores(given) - samples.expected).max())
    if not apart <= same_runtime(samples.expected):
        raise ExportError(
            f"'{served.path}' answers its golden samples otherwise than in the run's proof: {apart:.3g} apart",
            hint="run the recipe again on this machine",
        )


def write_golden_files(folder: Path, served: Artifact, samples: GoldenSamples) -> None:
    """Write `golden/`: `expected.bin` (float32), an array for each input, and what checks the way before the model.

    Of pictures that is `pictures.tsv`: encoded pictures of many shapes, JPEG turned by EXIF among them, and the pixels
    that a model is fed with. Of texts it is `texts.tsv`: texts that break tokenisers, as UTF-8 in hex, and their token
    ids.

    Args:
        folder: The bundle's folder.
        served: The file.
        samples: Its golden samples.
    """
    golden = folder / "golden"
    golden.mkdir()
    (golden / "expected.bin").write_bytes(samples.expected.astype("<f4").tobytes())
    for name, values in samples.inputs.items():
        (golden / f"{name}.bin").write_bytes(values.astype(values.dtype.newbyteorder("<")).tobytes())
    if isinstance(served.input, ImageSpec):
        _write_pictures(golden, served.input, samples)
    elif isinstance(served.input, TextSpec):
        _write_texts(golden, served.input, samples)


def _write_pictures(golden: Path, image: ImageSpec, samples: GoldenSamples) -> None:
    from tfkit.data import picture_pixels

    for picture in samples.pictures:
        shutil.copyfile(picture, golden / picture.name)
    made = _odd_pictures(golden, image)
    rows = []
    for file in (*(golden / picture.name for picture in samples.pictures), *made):
        pixels = file.with_name(f"{file.name}.pixels")
        pixels.write_bytes(picture_pixels(file.read_bytes(), image).tobytes())
        rows.append(f"{file.name}\t{pixels.name}\n")
    write_whole(golden / "pictures.tsv", "".join(rows))


def _odd_pictures(golden: Path, image: ImageSpec) -> list[Path]:
    """Noise of odd sizes, where every pixel counts, and smooth pictures larger than the model's, turned by EXIF."""
    random, made = np.random.default_rng(0), []
    for name, shape in _ODD_SIZES.items():
        made.append(golden / f"odd_{name}.png")
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(made[-1])
    height, width = int(1.4 * image.height) + 3, int(1.9 * image.width) + 5
    slope = np.add.outer(np.arange(height) * (160 / height), np.arange(width) * (90 / width))
    smooth = np.stack([slope, 255 - slope, slope / 2], axis=-1).astype(np.uint8)
    made.append(golden / "odd_large.png")
    Image.fromarray(smooth).save(made[-1])
    for orientation in _TURNED:
        made.append(golden / f"odd_turned_{orientation}.jpg")
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(smooth).save(made[-1], quality=95, exif=exif)
    return made


def _write_texts(golden: Path, text: TextSpec, samples: GoldenSamples) -> None:
    rows = [f"{one.encode().hex()}\t{' '.join(map(str, ids))}\n" for one, ids in tokenized_texts(text, samples)]
    write_whole(golden / "texts.tsv", "".join(rows))


def tokenized_texts(text: TextSpec, samples: GoldenSamples) -> list[tuple[str, list[int]]]:
    """Texts that break tokenisers, the run's own first, with the token ids that training gives them.

    Args:
        text: What the file takes.
        samples: The golden samples.

    Returns:
        Each text with its ids, start and end included, without padding.
    """
    from tfkit.data.text import open_tokenizer

    texts = [*samples.texts, *golden_texts(text.sequence_length)]
    encoded = open_tokenizer(text.tokenizer)(texts, sequence_length=text.sequence_length)
    rows = zip(texts, encoded["token_ids"], encoded["padding_mask"], strict=True)
    return [(one, ids[: mask.sum()].tolist()) for one, ids, mask in rows]
