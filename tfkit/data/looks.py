"""What was seen of many images, in columns: as objects, looks at a million images take half a gigabyte."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfkit.data.looking import DIGEST_BYTES, PRINT_BYTES, FileState, Look

_NO_STATE = (-1, -1)


class Looks:
    """One `Look` an image, and the state of its file when it was looked at: some 70 bytes each.

    Args:
        count: How many images; nothing is known of any at first.

    Attributes:
        digests: S16 (n,). NumPy leaves trailing zero bytes of one out, which changes no comparison.
        prints: uint8 (n, 32), fingerprints; zeros for an image without.
        sizes: uint32 (n, 2), height and width in pixels, as stored; 0 where it is not known.
        frames: bool (n,), whether it is an animation.
        reasons: Why an image cannot be used, by its place.
        states: int64 (n, 2), size in bytes and time of the last change of each file; -1 where it is not known.

    Example:
        >>> looks = Looks(2)
        >>> looks[1] = Look(b"sixteen bytes at", None, 375, 500)
        >>> looks[1].width, looks.is_whole.tolist()
        (500, [True, True])
    """

    def __init__(self, count: int) -> None:
        self.digests = np.zeros(count, f"S{DIGEST_BYTES}")
        self.prints = np.zeros((count, PRINT_BYTES), np.uint8)
        self.sizes = np.zeros((count, 2), np.uint32)
        self.frames = np.zeros(count, bool)
        self.reasons: dict[int, str] = {}
        self.states = np.full((count, 2), _NO_STATE, np.int64)

    def __len__(self) -> int:
        return len(self.digests)

    def __getitem__(self, place: int) -> Look:
        height, width = self.sizes[place].tolist()
        drawn = self.prints[place]
        return Look(
            self.digests[place].ljust(DIGEST_BYTES, b"\0"),
            self.reasons.get(place),
            height,
            width,
            drawn.tobytes() if drawn.any() else b"",
            bool(self.frames[place]),
        )

    def __setitem__(self, place: int, look: Look) -> None:
        self.digests[place] = look.digest
        self.sizes[place] = look.height, look.width
        self.frames[place] = look.frames
        if look.fingerprint:
            self.prints[place] = np.frombuffer(look.fingerprint, np.uint8)
        if look.reason is not None:
            self.reasons[place] = look.reason

    @property
    def is_whole(self) -> NDArray[np.bool_]:
        """bool (n,), whether each can be used."""
        whole = np.ones(len(self), bool)
        whole[list(self.reasons)] = False
        return whole

    def state(self, place: int) -> FileState | None:
        """Size and time of an image's file; None where it is in no file of its own."""
        size, changed = self.states[place].tolist()
        return None if size < 0 else (size, changed)

    def note_state(self, place: int, state: FileState | None) -> None:
        """Keep the state of an image's file."""
        self.states[place] = _NO_STATE if state is None else state

    def select(self, places: NDArray[Any]) -> "Looks":
        """The looks at some images (int (m,), ascending), in that order."""
        chosen = Looks(0)
        chosen.digests, chosen.prints = self.digests[places], self.prints[places]
        chosen.sizes, chosen.frames = self.sizes[places], self.frames[places]
        chosen.states = self.states[places]
        if self.reasons:
            now = {int(place): new for new, place in enumerate(places)}
            chosen.reasons = {now[place]: why for place, why in self.reasons.items() if place in now}
        return chosen
