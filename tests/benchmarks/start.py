"""Seconds from `tfkit run digits` to its first lines, for several installed versions in turn, as Markdown.

    python tests/benchmarks/start.py TFKIT [TFKIT ...] [--rounds 5]

Each TFKIT is the `tfkit` command of an environment. The backbone that the recipe wants is trained once by each
(`tfkit run digits_base`), not timed. The header comes when the recipe's script is loaded, TensorFlow included; the
first line of progress when the data is read.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measured import measured_on

_MARK = "✓"


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commands", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder, str(number)) for number, _ in enumerate(options.commands)]
        for command, place in zip(options.commands, places, strict=True):
            place.mkdir()
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            subprocess.run([command, "run", "digits_base"], cwd=place, check=True, **quiet)
        seconds: dict[Path, list[tuple[float, float]]] = {command: [] for command in options.commands}
        for _ in range(options.rounds):
            for command, place in zip(options.commands, places, strict=True):
                seconds[command].append(_first_lines(command, place))
    print("| command | header: median (lowest to highest) | first progress line |\n| --- | --- | --- |")
    for command, times in seconds.items():
        print(f"| {command} | {' | '.join(_told(column) for column in zip(*times, strict=True))} |")
    print(f"\n{options.rounds} rounds, in turn. {measured_on()}")


def _first_lines(command: Path, place: Path) -> tuple[float, float]:
    began = time.perf_counter()
    words = [command, "run", "digits", "run.overwrite=true"]
    header = None
    with subprocess.Popen(words, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            header = header or time.perf_counter() - began
            if _MARK in line:
                process.kill()
                return header, time.perf_counter() - began
    sys.exit(f"{command} ended before its first progress line")


def _told(seconds: tuple[float, ...]) -> str:
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


if __name__ == "__main__":
    main()
