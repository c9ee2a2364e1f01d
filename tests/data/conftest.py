"""Small real image files and data sets, written anew for each test."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def _photo(seed: int, *, height: int = 24, width: int = 32) -> Image.Image:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def photo() -> Callable[..., Image.Image]:
    """Draws a smooth colour picture that no other seed gives: photo(seed, height=24, width=32)."""
    return _photo


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """Encodes a picture: encode(picture, "JPEG", quality=90)."""

    def encoded(picture: Image.Image, file_format: str, **options: object) -> bytes:
        stream = io.BytesIO()
        picture.save(stream, file_format, **options)
        return stream.getvalue()

    return encoded


@pytest.fixture
def image_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes {"train/ants": 5, ...} as different JPEG files below a fresh folder and gives the folder."""

    def save(counts: dict[str, int], *, root: str = "images") -> Path:
        folder = tmp_path / root
        for number, (place, count) in enumerate(counts.items()):
            (folder / place).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                _photo(1000 * number + index).save(folder / place / f"{index:03}.jpg", quality=90)
        return folder

    return save
