"""One byte changed anywhere in a bundle: `tfkit verify` must name the file, each time.

    python tests/benchmarks/bundle_byte_changed.py BUNDLE [--times 1000] [--seed 0]

Files are drawn by their size, every tenth time evenly, so that small ones are met too; the bundle is copied first.
"""

import argparse
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from tfkit.deployment.bundle import YOURS, read_bundle
from tfkit.errors import TfkitError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, named, missed = random.Random(options.seed), 0, Counter()
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / options.bundle.name
        shutil.copytree(options.bundle, bundle)
        files = [path for path in sorted(bundle.rglob("*")) if path.is_file() and path.name not in YOURS]
        sizes = [path.stat().st_size for path in files]
        for number in range(options.times):
            file = rng.choice(files) if number % 10 == 0 else rng.choices(files, sizes)[0]
            whole = file.read_bytes()
            changed = bytearray(whole)
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            file.write_bytes(changed)
            try:
                read_bundle(bundle)
                missed[f"{file.relative_to(bundle)}: accepted"] += 1
            except TfkitError as fault:
                if file.name in f"{fault} {fault.hint}":
                    named += 1
                else:
                    missed[f"{file.relative_to(bundle)}: {fault}"] += 1
            file.write_bytes(whole)
        read_bundle(bundle)
    print(f"{named:,} of {options.times:,} changed bytes named, seed {options.seed}, {len(files)} files")
    for line, count in missed.items():
        print(f"  {count} {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
