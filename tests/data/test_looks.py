"""What was seen of many images comes back as it was put in."""

import numpy as np
import pytest

from tfkit.data.looking import Look
from tfkit.data.looks import Looks

SEEN = (
    Look(b"sixteen bytes at", None, 375, 500, bytes(range(32)), frames=True),
    Look(b"ends in zeros  \0", None, 2**32 - 1, 1),  # NumPy keeps no zeros at the end
    Look(b"", "it cannot be read (Permission denied)"),
    Look(b"\0" * 15 + b"!", None, 1, 1, b"\0" * 31 + b"\1"),
)


@pytest.fixture
def looks() -> Looks:
    looks = Looks(len(SEEN))
    for place, look in enumerate(SEEN):
        looks[place] = look
    looks.note_state(1, (2**40, 1_700_000_000_000_000_000))
    return looks


def test_each_look_comes_back(looks: Looks) -> None:
    back = [looks[place] for place in range(len(looks))]
    assert [look for look in back if look.reason is None] == [look for look in SEEN if look.reason is None]
    assert back[2].reason == SEEN[2].reason
    assert [looks.state(place) for place in range(4)] == [None, (2**40, 1_700_000_000_000_000_000), None, None]


def test_what_is_selected_keeps_its_reason_and_state(looks: Looks) -> None:
    some = looks.select(np.array([1, 2]))
    assert some[0] == SEEN[1] and some.reasons == {1: SEEN[2].reason}
    assert some.is_whole.tolist() == [True, False]
    assert some.state(0) == (2**40, 1_700_000_000_000_000_000) and some.state(1) is None
