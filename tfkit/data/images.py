"""Encoded bytes to the pixels a model takes: the one road for training, calibration, proof and serving.

Everything here is TensorFlow core ops, so that an exported model carries it and needs no Python to serve.
"""

import functools

import tensorflow as tf

from tfkit.artifacts import ImageSpec

_EXIF_NAME = b"Exif\x00\x00"
_SEARCHED_BYTES = 1 << 18  # a segment has at most 64 KiB, and few stand before EXIF
_ENTRY_BYTES = 12
_TO_THE_END = 2**31 - 1


def is_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Whether the bytes (a scalar string) begin as a JPEG does; bool scalar."""
    return tf.strings.substr(encoded, 0, 3) == b"\xff\xd8\xff"


def jpeg_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Read the orientation of an encoded JPEG (Exif 2.32, section 4.6.4, tag 0x0112).

    Args:
        encoded: The file's bytes, a scalar string.

    Returns:
        int32 scalar 1..8; 1 (upright) when there is no EXIF or it says something odd.
    """
    # Splitting at the segment's name instead of walking the segments: a loop in the graph costs a fifth of decoding.
    beginning = tf.strings.substr(encoded, 0, _SEARCHED_BYTES)
    pieces = tf.strings.split([beginning], sep=_EXIF_NAME, maxsplit=1).values
    return tf.cond(tf.size(pieces) > 1, lambda: _read_exif(pieces[0], pieces[1]), lambda: tf.constant(1))


def orient(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turn and mirror stored pixels so that the image is upright.

    Args:
        pixels: (height, width, channels) of any dtype.
        orientation: int32 scalar 1..8 as EXIF defines it.

    Returns:
        The same pixels upright; height and width change places for 5..8.
    """

    def turned() -> tf.Tensor:
        upright = tf.cond(orientation >= 5, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
        mirrors = [_is_one_of(orientation, (3, 4, 7, 8)), _is_one_of(orientation, (2, 3, 6, 7))]
        return tf.reverse(upright, tf.boolean_mask([0, 1], tf.stack(mirrors)))

    return tf.cond(tf.equal(orientation, 1), lambda: pixels, turned)


def _read_exif(before: tf.Tensor, block: tf.Tensor) -> tf.Tensor:
    """Find tag 0x0112 in the first directory of the TIFF block behind an APP1 marker, length and name."""
    is_segment = tf.strings.substr(before, -4, 2) == b"\xff\xe1"
    big_endian = tf.strings.substr(block, 0, 2) == b"MM"
    weights = tf.where(big_endian, [1 << 24, 1 << 16, 256, 1], [1, 256, 1 << 16, 1 << 24])
    weights_2 = tf.where(big_endian, weights[2:], weights[:2])
    directory = tf.reduce_sum(_bytes(block, 4, 4) * weights)
    count = tf.reduce_sum(_bytes(block, directory, 2) * weights_2)
    room = tf.maximum(tf.strings.length(block) - directory - 2, 0) // _ENTRY_BYTES
    count = tf.where((directory < 8) | ~is_segment, 0, tf.minimum(count, room))
    entries = tf.reshape(_bytes(block, directory + 2, count * _ENTRY_BYTES), [-1, _ENTRY_BYTES])
    tags = tf.reduce_sum(entries[:, 0:2] * weights_2, axis=1)
    values = tf.reduce_sum(entries[:, 8:10] * weights_2, axis=1)
    orientation = tf.reduce_max(tf.where(tags == 0x0112, values, 0), axis=0)
    return tf.where((orientation >= 1) & (orientation <= 8), orientation, 1)


def _bytes(encoded: tf.Tensor, start: tf.Tensor | int, count: tf.Tensor | int) -> tf.Tensor:
    """`count` bytes from `start` as int32; zeros where the string has ended, so that no index can fail."""
    position = tf.clip_by_value(start, 0, tf.strings.length(encoded))
    raw = tf.io.decode_raw(tf.strings.substr(encoded, position, count), tf.uint8)
    return tf.pad(tf.cast(raw, tf.int32), [[0, count - tf.size(raw)]])


def _is_one_of(value: tf.Tensor, values: tuple[int, ...]) -> tf.Tensor:
    return tf.reduce_any(tf.equal(value, tf.constant(values)))


def decode_image(encoded: tf.Tensor, *, channels: int) -> tf.Tensor:
    """Decode a JPEG, PNG, BMP, GIF or WebP image (of an animation the first frame) by its content and set it upright.

    Alpha is dropped, CMYK becomes RGB, 16-bit samples keep their upper 8 bits, and the EXIF orientation of a
    JPEG is applied (Exif 2.32, tag 0x0112).

    Args:
        encoded: The file's bytes, a scalar string.
        channels: 1 for grey (ITU-R BT.601 luma), 3 for RGB.

    Returns:
        Pixels 0..255, uint8 (height, width, channels).

    Raises:
        tf.errors.InvalidArgumentError: When the bytes are not such an image.

    Example:
        >>> decode_image(tf.io.read_file("bee.jpg"), channels=3).dtype
        tf.uint8
    """
    pixels = _decode(encoded)
    return tf.image.rgb_to_grayscale(pixels) if channels == 1 else pixels


def decode_in_process(encoded: tf.Tensor, *, channels: int, orientation: tf.Tensor | None = None) -> tf.Tensor:
    """What `decode_image` gives, from a smaller graph that needs this process: for pipelines, not for export.

    tf.data prepares a pipeline's whole graph anew in each epoch, and three fifths of `decode_image` are formats that
    few pictures have. Here they are a call of one graph that the process makes once.

    Args:
        encoded: The file's bytes, a scalar string.
        channels: 1 for grey (ITU-R BT.601 luma), 3 for RGB.
        orientation: int32 scalar, what `read_orientation` says of the bytes; None to look for it in the graph, a tenth
            of decoding.

    Returns:
        Pixels 0..255, uint8 (height, width, channels), to the bit those of `decode_image`.

    Raises:
        tf.errors.OpError: When the bytes are no image.

    Example:
        >>> decode_in_process(tf.io.read_file("bee.jpg"), channels=3).dtype
        tf.uint8
    """
    if orientation is None:
        orientation = tf.cond(is_jpeg(encoded), lambda: jpeg_orientation(encoded), lambda: tf.constant(1))
    pixels = _decode_usual(encoded, orientation)
    return tf.image.rgb_to_grayscale(pixels) if channels == 1 else pixels


def fit_image(pixels: tf.Tensor, image: ImageSpec) -> tf.Tensor:
    """Bring an image to a model's size.

    A smaller image is enlarged bilinearly; of a larger one every new pixel is the mean of the area that it covers, so
    that fine patterns fade instead of turning into false ones. At the same size both are the identity. Computed in
    float and rounded once.

    Args:
        pixels: uint8 (height, width, channels), channels as in `image`.
        image: The size wanted and the rule for another aspect ratio.

    Returns:
        uint8, shape `image.shape`.

    Example:
        >>> fit_image(np.zeros((40, 60, 3), np.uint8), ImageSpec(32, 32)).shape.as_list()
        [32, 32, 3]
    """
    size = tf.shape(pixels)[:2]
    target = tf.constant([image.height, image.width])
    fitted = tf.cond(
        tf.reduce_all(tf.equal(size, target)), lambda: pixels, lambda: _resize(pixels, size, target, image)
    )
    return tf.ensure_shape(fitted, image.shape)


def _decode_any(encoded: tf.Tensor) -> tf.Tensor:
    pixels = tf.cond(
        is_jpeg(encoded), lambda: _decode_jpeg(encoded, jpeg_orientation(encoded)), lambda: _decode_other(encoded)
    )
    return tf.ensure_shape(pixels, [None, None, 3])


def _decode_few(encoded: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    pixels = tf.cond(is_jpeg(encoded), lambda: _decode_jpeg(encoded, orientation), lambda: _decode_aside(encoded))
    return tf.ensure_shape(pixels, [None, None, 3])


# A function of its own is traced once in a process instead of once for every pipeline.
_traced_once = functools.partial(tf.function, autograph=False)
_BYTES, _ORIENTATION = tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int32)
_decode = _traced_once(_decode_any, input_signature=[_BYTES])
_decode_usual = _traced_once(_decode_few, input_signature=[_BYTES, _ORIENTATION])


def _decode_jpeg(encoded: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    # TensorFlow's default is libjpeg's fast transform, up to 25 levels off; the accurate one gives, to the bit, the
    # pixels that Pillow and phones feed the model later.
    return orient(tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"), orientation)


def _decode_aside(encoded: tf.Tensor) -> tf.Tensor:
    def called_back() -> tf.Tensor:
        return tf.numpy_function(lambda content: _decode(content).numpy(), [encoded], tf.uint8, stateful=False)

    # PNG beside it: in a folder of small ones the way through Python would cost more than the decoding.
    is_png = _bytes_at(encoded, 0, 8) == b"\x89PNG\r\n\x1a\n"
    return tf.cond(is_png, lambda: tf.io.decode_png(encoded, channels=3), called_back)


def _decode_other(encoded: tf.Tensor) -> tf.Tensor:
    return tf.cond(_is_webp(encoded), lambda: _decode_webp(encoded), lambda: _decode_remaining(encoded))


def _decode_webp(encoded: tf.Tensor) -> tf.Tensor:
    still = tf.cond(_is_animated(encoded), lambda: _first_frame(encoded), lambda: encoded)
    # As many channels as there are is all that this decoder gives.
    return tf.io.decode_image(still, channels=0, expand_animations=False)[..., :3]


def _decode_remaining(encoded: tf.Tensor) -> tf.Tensor:
    # Three channels is what every other decoder can give; one channel fails on BMP and GIF.
    pixels = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.cond(_has_palette(encoded), lambda: _look_up_palette(encoded, pixels), lambda: pixels)


def _resize(pixels: tf.Tensor, size: tf.Tensor, target: tf.Tensor, image: ImageSpec) -> tf.Tensor:
    ratios = tf.cast(size, tf.float32) / tf.cast(target, tf.float32)
    if image.resize == "crop":
        kept = _scaled(target, tf.reduce_min(ratios), largest=size)
        corner = (size - kept) // 2
        pixels = tf.slice(pixels, tf.concat([corner, [0]], 0), tf.concat([kept, [image.channels]], 0))
    inner = _scaled(size, 1.0 / tf.reduce_max(ratios), largest=target) if image.resize == "pad" else target
    resized = tf.cond(
        tf.reduce_all(tf.shape(pixels)[:2] >= inner),
        lambda: tf.image.resize(pixels, inner, method="area"),
        # Antialiasing matters only where one side shrinks while the other grows: there it costs three times as much.
        lambda: tf.image.resize(pixels, inner, method="bilinear", antialias=True),
    )
    rounded = tf.cast(resized + 0.5, tf.uint8)  # means of 0..255 cannot leave that range
    if image.resize == "pad":
        before = (target - inner) // 2
        margins = tf.stack([before, target - inner - before], axis=1)
        rounded = tf.pad(rounded, tf.concat([margins, [[0, 0]]], 0))
    return rounded


def _scaled(size: tf.Tensor, factor: tf.Tensor, *, largest: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(tf.cast(tf.round(tf.cast(size, tf.float32) * factor), tf.int32), 1, largest)


def _has_palette(encoded: tf.Tensor) -> tf.Tensor:
    """Whether the bytes are a BMP with 8 bits a pixel, whose pixels TensorFlow leaves as palette positions."""
    bits_per_pixel = tf.strings.substr(encoded, tf.minimum(28, tf.strings.length(encoded)), 2)
    return (tf.strings.substr(encoded, 0, 2) == b"BM") & (bits_per_pixel == b"\x08\x00")


def _is_webp(encoded: tf.Tensor) -> tf.Tensor:
    return (_bytes_at(encoded, 0, 4) == b"RIFF") & (_bytes_at(encoded, 8, 4) == b"WEBP")


def _is_animated(encoded: tf.Tensor) -> tf.Tensor:
    """Whether the flags of an extended WebP speak of an animation (RFC 9649, section 2.7)."""
    return (_bytes_at(encoded, 12, 4) == b"VP8X") & (_bytes(encoded, 20, 1)[0] & 2 > 0)


def _first_frame(encoded: tf.Tensor) -> tf.Tensor:
    """An animated WebP as a still one of its first frame's picture, which TensorFlow's decoder takes; alpha is dropped.

    A decoder wants to be told no more bytes than there are, and no fewer than the picture has: it gets the frame's own
    size, and behind the picture what that size counts besides.
    """
    frame = tf.strings.split([encoded], sep=b"ANMF", maxsplit=1).values[-1]
    chunks = _bytes_at(frame, 20, _TO_THE_END)
    alpha = _unsigned_32(chunks + bytes(8), 4)
    skipped = tf.where(_bytes_at(chunks, 0, 4) == b"ALPH", 8 + alpha + alpha % 2, 0)
    before, picture = _bytes_at(chunks, 0, skipped), _bytes_at(chunks, skipped, _TO_THE_END)
    return tf.strings.join([b"RIFF", _bytes_at(frame, 0, 4), b"WEBP", picture, before, bytes(12)])


def _bytes_at(encoded: tf.Tensor, start: tf.Tensor | int, count: tf.Tensor | int) -> tf.Tensor:
    """`count` bytes from `start`, fewer where the string ends."""
    return tf.strings.substr(encoded, tf.clip_by_value(start, 0, tf.strings.length(encoded)), count)


def _look_up_palette(encoded: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    header_end = 14 + _unsigned_32(encoded, 14)
    data_start = _unsigned_32(encoded, 10)
    table = tf.io.decode_raw(tf.strings.substr(encoded, header_end, data_start - header_end), tf.uint8)
    entries = tf.reshape(table[: tf.size(table) // 4 * 4], [-1, 4])[:, 2::-1]  # stored blue, green, red, 0
    return tf.gather(entries, tf.minimum(tf.cast(positions[..., 0], tf.int32), tf.shape(entries)[0] - 1))


def _unsigned_32(encoded: tf.Tensor, offset: int) -> tf.Tensor:
    return tf.io.decode_raw(tf.strings.substr(encoded, offset, 4), tf.int32, little_endian=True)[0]
