"""Losses side by side: one device, two logical devices, two processes, and two processes of which one was killed.

`python -m tests.benchmarks.devices` writes results/devices.md; about two CPU minutes.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.measured import measured_on
from tests.training.processes_apart import one_killed, start

_RESULT = Path(__file__).parent / "results" / "devices.md"
_DEVICES = Path(__file__).parents[1] / "training" / "two_devices.py"
_KILLED_AFTER = 8


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        devices = _two_devices(folder)
        alone = start(folder / "alone")[0].found()
        together = [process.found() for process in start(folder / "together", count=2)]
        killed = start(folder / "killed", count=2, stop_after=8)
        seconds = one_killed(killed, after=_KILLED_AFTER)
        again = [process.found() for process in start(folder / "killed", count=2)]
    _RESULT.write_text(_page(devices, alone, together, again[0], seconds))
    print(_RESULT.read_text())


def _two_devices(folder: Path) -> dict[str, Any]:
    done = subprocess.run([sys.executable, str(_DEVICES), str(folder)], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _page(
    devices: dict[str, Any],
    alone: dict[str, Any],
    together: list[dict[str, Any]],
    ended: dict[str, Any],
    seconds: float,
) -> str:
    gone_on: list[float] = ended["losses"]
    taught, recipe = devices["fine_tune"], devices["recipe"]
    first = len(alone["losses"]) - len(gone_on)
    rows = [
        "| step | TensorFlow, 1 device | 2 logical devices | JAX, 1 process | 2 processes | 2, one killed, gone on |",
        "|---|---|---|---|---|---|",
    ]
    columns = taught["alone"], taught["together"], alone["losses"], together[0]["losses"]
    for step, losses in enumerate(zip(*columns, strict=True)):
        last = f"{gone_on[step - first]:.7f}" if step >= first else "(before)"
        rows.append(f"| {step + 1} | {' | '.join(f'{loss:.7f}' for loss in losses)} | {last} |")
    apart = max(
        float(np.abs(np.subtract(*pair)).max()) for pair in zip(ended["weights"], alone["weights"], strict=True)
    )
    table = "\n".join(rows)
    accepted = "accepted" if recipe["accepted"] else "refused"
    return f"""# Several devices: losses side by side

`python -m tests.benchmarks.devices`, on the CPU. Equality is what is shown, not speed: all share its cores.

TensorFlow: a small network is fine-tuned for 2 epochs, taught by another one's answers and a feature map, through
`tf.distribute.MirroredStrategy`. JAX: a network of the same kind without a teacher, through `keras.distribution`,
processes on loopback. In the last column process 1 was killed after {_KILLED_AFTER} steps; process 0 said so
{seconds:.1f} s later, and both were started again. Keras tells the mean of an epoch's losses so far.

{table}

Largest differences:

- 2 logical devices from 1: of a loss {taught["losses"]:.1e}, of a weight {taught["weights"]:.1e}.
- A training on 2 devices that was killed and went on, from one that was not: of a weight {taught["gone_on"]:.1e}.
- A recipe that prunes and trains quantisation-aware, on 2 devices from 1: of a loss {recipe["losses"]:.1e}; its file is
  {accepted}.
- 2 processes of which one was killed, from 1 process: of a weight {apart:.1e}.

{measured_on()}
"""


if __name__ == "__main__":
    main()
