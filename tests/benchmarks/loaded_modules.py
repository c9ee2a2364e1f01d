"""How many modules of tfkit the same commands load in several checkouts, and how long those are, as Markdown.

    python tests/benchmarks/loaded_modules.py CHECKOUT [CHECKOUT ...]

Each CHECKOUT has an environment `.venv` with its tfkit in it. The commands are those that the first release had: its
three recipes with every stage on data that come with tfkit, and each command on what they made. What they never load -
the faults of data that are not there, presets that must be downloaded - is counted on no side.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measured import measured_on

_RECORDER = """\
import atexit, os, sys
def _write():
    names = sorted(name for name in sys.modules if name.split(".")[0] == "tfkit")
    with open(os.path.join(os.environ["TFKIT_LOADED"], str(os.getpid())), "w") as file:
        file.write("\\n".join(f"{name} {getattr(sys.modules[name], '__file__', '')}" for name in names))
atexit.register(_write)
"""
_QUICK = "head.epochs=1 fine_tune.epochs=1"
_ANY = "acceptance.max_accuracy_drop=1 acceptance.min_agreement=0"
_COMMANDS = f"""\
run digits_base {_QUICK.split()[1]}
run digits {_QUICK} quantization.epochs=1 {_ANY}
run digits run.name=channels {_QUICK} pruning={{method: channels, keep: 0.5, epochs: 1}} quantization=null {_ANY}
run digits run.name=sparse {_QUICK} pruning={{sparsity: 0.5, epochs: 1}} distillation={{}} quantization.epochs=1 {_ANY}
run intents_small fine_tune.epochs=1 quantization.epochs=1 {_ANY}
run intents_small run.name=smaller fine_tune.epochs=1 pruning={{heads: 1, epochs: 1}} quantization.epochs=1 {_ANY}
run faq_small fine_tune.epochs=1 {_ANY}
check digits
verify runs/digits
predict runs/intents_small hello
predict runs/faq_small hello
predict runs/digits runs/digits/golden
benchmark runs/digits
export runs/digits/models/float.keras --output exported --format tflite_float32
optimize runs/digits --data digits --max-drop 0.9
doctor
recipes list
"""


def main() -> None:
    """Run the commands in each checkout and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkouts", type=Path, nargs="+")
    rows = []
    for checkout in parser.parse_args().checkouts:
        loaded, failed = _loaded(checkout.resolve())
        lines = sorted(len(file.read_text(encoding="utf-8").splitlines()) for file in loaded.values())
        figures = (len(lines), sum(lines), statistics.median(lines), lines[int(0.9 * len(lines))], lines[-1])
        rows.append((checkout.name, *figures, ", ".join(failed) or "none"))
    print("| checkout | modules loaded | their lines | median | 90 % | longest | commands that failed |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        print(f"| {' | '.join(f'{cell:,.0f}' if not isinstance(cell, str) else cell for cell in row)} |")
    print(f"\n{measured_on()}")


def _loaded(checkout: Path) -> tuple[dict[str, Path], list[str]]:
    """The modules of all commands with their files, and the commands that failed."""
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        place, kept = Path(folder, "work"), Path(folder, "loaded")
        (place / "recorder").mkdir(parents=True)
        kept.mkdir()
        (place / "recorder" / "sitecustomize.py").write_text(_RECORDER)
        known = os.environ | {"PYTHONPATH": str(place / "recorder"), "TFKIT_LOADED": str(kept)}
        for line in _COMMANDS.splitlines():
            words = _words(line)
            done = subprocess.run(
                [checkout / ".venv/bin/tfkit", *words], cwd=place, env=known, capture_output=True, text=True
            )
            if done.returncode:
                failed.append(line.split(" run.name")[0][:40])
                print(line, done.stdout[-300:], done.stderr[-600:], sep="\n", file=sys.stderr)
        told = [line.split(" ", 1) for file in kept.iterdir() for line in file.read_text().splitlines()]
    return {name: Path(file) for name, file in told if file.endswith(".py")}, failed


def _words(line: str) -> list[str]:
    """A command's words; a value in braces is one, spaces and all."""
    words: list[str] = []
    for word in line.split():
        if words and words[-1].count("{") > words[-1].count("}"):
            words[-1] += f" {word}"
        else:
            words.append(word)
    return words


if __name__ == "__main__":
    main()
