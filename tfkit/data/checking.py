"""Every image looked at once before anything is trained: can it be decoded, and has it been seen before?"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import tensorflow as tf

from tfkit.data.examples import LeftOut
from tfkit.data.images import decode_image
from tfkit.data.sources import ImageSource
from tfkit.errors import DataError

BadImages = Literal["error", "skip"]
Progress = Callable[[int, int], None]

_SHOWN = 10


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
    decoded_shape = tf.function(
        lambda encoded: tf.shape(decode_image(encoded, channels=source.channels)),
        input_signature=[tf.TensorSpec([], tf.string)],
    )

    def check(position: int) -> tuple[bytes, str | None]:
        try:
            content = source.content(position)
        except OSError as fault:
            return b"", f"it cannot be read ({fault.strerror})"
        digest = hashlib.blake2b(content, digest_size=16).digest()
        return digest, _why_bad(content, decoded_shape) if source.is_encoded else None

    digests: list[bytes] = []
    bad: dict[int, str] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for place, (digest, reason) in enumerate(pool.map(check, map(int, positions))):
            digests.append(digest)
            if reason is not None:
                bad[place] = reason
            if progress is not None and (place % 32 == 31 or place + 1 == len(names)):
                progress(place + 1, len(names))
    return digests, bad


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


def _why_bad(content: bytes, decoded_shape: Callable[[bytes], tf.Tensor]) -> str | None:
    if not content:
        return "it is empty"
    try:
        decoded_shape(tf.constant(content))
    except tf.errors.OpError as fault:
        return _reason(content, str(fault.message))
    return None


def _reason(content: bytes, message: str) -> str:
    if content[:4] == b"RIFF" and b"ANIM" in content[:64]:
        return "animated WebP cannot be read; save its first frame"
    if "Unknown image file format" in message:
        return f"it is not a JPEG, PNG, BMP, GIF or WebP (it starts with {content[:8]!r})"
    kind = "JPEG" if content[:2] == b"\xff\xd8" else "image"
    detail = message.split("\n")[0].removeprefix("{{function_node").split("}}")[-1].strip()
    return f"its {kind} data is damaged" + (f" ({detail[:120].rstrip(' .')})" if detail else "")
