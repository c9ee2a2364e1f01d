"""Mutated recipes: each is taken, or refused in sentences that name a key and a place, at once.

    python -m tests.fuzz.recipes --cases 6000 --seed 0

Every shipped config is mutated in its bytes, its lines and its values, and by overrides. A case is *wrongly accepted*
when the loader takes a number, a name or a text that no machine, file system or phone could (`odd_values`), or when
what it took does not survive being written down and read again.
"""

import json
import math
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.counting import Counts, main
from tfkit.config import dump_recipe, find_script, load_recipe, load_tuned_recipe, shipped_recipes
from tfkit.errors import TfkitError, is_printable

LONGEST_MESSAGE = 12_000

VALUES = (
    "-1", "0", "1e300", "1.0e-300", "-.inf", ".nan", "1000000000", "99999999999999999999999", "9" * 5000, "2.5", "true",
    "null", "''", "' '", "'a\tb'", '"\\0"', '"\\n"', '"\\ud800"', '"\\e[31m"', "~no-such-user/x", "/dev/zero", "../..",
    ".", "..",
    "[]", "[[]]", "{}", "{a: 1}", "[1, 1]", "['', '']", "!!int foo", "!!float x", "!!bool maybe", "!!timestamp foo",
    "!!binary x", "!!set {a}", "!!omap [a: 1]", "!!python/object/apply:os.system ['true']", "!unknown x", "*nothing",
    "&a [*a]", "<<", "2024-01-01", "0x10", "0o7", "1_000", "1:30", "=", "|", ">", "@x", "`x`", "%x", "? x", "- -",
    "'", '"',
    "[" * 40, "{" * 40, "[" * 1000 + "]" * 1000, "a" * 300, "a" * 5000, "é" * 150, "\u202ex", "[/b]", "[red]x",
)  # fmt: skip
_NEVER_ZERO = ("learning_rate", "temperature", "width", "adversarial", "r_drop", "max_latency_ms", "latency_ms_p95")
CHARACTERS = "\0\x01\x07\x1b\x7f\x85\u2028\u202e\ufeff\ufffe:{}[],&*#?|-<>=!%@`'\"\\ \t\n0.eé犬😀"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(8)
)


@dataclass(frozen=True)
class Case:
    """A recipe file's bytes and the overrides beside it."""

    kind: str
    content: bytes
    overrides: tuple[str, ...] = ()


def cases(count: int, seed: int) -> Iterator[Case]:
    """`count` mutated recipes; the same seed gives the same ones."""
    shipped = [recipe.path.read_text(encoding="utf-8") for recipe in shipped_recipes()]
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        kind = rng.choice(list(_MUTATIONS))
        yield _MUTATIONS[kind](rng, rng.choice(shipped))


def run_cases(count: int, seed: int, folder: Path) -> Counts:
    """Load every case as `tfkit check`, `tfkit run` and `tfkit tune` do before they start TensorFlow."""
    counts = Counts()
    scripts = _scripts()
    for number, case in enumerate(cases(count, seed)):
        path = folder / "mutated.yaml"
        path.write_bytes(case.content)
        started = time.process_time()
        ended = _end_of(path, case.overrides, scripts)
        seconds = time.process_time() - started
        outcome, _, detail = ended.partition(": ")
        words = [override[:60] for override in case.overrides]
        counts.add(case.kind, outcome, seconds, f"{seed}/{number} {case.kind} {words} {detail[:300]}")
    return counts


def _end_of(path: Path, overrides: tuple[str, ...], scripts: set[str]) -> str:
    try:
        config = load_recipe(path, overrides)
        find_script(config.recipe)
        if config.tune is not None and config.tune.space:  # `tfkit tune` alone reads it
            load_tuned_recipe(path, overrides)
        again = path.with_name("again.yaml")
        again.write_text(dump_recipe(config), encoding="utf-8")
        odd = odd_values(json.loads(config.model_dump_json()))
        if config.recipe not in scripts:
            odd.append(f"recipe {config.recipe}")
        if load_recipe(again) != config.model_copy(update={"tune": None}):  # a sweep is no part of a run
            odd.append("it is another recipe when it is written and read again")
    except TfkitError as fault:
        told = f"{fault} {fault.hint}"
        if len(told) > LONGEST_MESSAGE:
            return f"too long a message: {len(told)} characters"
        if not is_printable(told.replace("\n", "")):
            return f"not printable: {told[:200]!r}"
        return "told in a sentence"
    except BaseException as fault:
        return f"unexpected: {type(fault).__name__} {str(fault)[:200]!r}"
    return f"wrongly accepted: {odd}" if odd else "accepted"


def odd_values(value: Any, name: str = "") -> list[str]:
    """What of a recipe's values nothing could hold: float32, a file system, a line of labels, a machine's memory."""
    if isinstance(value, dict):
        return [
            odd for key, item in value.items() for odd in (*_odd_text(key, name), *odd_values(item, f"{name}.{key}"))
        ]
    if isinstance(value, list):
        return [odd for item in value for odd in odd_values(item, name)]
    if isinstance(value, str):
        return _odd_text(value, name)
    if isinstance(value, bool) or value is None:
        return []
    becomes_nothing = name.endswith(_NEVER_ZERO) and value < 1e-38  # elsewhere 0 is as good
    if not math.isfinite(value) or value > 3.41e38 or value < 0 or becomes_nothing:
        return [f"{name} {value}"]
    most = {"seed": 2**32, "cache_mb": 2**31, "image_size": 10_000, "max_pixels": 2**34, "max_bytes": 2**54}.get(
        name.rpartition(".")[2]
    )
    most = 2**54 if "max_parameters" in name or "max_multiply_adds" in name else most
    return [f"{name} {value}"] if isinstance(value, int) and value > (most or 10**6) else []


def _odd_text(value: str, name: str) -> list[str]:
    separator = name.endswith("separator")
    is_name = name == ".run.name"
    folder = value not in ("", ".", "..") and value == value.strip() and "/" not in value and len(value.encode()) <= 255
    if (not separator and not is_printable(value)) or (is_name and not folder):
        return [f"{name} {value[:40]!r}"]
    return []


def _scripts() -> set[str]:
    import tfkit._recipes as package

    return {file.stem for folder in package.__path__ for file in Path(folder).glob("[!_]*.py")}


def _bytes_changed(rng: random.Random, text: str) -> Case:
    content = bytearray(text.encode())
    for _ in range(rng.randint(1, 8)):
        place = rng.randrange(len(content))
        action = rng.randrange(3)
        if action == 0:
            content[place] = rng.randrange(256)
        elif action == 1:
            del content[place : place + rng.randint(1, 20)]
        else:
            content[place:place] = rng.choice(CHARACTERS).encode()
    return Case("bytes", bytes(content))


def _lines_changed(rng: random.Random, text: str) -> Case:
    lines = text.split("\n")
    for _ in range(rng.randint(1, 4)):
        place, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        action = rng.randrange(4)
        if action == 0:
            lines[place], lines[other] = lines[other], lines[place]
        elif action == 1:
            lines.insert(place, lines[other])
        elif action == 2:
            lines[place] = " " * rng.randint(0, 6) + lines[place].strip()
        else:
            lines[place] = lines[place][: rng.randint(0, len(lines[place]))]
    return Case("lines", "\n".join(lines).encode())


def _value_changed(rng: random.Random, text: str) -> Case:
    lines = text.split("\n")
    keyed = [place for place, line in enumerate(lines) if ":" in line and not line.strip().startswith("#")]
    for place in rng.sample(keyed, rng.randint(1, 2)):
        lines[place] = f"{lines[place].split(':')[0]}: {rng.choice(VALUES)}"
    return Case("values", "\n".join(lines).encode("utf-8", "surrogatepass"))


def _overridden(rng: random.Random, text: str) -> Case:
    sections = [line.split(":")[0] for line in text.split("\n") if line[:1].isalpha() and ":" in line]
    keys = [line.split(":")[0].strip() for line in text.split("\n") if ":" in line and not line.strip().startswith("#")]
    words = []
    for _ in range(rng.randint(1, 3)):
        name = (
            f"{rng.choice(sections)}.{rng.choice(keys)}"
            if rng.random() < 0.8
            else rng.choice([*sections, "", ".", "a.b.c"])
        )
        words.append(f"{name}{rng.choice(['=', '=', '=', '', '=='])}{rng.choice(VALUES)}")
    return Case("overrides", text.encode(), tuple(words))


def _structure_changed(rng: random.Random, text: str) -> Case:
    deep = rng.choice((17, 100, 400, 1000, 3000))
    odd = (
        BOMB,
        f"zzz: {'[' * deep}{']' * deep}\n",
        f"zzz: {'{a: ' * deep}{'}' * deep}\n",
        "".join(f"{' ' * n}a:\n" for n in range(min(deep, 300))),
        "? [a, b]\n: c\n",
        "--- \n--- \n",
        "%YAML 9.9\n---\n",
        "a: &x {b: *x}\n",
        "run: {name: x}\nrun: {name: y}\n",
        "zzz: " + "x" * rng.choice((10_000, 200_000)) + "\n",
        "\n".join(f"key{n}: 1" for n in range(2000)) + "\n",
    )
    piece = rng.choice(odd)
    whole = rng.choice(
        (piece, text + "\n" + piece, piece + text, text.replace("\n", "\n" + piece.split("\n")[0] + "\n", 1))
    )
    return Case("structure", whole.encode(rng.choice(("utf-8", "utf-8", "utf-8", "utf-16", "latin-1")), "replace"))


_MUTATIONS = {
    "bytes": _bytes_changed,
    "lines": _lines_changed,
    "values": _value_changed,
    "overrides": _overridden,
    "structure": _structure_changed,
}


if __name__ == "__main__":
    sys.exit(main("recipes", __doc__, 6000, run_cases))
