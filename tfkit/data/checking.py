"""Every image looked at once before anything is trained: can it be decoded, and has it been seen before?"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import tensorflow as tf

from tfkit.data.damage import is_jpeg, jpeg_warnings, png_fault
from tfkit.data.examples import LeftOut
from tfkit.data.images import decode_image
from tfkit.data.sources import ImageSource
from tfkit.errors import DataError

BadImages = Literal["error", "skip"]
Progress = Callable[[int, int], None]

_SHOWN = 10
_TOGETHER = 64  # images decoded side by side; those of a group in which libjpeg warned are decoded again one by one


def check_images(
    source: ImageSource,
    positions: np.ndarray,
    names: Sequence[str],
    *,
    progress: Progress | None = None,
) -> tuple[list[bytes], dict[int, str]]:
    """Read and fully decode every image, on all cores.

    Args:
        source: The images.
        positions: int (n,), which of them.
        names: What to call them, one per position.
        progress: Called with (done, total) now and then.

    Returns:
        A 16-byte digest of each image's content, and the reason for each that cannot be used, by its place in
        `positions`.
    """
    decoder = ImageDecoder(channels=source.channels)

    def check(position: int) -> tuple[bytes, str | None]:
        try:
            content = source.content(position)
        except OSError as fault:
            return b"", f"it cannot be read ({fault.strerror})"
        digest = hashlib.blake2b(content, digest_size=16).digest()
        return digest, decoder.fault(content) if source.is_encoded else None

    digests: list[bytes] = []
    bad: dict[int, str] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(positions), _TOGETHER):
            group = [int(position) for position in positions[start : start + _TOGETHER]]
            with jpeg_warnings() as heard:
                checked = list(pool.map(check, group))
                warned = source.is_encoded and heard() is not None
            for place, (position, (digest, reason)) in enumerate(zip(group, checked, strict=True), start):
                digests.append(digest)
                if warned and reason is None:
                    reason = decoder.warning(source.content(position))
                if reason is not None:
                    bad[place] = reason
            if progress is not None:
                progress(len(digests), len(names))
    return digests, bad


class ImageDecoder:
    """Decodes images to see whether they are whole, by the ops that training and serving decode with.

    Args:
        channels: 1 for grey, 3 for RGB.
    """

    def __init__(self, *, channels: int) -> None:
        self._shape = tf.function(
            lambda encoded: tf.shape(decode_image(encoded, channels=channels)),
            input_signature=[tf.TensorSpec([], tf.string)],
        )

    def fault(self, content: bytes) -> str | None:
        """Why bytes are no image that can be used, or None; safe to call from many threads.

        Scans that libjpeg mends are not among them: see `warning`.
        """
        if not content:
            return "it is empty"
        if reason := png_fault(content):
            return reason
        try:
            self._shape(tf.constant(content))
        except tf.errors.OpError as fault:
            return _reason(content, str(fault.message))
        return None

    def warning(self, content: bytes) -> str | None:
        """Why the scan of a JPEG is damaged though it decodes, or None; one call at a time in a process."""
        if not is_jpeg(content):
            return None
        with jpeg_warnings() as heard:
            self.fault(content)
            words = heard()
        return f"its JPEG data is damaged ({words})" if words else None


def refuse_bad_images(bad: Sequence[LeftOut], total: int) -> None:
    """Raise a DataError that lists images which cannot be used; do nothing when there is none."""
    if not bad:
        return
    lines = [f"  {item.name}: {item.reason}" for item in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        lines.append(f"  and {len(bad) - _SHOWN} more")
    count = "1 image" if len(bad) == 1 else f"{len(bad)} images"
    raise DataError(
        f"{count} of {total} cannot be used:\n" + "\n".join(lines),
        hint="replace or remove them, or leave them out with data.bad_images=skip",
    )


def same_content(names: Sequence[str], digests: Sequence[bytes]) -> list[tuple[str, ...]]:
    """Groups of two or more names whose content is the same, in order of first appearance."""
    groups: dict[bytes, list[str]] = defaultdict(list)
    for name, digest in zip(names, digests, strict=True):
        groups[digest].append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _reason(content: bytes, message: str) -> str:
    if content[:4] == b"RIFF" and b"ANIM" in content[:64]:
        return "animated WebP cannot be read; save its first frame"
    if "Unknown image file format" in message:
        return f"it is not a JPEG, PNG, BMP, GIF or WebP (it starts with {content[:8]!r})"
    kind = "JPEG" if content[:2] == b"\xff\xd8" else "image"
    detail = message.split("\n")[0].removeprefix("{{function_node").split("}}")[-1].strip()
    return f"its {kind} data is damaged" + (f" ({detail[:120].rstrip(' .')})" if detail else "")
