"""Layers named by a user: exact names or patterns."""

import difflib
import fnmatch
from collections.abc import Iterable, Sequence


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a layer's name is among names and patterns such as `block_1_*`.

    Example:
        >>> matches("block_1_conv", ["block_1_*"]), matches("block_2_conv", ["block_1_*"])
        (True, False)
    """
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def unknown_names(patterns: Iterable[str], names: Sequence[str], *, of: str) -> list[str]:
    """Faults for the names and patterns that fit no layer, each with the nearest name.

    Args:
        patterns: What the user gave.
        names: The layers there are.
        of: What the user gave them as, for the message.

    Returns:
        One text for each unknown name.

    Example:
        >>> unknown_names(["logit"], ["conv", "logits"], of="skip")
        ["skip names no layer: 'logit'; did you mean 'logits'?"]
    """
    faults = []
    for pattern in patterns:
        if any(fnmatch.fnmatchcase(name, pattern) for name in names):
            continue
        near = difflib.get_close_matches(pattern, names, 1)
        faults.append(f"{of} names no layer: '{pattern}'" + (f"; did you mean '{near[0]}'?" if near else ""))
    return faults
