"""Starts trainings of `one_process.py` on loopback, for the test and for the benchmark."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCRIPT = Path(__file__).with_name("one_process.py")
_SECONDS = 240


@dataclass(frozen=True)
class Started:
    """A process that trains."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def told(self) -> str:
        return self.err.read_text(errors="replace")

    @property
    def losses(self) -> list[float]:
        """Of each step so far."""
        return [float(found) for found in re.findall(r"^loss (\S+)\n", self.told, re.MULTILINE)]

    def found(self) -> dict[str, Any]:
        """What it gives when it is over."""
        assert self.process.wait(_SECONDS) == 0, self.told[-2000:]
        given: dict[str, Any] = json.loads(self.out.read_text().splitlines()[-1])
        return given

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def start(folder: Path, *, count: int = 1, epochs: int = 2, stop_after: int = 0) -> list[Started]:
    """Start the processes of a training, whose state is in a folder.

    Args:
        folder: Where state, model and outputs go.
        count: How many processes train together.
        epochs: Of 6 steps each.
        stop_after: Steps after which the last process stands still, so that it can be killed; 0 for never.
    """
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    common = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    started = []
    for number in range(count):
        said = {"KERAS_DISTRIBUTION_JOB_ADDRESSES": address, "KERAS_DISTRIBUTION_NUM_PROCESSES": str(count)}
        said |= {"KERAS_DISTRIBUTION_PROCESS_ID": str(number)}
        said |= {"STOP_AFTER": str(stop_after)} if number == count - 1 else {}
        out, err = folder / f"out{number}", folder / f"err{number}"
        with out.open("wb") as output, err.open("wb") as errors:
            words = [sys.executable, str(_SCRIPT), str(folder), str(epochs)]
            process = subprocess.Popen(words, stdout=output, stderr=errors, env=common | (said if count > 1 else {}))
        started.append(Started(process, out, err))
    return started


def one_killed(processes: list[Started], *, after: int) -> float:
    """Kill the last of some processes after so many steps, and wait until the first tells it; the seconds that took."""
    _wait(lambda: len(processes[-1].losses) >= after)
    processes[-1].kill()
    began = time.monotonic()
    _wait(lambda: "hint:" in processes[0].told)
    taken = time.monotonic() - began
    for process in processes[:-1]:
        process.kill()  # JAX's own end takes half a minute
    return taken


def _wait(happened: Any) -> None:
    until = time.monotonic() + _SECONDS
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.1)
