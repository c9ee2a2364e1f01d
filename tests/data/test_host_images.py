"""Pillow and numpy give the pixels that the exported models' own decoding gives, or say that they may not."""

import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfkit.artifacts import ImageSpec
from tfkit.data import ImageDecoder, decode_image, decode_on_host, fit_image, fit_on_host, picture_pixels
from tfkit.errors import DataError

JPEG_WAYS = [
    {"quality": 90},
    {"quality": 60, "subsampling": "4:2:0"},
    {"quality": 75, "subsampling": "4:2:2"},
    {"quality": 100, "subsampling": "4:4:4"},
    {"quality": 80, "progressive": True},
    {"quality": 80, "optimize": True, "restart_marker_rows": 1},
]
SIZES = [(24, 32), (1, 1), (7, 300), (133, 57)]


def _same(content: bytes) -> None:
    for channels in (1, 3):
        found = decode_on_host(content, channels=channels)
        assert found is not None
        np.testing.assert_array_equal(found, decode_image(tf.constant(content), channels=channels).numpy())


@pytest.mark.parametrize("options", JPEG_WAYS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_jpegs_of_every_sampling_are_the_same(photo, encode, options, size) -> None:
    _same(encode(photo(1, height=size[0], width=size[1]), "JPEG", **options))


def test_grey_jpegs_are_the_same(photo, encode) -> None:
    _same(encode(photo(2, height=40).convert("L"), "JPEG", quality=85))


def test_jpegs_in_inks_are_left_to_tensorflow(photo, encode) -> None:
    assert decode_on_host(encode(photo(2).convert("CMYK"), "JPEG"), channels=3) is None


@pytest.mark.parametrize("orientation", range(10))
def test_orientation_is_obeyed_alike(photo, encode, orientation) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "tfkit", orientation
    _same(encode(photo(3), "JPEG", exif=exif.tobytes()))


def test_odd_exif_is_read_alike(photo, encode) -> None:
    """Every byte of the block changed, one after another, and the file cut within it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encode(photo(4, height=8, width=12), "JPEG", exif=exif.tobytes())
    start = content.index(b"Exif") - 4
    rng = np.random.default_rng(0)
    for place in range(start, start + 40):
        for value in {*rng.integers(0, 256, 3).tolist(), 0, 255}:
            changed = content[:place] + bytes([value]) + content[place + 1 :]
            found = decode_on_host(changed, channels=3)
            if found is not None:
                np.testing.assert_array_equal(found, decode_image(tf.constant(changed), channels=3).numpy())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("transparency", [None, 3])
def test_pngs_of_every_kind_are_the_same(photo, encode, mode, transparency) -> None:
    picture = photo(5, height=37).convert(mode)
    if mode in ("LA", "RGBA"):
        picture.putalpha(photo(6, height=37).convert("L"))
    _same(encode(picture, "PNG", **({"transparency": transparency} if transparency and mode in ("L", "P") else {})))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_pngs_of_few_bits_are_the_same(photo, encode, bits) -> None:
    _same(encode(photo(7).quantize(2**bits), "PNG", bits=bits))
    grey = np.random.default_rng(bits).integers(0, 2**bits, (9, 16)).astype(np.uint8)
    _same(_png(grey, bits=bits, colour=0))


@pytest.mark.parametrize(("colour", "samples"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_pngs_of_16_bits_are_the_same(colour, samples) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (9, 16 * samples)).astype(">u2")
    _same(_png(values.view(np.uint8).reshape(9, -1), bits=16, colour=colour))


def _png(rows: np.ndarray, *, bits: int, colour: int) -> bytes:
    """A PNG 16 pixels wide with the samples in `rows`: bytes, or numbers of less than 8 bits."""
    if bits < 8:
        each = 8 // bits
        shifts = np.arange(8 - bits, -1, -bits)
        rows = (rows.reshape(len(rows), -1, each) << shifts).sum(axis=2).astype(np.uint8)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 16, len(rows), bits, colour, 0, 0, 0)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.slow
def test_every_colour_becomes_the_same_grey() -> None:
    values = np.arange(256, dtype=np.uint8)
    for red in range(0, 256, 8):
        colours = np.stack(np.meshgrid(values[red : red + 8], values, values, indexing="ij"), axis=-1)
        colours = colours.reshape(2048, 256, 3)
        stream = io.BytesIO()
        Image.fromarray(colours).save(stream, "PNG", compress_level=0)
        _same(stream.getvalue())


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_all_sizes_are_fitted_alike(resize, channels) -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        height, width, *target = (int(number) for number in np.exp(rng.uniform(0, 6, 4)))
        pixels = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
        image = ImageSpec(*(max(side, 1) for side in target), channels=channels, resize=resize)
        np.testing.assert_array_equal(
            fit_on_host(pixels, image), fit_image(tf.constant(pixels), image).numpy(), err_msg=f"{pixels.shape} {image}"
        )


@pytest.mark.parametrize("file_format", ["BMP", "GIF", "WEBP"])
def test_other_formats_are_left_to_tensorflow(photo, encode, file_format) -> None:
    content = encode(photo(8), file_format)
    image = ImageSpec(height=10, width=12)
    assert decode_on_host(content, channels=3) is None
    expected = fit_image(decode_image(tf.constant(content), channels=3), image).numpy()
    np.testing.assert_array_equal(picture_pixels(content, image), expected)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_damaged_files_are_refused_or_read_alike(photo, encode, file_format) -> None:
    content = encode(photo(9, height=60, width=80), file_format)
    rng = np.random.default_rng(1)
    image = ImageSpec(height=10, width=12)
    decoder = ImageDecoder(channels=3)
    for number in range(60):
        place, value = int(rng.integers(4, len(content))), int(rng.integers(256))
        damaged = content[:place] if number % 3 == 0 else content[:place] + bytes([value]) + content[place + 1 :]
        if decoder.fault(damaged) or decoder.warning(damaged):
            assert decode_on_host(damaged, channels=3) is None
            with pytest.raises(DataError):
                picture_pixels(damaged, image)
        else:
            expected = fit_image(decode_image(tf.constant(damaged), channels=3), image).numpy()
            np.testing.assert_array_equal(picture_pixels(damaged, image), expected)


def test_tensorflow_is_not_started_for_a_photo(photo: Callable[..., Image.Image], tmp_path: Path) -> None:
    photo(10).save(tmp_path / "photo.jpg")
    code = (
        "import sys; from pathlib import Path;"
        "from tfkit.artifacts import ImageSpec; from tfkit.data import picture_pixels;"
        "picture_pixels(Path(sys.argv[1]).read_bytes(), ImageSpec(8, 8)); sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "photo.jpg"], check=False).returncode == 0


@pytest.mark.real_data
def test_real_photos_are_the_same() -> None:
    photos = sorted(
        path
        for path in Path(os.environ["TFKIT_REAL_DATA"]).rglob("*")
        if path.suffix.lower() in (".jpg", ".jpeg", ".png")
    )
    assert photos
    image = ImageSpec(height=224, width=224)
    for photo in photos[:: max(len(photos) // 300, 1)]:
        content = photo.read_bytes()
        expected = fit_image(decode_image(tf.constant(content), channels=3), image).numpy()
        _same(content)
        np.testing.assert_array_equal(picture_pixels(content, image), expected, err_msg=str(photo))
