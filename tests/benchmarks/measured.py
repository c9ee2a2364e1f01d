"""What stands below every table: the machine, its instruction set and software, and how busy it was."""

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfkit.benchmarking import describe_host

# A script finds the modules beside it; those that ask other people's runtimes import `tests` too.
sys.path.append(str(Path(__file__).resolve().parents[2]))


def measured_on(host: Mapping[str, Any] | None = None) -> str:
    """A sentence that names the machine, its cores, versions and load.

    Args:
        host: A host of a report or of kept results, measured earlier; by default this machine and its load now.

    Returns:
        One line of Markdown.
    """
    load = "" if host else f"; load of the last 1, 5 and 15 minutes: {', '.join(f'{n:.1f}' for n in os.getloadavg())}"
    host = host or asdict(describe_host())
    processor = f"{host['cpu']} ({host.get('instruction_set', 'instruction set not noted')}), {host['cores']} cores"
    return f"Measured on {processor}, Python {host.get('python', 'not noted')}, {host['versions']}{load}."
