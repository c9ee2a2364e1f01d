"""Every image looked at once before anything is trained: can it be decoded, and has it been seen before?"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np

from tfkit.data.decoder import ImageDecoder
from tfkit.data.examples import LeftOut
from tfkit.data.host_images import decode_on_host, jpeg_warnings
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

    def check(position: int) -> tuple[bytes, str | None, bool]:
        """The digest, the fault found, and whether that is all there is to say."""
        try:
            content = source.content(position)
        except OSError as fault:
            return b"", f"it cannot be read ({fault.strerror})", True
        digest = hashlib.blake2b(content, digest_size=16).digest()
        if not source.is_encoded or decode_on_host(content, channels=source.channels) is not None:
            return digest, None, True
        return digest, decoder.fault(content), False

    digests: list[bytes] = []
    bad: dict[int, str] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(positions), _TOGETHER):
            group = [int(position) for position in positions[start : start + _TOGETHER]]
            with jpeg_warnings() as heard:
                checked = list(pool.map(check, group))
                warned = heard() is not None
            for place, (position, (digest, reason, sure)) in enumerate(zip(group, checked, strict=True), start):
                digests.append(digest)
                if warned and reason is None and not sure:
                    reason = decoder.warning(source.content(position))
                if reason is not None:
                    bad[place] = reason
            if progress is not None:
                progress(len(digests), len(names))
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
    """Groups of two or more names whose content is the same, in order of first appearance.

    Example:
        >>> same_content(["a.jpg", "b.jpg", "c.jpg"], [b"1", b"2", b"1"])
        [('a.jpg', 'c.jpg')]
    """
    groups: dict[bytes, list[str]] = defaultdict(list)
    for name, digest in zip(names, digests, strict=True):
        groups[digest].append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]
