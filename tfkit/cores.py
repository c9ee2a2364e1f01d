"""How many processor cores this process may use."""

import os


def usable_cores() -> int:
    """Cores that this process may run on: fewer than the machine has under `taskset`, or in many containers.

    Example:
        >>> usable_cores() >= 1
        True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
