import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from tfkit.data import decode_image
from tfkit.data.images import decode_in_process

_LOSSLESS = {"PNG": {}, "BMP": {}, "WEBP": {"lossless": True}}


def _decoded(content: bytes, channels: int = 3) -> np.ndarray:
    """What is exported with a model; the same as pipelines give from their smaller graph."""
    pixels = decode_image(tf.constant(content), channels=channels).numpy()
    batches = tf.data.Dataset.from_tensors(content).map(lambda one: decode_in_process(one, channels=channels))
    np.testing.assert_array_equal(next(batches.as_numpy_iterator()), pixels)
    return pixels


def _with_exif(jpeg: bytes, tiff: bytes) -> bytes:
    """Put an APP1 segment with a TIFF block behind the segments that are there already (JFIF)."""
    end_of_jfif = 4 + struct.unpack(">H", jpeg[4:6])[0]
    body = b"Exif\0\0" + tiff
    return jpeg[:end_of_jfif] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[end_of_jfif:]


def _tiff(orientation: int, order: str) -> bytes:
    """A TIFF block whose directory holds the camera's model before the orientation."""
    mark = b"MM" if order == ">" else b"II"
    make = struct.pack(order + "HHI4s", 0x0110, 2, 4, b"tfk\0")
    turn = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(order + "HIH", 42, 8, 2) + make + turn + struct.pack(order + "I", 0)


@pytest.mark.parametrize("file_format", _LOSSLESS)
def test_lossless_formats_decode_to_the_very_pixels(photo, encode, file_format):
    picture = photo(1)
    content = encode(picture, file_format, **_LOSSLESS[file_format])
    np.testing.assert_array_equal(_decoded(content), np.asarray(picture))


def test_jpeg_decodes_to_the_pixels_that_pillow_gives(photo, encode):
    content = encode(photo(2), "JPEG", quality=90)
    np.testing.assert_array_equal(_decoded(content), np.asarray(Image.open(io.BytesIO(content))))


def test_gif_gives_its_first_frame(photo, encode):
    first = photo(3).quantize(64)
    content = encode(first, "GIF", save_all=True, append_images=[photo(4).quantize(64)])
    np.testing.assert_array_equal(_decoded(content), np.asarray(first.convert("RGB")))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "BMP", "GIF", "WEBP"])
def test_every_format_gives_one_channel_when_grey_is_asked(photo, encode, file_format):
    content = encode(photo(5), file_format)
    grey = _decoded(content, channels=1)
    assert grey.shape == (24, 32, 1)
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("L")).astype(int)
    assert np.abs(grey[..., 0] - expected).max() <= 3


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "JPEG"])
def test_grey_files_keep_their_values(photo, encode, file_format):
    content = encode(photo(6).convert("L"), file_format, **({"quality": 100} if file_format == "JPEG" else {}))
    expected = np.asarray(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(_decoded(content, channels=1)[..., 0], expected)
    np.testing.assert_array_equal(_decoded(content)[..., 2], expected)


def test_alpha_is_dropped(photo, encode):
    picture = photo(7)
    picture_with_alpha = picture.copy()
    picture_with_alpha.putalpha(128)
    np.testing.assert_array_equal(_decoded(encode(picture_with_alpha, "PNG")), np.asarray(picture))


def test_16_bit_png_keeps_its_upper_bits(encode):
    values = np.linspace(0, 65535, 12 * 16).reshape(12, 16).astype(np.uint16)
    content = encode(Image.fromarray(values), "PNG")
    np.testing.assert_array_equal(_decoded(content, channels=1)[..., 0], (values >> 8).astype(np.uint8))


def test_cmyk_jpeg_becomes_rgb(photo, encode):
    picture = photo(8)
    content = encode(picture.convert("CMYK"), "JPEG", quality=95)
    assert np.abs(_decoded(content).astype(int) - np.asarray(picture)).mean() < 4


def test_bmp_with_a_palette_gets_its_colours(photo, encode):
    picture = photo(9).quantize(40)
    np.testing.assert_array_equal(_decoded(encode(picture, "BMP")), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_sets_the_picture_upright(photo, encode, orientation, order):
    content = _with_exif(encode(photo(10), "JPEG", quality=95), _tiff(orientation, order))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(_decoded(content), np.asarray(upright))


def test_exif_that_a_camera_library_wrote_is_read(photo, encode):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "tfkit", 6
    assert _decoded(encode(photo(11), "JPEG", exif=exif.tobytes())).shape == (32, 24, 3)


@pytest.mark.parametrize(
    "tiff",
    [
        b"",
        b"MM",
        b"II*\0\xff\xff\xff\x7f",
        b"II*\0\xff\xff\xff\xff" + b"\0" * 20,
        _tiff(9, ">"),
        _tiff(0, "<"),
        _tiff(6, ">")[:20],
        b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01",
    ],
)
def test_odd_exif_leaves_the_picture_as_it_is(photo, encode, tiff):
    content = _with_exif(encode(photo(12), "JPEG"), tiff)
    assert _decoded(content).shape == (24, 32, 3)


@pytest.mark.parametrize(
    "content", [b"", b"not an image", b"BM", b"RIFF", b"\xff\xd8\xff", b"\xff\xd8\xff\xe1\xff\xffExif"]
)
def test_what_is_no_image_is_refused(content):
    with pytest.raises(tf.errors.InvalidArgumentError):
        _decoded(content)


def test_a_truncated_jpeg_is_refused(photo, encode):
    content = encode(photo(13, height=200, width=200), "JPEG")
    with pytest.raises(tf.errors.InvalidArgumentError):
        _decoded(content[: len(content) // 2])


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 80}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("frames", [1, 3])
def test_webp_with_alpha_or_frames_gives_the_colours_of_the_first(photo, encode, mode, options, frames):
    pictures = [photo(14 + number, height=23, width=31).convert(mode) for number in range(frames)]
    if mode == "RGBA":
        pictures[0].putalpha(photo(20, height=23, width=31).convert("L"))
    content = encode(pictures[0], "WEBP", save_all=frames > 1, append_images=pictures[1:], **options)
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(_decoded(content), expected)
    for cut in (24, 60, 100, len(content) // 3):
        with pytest.raises(tf.errors.InvalidArgumentError):
            _decoded(content[:cut] if frames == 1 else content[: min(cut, 100)])


def test_a_saved_model_decodes_as_training_does(photo, encode, tmp_path):
    contents = [
        _with_exif(encode(photo(16), "JPEG"), _tiff(6, "<")),
        encode(photo(17), "WEBP"),
        encode(photo(18).quantize(30), "BMP"),
    ]

    class Decoder(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
        def decode(self, encoded: tf.Tensor) -> tf.Tensor:
            return decode_image(encoded, channels=3)

    tf.saved_model.save(Decoder(), str(tmp_path / "decoder"))
    loaded = tf.saved_model.load(str(tmp_path / "decoder"))
    for content in contents:
        np.testing.assert_array_equal(loaded.decode(tf.constant(content)).numpy(), _decoded(content))
