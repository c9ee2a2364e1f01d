"""Every image looked at once before anything is trained: can it be decoded, and has it been seen before?"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from tfkit.cores import usable_cores
from tfkit.data.examples import LeftOut
from tfkit.data.looking import MAX_PIXELS, Look, Onlooker, bomb_reason, digest_of, file_state
from tfkit.data.looks import Looks
from tfkit.data.remembered import Remembered
from tfkit.data.sources import ImageSource
from tfkit.errors import DataError

BadImages = Literal["error", "skip"]
Progress = Callable[[int, int], None]

_SHOWN = 10
_TOGETHER = 32  # images that a thread looks at in one go
_AHEAD = 4  # such groups for each core that wait to be asked for
_KEPT_AT_ONCE = 1000
_ASKED_AT_ONCE = 10_000

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def check_images(
    source: ImageSource,
    positions: np.ndarray,
    *,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
) -> Looks:
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
    looks = Looks(len(positions))
    if source.is_encoded:
        with Remembered() as remembered:
            _look_at_files(source, positions, looks, Onlooker(max_pixels=max_pixels), remembered, tell)
        return looks
    for place, position in enumerate(positions):
        looks[place] = Look(digest_of(source.content(int(position))))
        if place % _KEPT_AT_ONCE == 0:
            tell(place, len(positions))
    tell(len(positions), len(positions))
    return looks


def _look_at_files(
    source: ImageSource,
    positions: np.ndarray,
    looks: Looks,
    onlooker: Onlooker,
    remembered: Remembered,
    tell: Progress,
) -> None:
    """Those known, and for the others what is seen now; these are remembered."""

    def file_at(place: int) -> str | None:
        return source.file(int(positions[place]))

    unseen = _unseen(file_at, looks, remembered, onlooker.max_pixels)
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

    def group(start: int) -> list[int]:
        return list(map(int, unseen[start : start + _TOGETHER]))

    fresh: list[int] = []

    def keep() -> None:
        remembered.keep((file_at(place), looks.state(place), looks[place]) for place in fresh)
        fresh.clear()

    starts = range(0, len(unseen), _TOGETHER)
    try:
        for start, seen in zip(starts, _in_order(lambda start: list(map(look_at, group(start))), starts), strict=True):
            for place, look in zip(group(start), seen, strict=True):
                looks[place] = look
                if _is_lasting(look, onlooker.max_pixels):
                    fresh.append(place)
            if len(fresh) >= _KEPT_AT_ONCE:
                keep()
            done += len(seen)
            tell(done, len(positions))
    finally:  # what was seen before Ctrl-C is known the next time
        keep()


def _unseen(
    file_at: Callable[[int], str | None], looks: Looks, remembered: Remembered, max_pixels: int
) -> NDArray[np.int64]:
    """The places of which nothing is known yet; what is known goes to `looks`, and the state of every file."""
    known = np.zeros(len(looks), bool)
    for start in range(0, len(looks), _ASKED_AT_ONCE):
        places = range(start, min(start + _ASKED_AT_ONCE, len(looks)))
        files = [file_at(place) for place in places]
        states = [file_state(file) if file is not None else None for file in files]
        for place, state, look in zip(places, states, remembered.of_files(files, states), strict=True):
            looks.note_state(place, state)
            if look is not None:
                looks[place] = _limited(look, max_pixels)
                known[place] = True
    return np.flatnonzero(~known)


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
