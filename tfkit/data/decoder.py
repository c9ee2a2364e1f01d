"""Whole images from files of others: decoded, or named with what is wrong."""

import numpy as np

from tfkit.artifacts import ImageSpec
from tfkit.data.host_images import decode_on_host, fit_on_host, is_jpeg, jpeg_warnings, png_fault
from tfkit.errors import DataError


class ImageDecoder:
    """Decodes images to see whether they are whole, by the ops that training and serving decode with.

    Args:
        channels: 1 for grey, 3 for RGB.
    """

    def __init__(self, *, channels: int) -> None:
        self._channels = channels

    def fault(self, content: bytes) -> str | None:
        """Why bytes are no image that can be used, or None; safe to call from many threads.

        Scans that libjpeg mends are not among them: see `warning`.
        """
        return self.pixels_or_fault(content)[1]

    def pixels_or_fault(self, content: bytes) -> tuple[np.ndarray | None, str | None]:
        """The pixels, uint8 (height, width, channels), or why there are none; as `fault` does."""
        if not content:
            return None, "it is empty"
        if reason := png_fault(content):
            return None, reason
        import tensorflow as tf  # it is started when it is first needed

        from tfkit.data.images import decode_image

        try:
            with tf.device("CPU:0"):
                return decode_image(tf.constant(content), channels=self._channels).numpy(), None
        except tf.errors.OpError as fault:
            return None, _reason(content, str(fault.message))

    def warning(self, content: bytes) -> str | None:
        """Why the scan of a JPEG is damaged though it decodes, or None; one call at a time in a process."""
        if not is_jpeg(content):
            return None
        with jpeg_warnings() as heard:
            self.fault(content)
            words = heard()
        return damaged_scan(words) if words else None


def damaged_scan(words: str) -> str:
    """The reason that libjpeg's words on a scan give."""
    return f"its JPEG data is damaged ({words})"


def picture_fault(encoded: bytes, *, channels: int) -> str | None:
    """Why one encoded picture cannot be used, as part of a sentence; TensorFlow is started for suspicious ones only.

    Args:
        encoded: The file's bytes.
        channels: 1 for grey, 3 for RGB.

    Returns:
        The reason; None for a whole picture.

    Example:
        >>> picture_fault(Path("bee.jpg").read_bytes(), channels=3)
    """
    if decode_on_host(encoded, channels=channels) is not None:
        return None
    decoder = ImageDecoder(channels=channels)
    return decoder.fault(encoded) or decoder.warning(encoded)


def picture_pixels(encoded: bytes, image: ImageSpec) -> np.ndarray:
    """What a model is fed with of one encoded picture; TensorFlow is started only where `decode_on_host` may not do.

    Args:
        encoded: The file's bytes.
        image: The images that the model takes.

    Returns:
        uint8, shape `image.shape`.

    Raises:
        DataError: When the bytes are no picture that tfkit reads, or a damaged one; the reason, as part of a sentence.

    Example:
        >>> picture_pixels(Path("bee.jpg").read_bytes(), ImageSpec(224, 224)).shape
        (224, 224, 3)
    """
    pixels = decode_on_host(encoded, channels=image.channels)
    if pixels is None:
        from tfkit.data.images import decode_image

        if reason := picture_fault(encoded, channels=image.channels):
            raise DataError(reason)
        pixels = decode_image(encoded, channels=image.channels).numpy()
    return fit_on_host(pixels, image)


def _reason(content: bytes, message: str) -> str:
    if "Unknown image file format" in message:
        return f"it is not a JPEG, PNG, BMP, GIF or WebP (it starts with {content[:8]!r})"
    kind = "JPEG" if content[:2] == b"\xff\xd8" else "image"
    detail = message.split("\n")[0].removeprefix("{{function_node").split("}}")[-1].strip()
    return f"its {kind} data is damaged" + (f" ({detail[:120].rstrip(' .')})" if detail else "")
