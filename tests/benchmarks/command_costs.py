"""CPU seconds and memory of commands on one .tflite file, beside ten lines of Pillow and LiteRT.

    python tests/benchmarks/command_costs.py MODEL.tflite PICTURE [--photos FOLDER] [--texts MODEL] [--before TFKIT]

Prints a table of medians; the ten lines run in turn with the commands, each in a fresh process. With --photos both
classify a whole folder, labelled if its pictures lie in folders of classes, and the ratio of each round is told. With
--texts, the `.tflite` file of a run of texts, one sentence is classified, and the same with a picture among its
letters, which is left to TF Text. With --before, the `tfkit` of another environment, an older version's commands run
in turn with these.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from tfkit.benchmarking import describe_host

TEN_LINES = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image
interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
wanted = interpreter.get_input_details()[0]
height, width, channels = wanted["shape"][1:]
for path in sys.argv[2:]:
    pixels = np.asarray(Image.open(path).convert("RGB" if channels == 3 else "L").resize((width, height)))
    interpreter.set_tensor(wanted["index"], pixels.reshape(wanted["shape"]).astype(wanted["dtype"]))
    interpreter.invoke()
    print(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).argmax())
"""

_TEXT = "where is my parcel?"


def cost(command: list[str]) -> tuple[float, float]:
    """CPU seconds and peak memory in MB of a command with its children."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return _seconds(used), used.ru_maxrss / 1024


def _seconds(used: resource.struct_rusage) -> float:
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--texts", type=Path, metavar="MODEL")
    parser.add_argument("--before", metavar="TFKIT")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    tfkit = [str(Path(sys.executable).with_name("tfkit"))]
    commands = {
        "ten lines": [sys.executable, "-c", TEN_LINES, str(given.model), str(given.picture)],
        "tfkit verify": [*tfkit, "verify", str(given.model)],
        "tfkit benchmark": [*tfkit, "benchmark", str(given.model), "--seconds", "0"],
        "tfkit predict": [*tfkit, "predict", str(given.model), str(given.picture)],
    }
    if given.photos:
        photos = sorted(str(path) for path in given.photos.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
        ten, ours = f"ten lines, {len(photos)}", f"tfkit predict, {len(photos)}"
        commands[ten] = [sys.executable, "-c", TEN_LINES, str(given.model), *photos]
        commands[ours] = [*tfkit, "predict", str(given.model), str(given.photos)]
    if given.texts:
        for name, text in (("a text", _TEXT), ("one for TF Text", f"{_TEXT} \N{GRINNING FACE}")):
            commands[f"predict {name}"] = [*tfkit, "predict", str(given.texts), text]
    if given.before:
        ours_now = {name: command for name, command in commands.items() if command[0] == tfkit[0]}
        commands |= {f"before: {name}": [given.before, *command[1:]] for name, command in ours_now.items()}
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(given.rounds):
        for name, command in commands.items():
            costs[name].append(cost(command))
    host = describe_host()
    print(f"{host.processor}, {host.cores} cores, {host.versions}; median of {given.rounds} rounds")
    for name, values in costs.items():
        seconds, memory = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"{name:28} {seconds:6.2f} CPU s {memory:7.0f} MB")
    if given.photos:
        ratios = [mine / theirs for (mine, _), (theirs, _) in zip(costs[ours], costs[ten], strict=True)]
        print(f"CPU of {ours} photos to the ten lines': {', '.join(f'{ratio:.2f}' for ratio in ratios)}")


if __name__ == "__main__":
    main()
