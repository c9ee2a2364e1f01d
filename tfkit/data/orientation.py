"""EXIF orientation of a JPEG, read and applied inside the TensorFlow graph.

Phones store the picture as the sensor saw it and say in EXIF how to turn it; a model must see it upright both in
training and in serving, where there is no Python.
"""

import tensorflow as tf

_EXIF_NAME = b"Exif\x00\x00"
_SEARCHED_BYTES = 1 << 18  # a segment has at most 64 KiB, and few stand before EXIF
_ENTRY_BYTES = 12


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
