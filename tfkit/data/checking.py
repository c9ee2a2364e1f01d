"""Every image looked at once before anything is trained: can it be decoded, and has it been seen before?"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, TypeVar

import numpy as np

from tfkit.cores import usable_cores
from tfkit.data.examples import LeftOut
from tfkit.data.looking import MAX_PIXELS, FileState, Look, Onlooker, bomb_reason, digest_of, file_state
from tfkit.data.remembered import Remembered
from tfkit.data.sources import ImageSource
from tfkit.errors import DataError

BadImages = Literal["error", "skip"]
Progress = Callable[[int, int], None]

_SHOWN = 10
_TOGETHER = 16  # images that a thread looks at in one go
_AHEAD = 4  # such groups for each core that wait to be asked for
_KEPT_AT_ONCE = 1000

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def check_images(
    source: ImageSource,
    positions: np.ndarray,
    *,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
) -> list[Look]:
    """Look at every image once, on all cores; files that have not changed since an earlier run are not read.

    Args:
        source: The images.
        positions: int (n,), which of them.
        max_pixels: Height times width above which an image is not decoded.
        progress: Called with (done, total) now and then.

    Returns:
        What was seen, one look a position.
    """
    tell = progress or (lambda done, total: None)
    if not source.is_encoded:
        looks = []
        for position in positions:
            looks.append(Look(digest_of(source.content(int(position)))))
            if len(looks) % _KEPT_AT_ONCE == 0:
                tell(len(looks), len(positions))
        tell(len(positions), len(positions))
        return looks
    files = [source.file(int(position)) for position in positions]
    states = [file_state(file) if file is not None else None for file in files]
    with Remembered() as remembered:
        return _looks(source, positions, files, states, Onlooker(max_pixels=max_pixels), remembered, tell)


def _looks(
    source: ImageSource,
    positions: np.ndarray,
    files: Sequence[str | None],
    states: list[FileState | None],
    onlooker: Onlooker,
    remembered: Remembered,
    tell: Progress,
) -> list[Look]:
    """Those known, and for the others what is seen now; these are remembered."""
    nothing = Look(b"")
    looks = [
        nothing if look is None else _limited(look, onlooker.max_pixels).of_file(state)
        for look, state in zip(remembered.of_files(files, states), states, strict=True)
    ]
    unseen = [place for place, look in enumerate(looks) if look is nothing]
    done = len(positions) - len(unseen)
    tell(done, len(positions))

    def look_at(place: int) -> Look:
        try:
            content = source.content(int(positions[place]))
        except OSError as fault:
            return Look(b"", f"it cannot be read ({fault.strerror})")
        digest = digest_of(content)
        if (seen := remembered.of_content(digest)) is not None:
            return _limited(seen, onlooker.max_pixels)
        return onlooker.look(content, digest)

    groups = [unseen[start : start + _TOGETHER] for start in range(0, len(unseen), _TOGETHER)]
    fresh: list[int] = []

    def keep() -> None:
        remembered.keep((files[place], states[place], looks[place]) for place in fresh)
        fresh.clear()

    try:
        for group, seen in zip(groups, _in_order(lambda group: list(map(look_at, group)), groups), strict=True):
            for place, look in zip(group, seen, strict=True):
                looks[place] = look.of_file(states[place])
            fresh += [place for place in group if _is_lasting(looks[place], onlooker.max_pixels)]
            if len(fresh) >= _KEPT_AT_ONCE:
                keep()
            done += len(group)
            tell(done, len(positions))
    finally:  # what was seen before Ctrl-C is known the next time
        keep()
    return looks


def _is_lasting(look: Look, max_pixels: int) -> bool:
    """Whether a look says something of the content, whatever the limit and the rights of today."""
    return bool(look.digest) and bomb_reason((look.height, look.width), max_pixels) is None


def _limited(look: Look, max_pixels: int) -> Look:
    reason = bomb_reason((look.height, look.width), max_pixels)
    return Look(look.digest, reason, look.height, look.width) if reason else look


def _in_order(make: Callable[[_Given], _Made], given: Iterable[_Given]) -> Iterator[_Made]:
    """`map` on all cores, in order, with a bound on what waits."""
    cores = usable_cores()
    waiting: deque[Future[_Made]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        try:
            for one in given:
                waiting.append(pool.submit(make, one))
                if len(waiting) >= _AHEAD * cores:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


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
