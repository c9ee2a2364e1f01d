"""How the cases of a fuzz script ended, and its command line."""

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SLOW_SECONDS = 2.0  # processor seconds of one case


@dataclass
class Counts:
    """How the cases ended.

    Attributes:
        ended: Cases by how they ended.
        by_kind: Cases by what was changed in them.
        faults: Those that ended as none may, each with its number.
        slow: Those over `SLOW_SECONDS`. Scripts print them; no test asks for them, because a busy machine is slower.
        slowest: The most processor seconds that one took.
    """

    ended: Counter[str] = field(default_factory=Counter)
    by_kind: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def add(self, kind: str, outcome: str, seconds: float, told: str) -> None:
        """Count one case; `told` is its line where it is a fault or slow."""
        self.by_kind[kind] += 1
        self.ended[outcome] += 1
        self.slowest = max(self.slowest, seconds)
        line = f"{told}, {seconds:.1f} s: {outcome}"
        if outcome not in ("accepted", "told in a sentence"):
            self.faults.append(line)
        if seconds > SLOW_SECONDS:
            self.slow.append(line)


def main(what: str, description: str | None, cases: int, run: Callable[[int, int, Path], Counts]) -> int:
    """Run the cases that the command line asks for and print the counts; 1 when one was slow or ended as none may."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=cases)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = run(asked.cases, asked.seed, Path(folder))
    print(f"{asked.cases} mutated {what}, seed {asked.seed}; slowest {counts.slowest:.2f} CPU seconds")
    print(f"  {', '.join(f'{name} {number}' for name, number in sorted(counts.by_kind.items()))}")
    for name, number in counts.ended.most_common():
        print(f"  {number:6} {name}")
    print(f"  {len(counts.slow):6} over {SLOW_SECONDS:.0f} s")
    for line in (*counts.faults, *(line for line in counts.slow if line not in counts.faults)):
        print(f"  {line}")
    return 1 if counts.faults or counts.slow else 0
