"""`tfkit` commands in processes of their own, which may be killed."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """How a command ended: its status (negative: the signal), what it said, and its seconds."""

    status: int
    out: str
    seconds: float


def tfkit_command(folder: Path, *words: str, kill_after: float | None = None) -> Ended:
    """Give a `tfkit` command in a folder, and kill it after so many seconds."""
    began = time.monotonic()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    words = (sys.executable, "-m", "tfkit.cli.main", *words)
    with subprocess.Popen(words, cwd=folder, start_new_session=True, **pipes) as process:
        try:
            out, _ = process.communicate(timeout=kill_after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, _ = process.communicate()
    return Ended(process.returncode, out, time.monotonic() - began)
