"""Mutated files: each is used, or refused in a sentence that names it; none ends the process or holds it up.

    python -m tests.fuzz.files --cases 1000 --seed 0

Bytes and structure of `.tflite`, `.keras`, `.npz`, CSV, JPEG, PNG, labels, tokenizers, search indexes and of every file
of an artifacts folder are changed, and the result is given to `tfkit predict`, `verify` and `benchmark` as a user
would. The commands run in a worker, which is started again after a crash or a hang. A case is *wrongly accepted* when a
file that carries check sums (an artifacts folder, `.keras`, `.npz`, PNG) is used and answers otherwise than the whole
one.
"""

import contextlib
import io
import json
import random
import select
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.counting import Counts, main

HANG_SECONDS = 120  # by the clock: on a busy machine an honest answer takes long
QUICK = ("--seconds", "0", "--runs", "1", "--warmup-runs", "0")
_FIELDS = ("type", "shape", "buffer", "inputs", "outputs", "ends", "order", "code", "scale", "data", "signature")
_CHECKED = {"artifacts", "keras", "npz", "png"}  # what carries check sums: another answer is a wrong one


@dataclass(frozen=True)
class Case:
    """What a worker is to do with a mutated file: a command's words, or a function of `_CALLS` and its folder."""

    kind: str
    words: tuple[str, ...]
    named: str  # what a refusal must name
    change: str


# --- the whole files -----------------------------------------------------------------------------------------------


def make_whole_files(folder: Path) -> None:
    """A tiny classifier, its exported files, and every other kind of file that is mutated."""
    import keras
    import numpy as np
    import tensorflow as tf

    from tfkit.artifacts import ImageSpec
    from tfkit.artifacts.search_index import SearchIndex
    from tfkit.data.text import learn_word_pieces
    from tfkit.exporters import export_formats

    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3), name="pixels")
    x = keras.layers.Conv2D(16, 3, activation="relu", name="mix")(keras.layers.Rescaling(1 / 255)(inputs))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="scores")(x))
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (12, 16, 16, 3), np.uint8)
    described = {"spec": ImageSpec(16, 16), "class_names": ("a", "b", "c"), "calibration": pixels}
    formats = ("saved_model", "tflite_float32", "tflite_dynamic_int8", "tflite_int8")
    export_formats(model, formats, folder / "artifacts", **described)
    labels = np.arange(12) % 3
    np.savez(folder / "data.npz", x=pixels, y=labels, class_names=np.array(["a", "b", "c"]))
    (folder / "pictures").mkdir()
    large = rng.integers(0, 256, (64, 64, 3), np.uint8)
    (folder / "pictures" / "p.png").write_bytes(tf.io.encode_png(large).numpy())
    (folder / "pictures" / "p.jpg").write_bytes(tf.io.encode_jpeg(large, quality=90).numpy())
    rows = [f"pictures/p.{'png' if n % 2 else 'jpg'},{'abc'[n % 3]}\n" for n in range(12)]
    (folder / "data.csv").write_text("path,label\n" + "".join(rows))
    (folder / "labels.txt").write_text("ants\nbees\nwasps\n")
    texts = [f"where is my parcel number {n}" for n in range(40)]
    learn_word_pieces(texts, size=80).save(folder / "texts" / "tokenizer")
    vectors = np.eye(4, dtype=np.float32)
    SearchIndex(tuple("abcd"), np.array([0, 1, 0, 1], np.int32), ("x", "y"), vectors).save(folder / "texts" / "search")


# --- mutations -----------------------------------------------------------------------------------------------------


def cases(count: int, seed: int, whole: Path, place: Path) -> Iterator[Case]:
    """`count` mutated files, each written just before it is given; the same seed gives the same ones."""
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        kind = list(_KINDS)[number % len(_KINDS)]
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(whole, place)
        yield _KINDS[kind](rng, place)


def mutated(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """Bytes flipped, cut off, removed, put in, or zeroed."""
    changed = bytearray(content)
    action = rng.choice(("flip", "flip", "flip", "cut", "remove", "insert", "zero", "empty", "doubled"))
    at = rng.randrange(max(len(content), 1))
    length = rng.randint(1, 64)
    if action == "flip":
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(max(len(content), 1))
            changed[at : at + 1] = bytes([changed[at] ^ (1 << rng.randrange(8))]) if changed else b""
    elif action == "cut":
        del changed[at:]
    elif action == "remove":
        del changed[at : at + length]
    elif action == "insert":
        changed[at:at] = rng.randbytes(length)
    elif action == "zero":
        changed[at : at + length] = bytes(len(changed[at : at + length]))
    elif action == "empty":
        changed.clear()
    else:
        changed += content
    return bytes(changed), f"{action} at {at}"


def _change(rng: random.Random, file: Path) -> str:
    content, change = mutated(rng, file.read_bytes())
    file.write_bytes(content)
    return f"{file.name}: {change}"


def _command(rng: random.Random, target: Path, place: Path) -> tuple[str, ...]:
    picture = str(place / "pictures" / "p.png")
    return rng.choice(
        (
            ("predict", str(target), picture, "--json"),
            ("verify", str(target), "--data", str(place / "data.npz"), "--json"),
            ("benchmark", str(target), *QUICK),
        )
    )


def _tflite_bytes(rng: random.Random, place: Path) -> Case:
    file = _alone(rng, place)
    return Case("tflite", _command(rng, file, place), file.name, _change(rng, file))


def _tflite_structure(rng: random.Random, place: Path) -> Case:
    """One field of the flatbuffer set to what it cannot be: what bytes hit seldom, and what crashed LiteRT."""
    from ai_edge_litert.tools import flatbuffer_utils

    file = _alone(rng, place)
    model = flatbuffer_utils.read_model(str(file))
    graph = model.subgraphs[0]
    tensor, operator = rng.choice(graph.tensors), rng.choice(graph.operators)
    number = rng.choice((-2, -1, 0, 1, 3, 255, 65_536, 2**31 - 1))
    change = rng.choice(_FIELDS)
    if change == "type":
        tensor.type = rng.randrange(18)
    elif change == "shape":
        tensor.shape = [
            number if rng.random() < 0.5 else size for size in (tensor.shape if tensor.shape is not None else [1])
        ]
    elif change == "buffer":
        tensor.buffer = abs(number) % (len(model.buffers) + 2)
    elif change == "inputs":
        operator.inputs = [rng.choice((number, one)) for one in operator.inputs]
    elif change == "outputs":
        operator.outputs = [rng.choice((number, one)) for one in operator.outputs]
    elif change == "ends":
        setattr(graph, rng.choice(("inputs", "outputs")), rng.choice(([], [number], [0, 0])))
    elif change == "order":
        rng.shuffle(graph.operators)
    elif change == "code":
        code = rng.choice(model.operatorCodes)
        code.builtinCode = code.deprecatedBuiltinCode = rng.randrange(127)
    elif change == "scale" and tensor.quantization is not None:
        tensor.quantization.scale = [rng.choice((0.0, -1.0, float("nan"), float("inf"), 1e-45))]
    elif change == "data":
        buffer = rng.choice(model.buffers)
        buffer.data = list(rng.randbytes(rng.choice((0, 1, 16))))
    elif change == "signature":
        model.signatureDefs = []
    flatbuffer_utils.write_model(model, str(file))
    return Case("tflite structure", _command(rng, file, place), file.name, f"{file.name}: {change} {number}")


def _alone(rng: random.Random, place: Path) -> Path:
    """A `.tflite` file outside of its folder, as one from elsewhere, which no check sum covers."""
    source = rng.choice(sorted((place / "artifacts").glob("*.tflite")))
    (place / "outside").mkdir()
    return Path(shutil.copy(source, place / "outside" / source.name))


def _artifacts(rng: random.Random, place: Path) -> Case:
    file = rng.choice(sorted(path for path in (place / "artifacts").rglob("*") if path.is_file()))
    before = file.read_bytes()
    if not before:
        file = place / "artifacts" / "manifest.json"
        before = file.read_bytes()
    words = _command(rng, place / "artifacts", place)
    change = _change(rng, file)
    if file.read_bytes() == before:  # zeros over zeros
        file.write_bytes(before + b"\0")
    # A folder is named where the manifest knows no single file of it.
    return Case("artifacts", words, "", change)


def _manifest_values(rng: random.Random, place: Path) -> Case:
    """A manifest that says something odd, in a folder whose check sums fit."""
    from tfkit.artifacts.manifest import write_check_sums

    path = place / "artifacts" / "manifest.json"
    document = json.loads(path.read_text())
    holders = list(_holders(document))
    holder, key = rng.choice(holders)
    odd: Any = rng.choice(
        (None, -1, 0, 1e300, "", "x", "../..", "/etc/passwd", "a\nb", [], {}, [[]], True, "\0", 2**70)
    )
    holder[key] = odd
    path.write_text(json.dumps(document))
    write_check_sums(path.parent)
    return Case("manifest", _command(rng, path.parent, place), "", f"{key}: {odd!r}")


def _holders(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from _holders(item)


def _keras(rng: random.Random, place: Path) -> Case:
    file = place / "model.keras"
    words = ("predict", str(file), str(place / "pictures" / "p.png"), "--json")
    return Case("keras", words, file.name, _change(rng, file))


def _keras_config(rng: random.Random, place: Path) -> Case:
    """A `.keras` whose check sums fit and whose configuration is odd."""
    file = place / "model.keras"
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    document = json.loads(members["config.json"])
    holder, key = rng.choice(list(_holders(document)))
    odd: Any = rng.choice((None, -1, 0, 1e300, "", "x", [], {}, True, 10**9, "builtins.eval"))
    holder[key] = odd
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, json.dumps(document) if name == "config.json" else content)
    words = ("predict", str(file), str(place / "pictures" / "p.png"))
    return Case("keras config", words, file.name, f"{key}: {odd!r}")


def _h5(rng: random.Random, place: Path) -> Case:
    file = place / "model.h5"
    return Case("h5", ("predict", str(file), str(place / "pictures" / "p.png")), file.name, _change(rng, file))


def _npz(rng: random.Random, place: Path) -> Case:
    file = place / "data.npz"
    words = ("verify", str(place / "artifacts" / "model_int8.tflite"), "--data", str(file), "--json")
    return Case("npz", words, file.name, _change(rng, file))


def _csv(rng: random.Random, place: Path) -> Case:
    file = place / "data.csv"
    words = ("verify", str(place / "artifacts" / "model_int8.tflite"), "--data", str(file))
    return Case("csv", words, "", _change(rng, file))


def _picture(kind: str) -> Callable[[random.Random, Path], Case]:
    def change(rng: random.Random, place: Path) -> Case:
        file = place / "pictures" / f"p.{kind}"
        words = ("predict", str(place / "artifacts" / "model_float32.tflite"), str(file), "--json")
        return Case(kind, words, file.name, _change(rng, file))

    return change


def _labels(rng: random.Random, place: Path) -> Case:
    file = place / "labels.txt"
    outside = _alone(rng, place)
    words = ("predict", str(outside), str(place / "pictures" / "p.png"), "--labels", str(file))
    return Case("labels", words, "", _change(rng, file))


def _called(kind: str, folder: str) -> Callable[[random.Random, Path], Case]:
    def change(rng: random.Random, place: Path) -> Case:
        file = rng.choice(sorted(path for path in (place / "texts" / folder).iterdir() if path.is_file()))
        return Case(kind, (f"call {kind}", str(place / "texts" / folder)), folder, _change(rng, file))

    return change


_KINDS: dict[str, Callable[[random.Random, Path], Case]] = {
    "tflite": _tflite_bytes,
    "tflite structure": _tflite_structure,
    "artifacts": _artifacts,
    "manifest": _manifest_values,
    "keras": _keras,
    "keras config": _keras_config,
    "h5": _h5,
    "npz": _npz,
    "csv": _csv,
    "jpg": _picture("jpg"),
    "png": _picture("png"),
    "labels": _labels,
    "tokenizer": _called("tokenizer", "tokenizer"),
    "search": _called("search", "search"),
}


# --- the worker ----------------------------------------------------------------------------------------------------


class Worker:
    """A process that runs one command after another, so that TensorFlow is started once; made again when it ends."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, words: tuple[str, ...]) -> dict[str, Any]:
        """The command's status, what it printed, and its CPU seconds; `crash` or `hang` when it gave no answer."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.files", "--worker"],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(words) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], HANG_SECONDS)
        line = process.stdout.readline() if ready else ""
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        if not ready:
            process.kill()
        status = process.wait()
        self._process = None
        return {"end": "hang" if not ready else "crash", "status": status, "out": "", "err": "", "seconds": 0.0}

    def close(self) -> None:
        """End the process."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()


def serve() -> None:
    """Run commands from standard input until it ends."""
    import tensorflow  # noqa: F401 - started before the first case, whose seconds are counted

    from tfkit.artifacts.search_index import load_search_index
    from tfkit.cli.main import main as tfkit
    from tfkit.data.text import open_tokenizer
    from tfkit.errors import TfkitError

    calls: dict[str, Callable[[Path], Any]] = {"call tokenizer": open_tokenizer, "call search": load_search_index}
    for line in sys.stdin:
        words = json.loads(line)
        out, err = io.StringIO(), io.StringIO()
        started, status = time.process_time(), 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            if words[0] in calls:
                try:
                    calls[words[0]](Path(words[1]))
                except TfkitError as fault:
                    status = 1
                    err.write(f"error: {fault}")
                except Exception as fault:
                    status = 1
                    err.write(f"error: unexpected {type(fault).__name__}: {fault}")
            else:
                status = tfkit(words)
        seconds = time.process_time() - started
        answer = {"end": "answer", "status": status, "out": out.getvalue(), "err": err.getvalue(), "seconds": seconds}
        print(json.dumps(answer), flush=True)


# --- judging -------------------------------------------------------------------------------------------------------


def run_cases(count: int, seed: int, folder: Path) -> Counts:
    """Give every mutated file to tfkit, and count how it ended."""
    whole, place = folder / "whole", folder / "mutated"
    whole.mkdir()
    make_whole_files(whole)
    counts, worker = Counts(), Worker()
    right: dict[tuple[str, ...], Any] = {}
    shutil.copytree(whole, place)
    worker.run(("predict", str(place / "model.keras"), str(place / "pictures" / "p.png")))  # the first one is slow
    for number, case in enumerate(cases(count, seed, whole, place)):
        answer = worker.run(case.words)
        outcome = _outcome(case, answer)
        if outcome == "accepted" and case.kind in _CHECKED and "--json" in case.words:
            if case.words not in right:
                shutil.rmtree(place)
                shutil.copytree(whole, place)
                right[case.words] = _answers(worker.run(case.words)["out"])
            if case.kind == "artifacts" or _answers(answer["out"]) != right[case.words]:
                outcome = "wrongly accepted"
        if outcome == "accepted" and case.kind == "artifacts":
            outcome = "wrongly accepted"
        told = " ".join(answer["err"].split())[:260]
        line = f"{seed}/{number} {case.kind} ({case.change}), {case.words[0]}, status {answer['status']}, {told}"
        counts.add(case.kind, outcome, answer["seconds"], line)
    worker.close()
    return counts


def _outcome(case: Case, answer: dict[str, Any]) -> str:
    if answer["end"] != "answer":
        return str(answer["end"])
    if "unexpected" in answer["err"] or "Traceback" in answer["err"]:
        return "unexpected"
    if answer["status"] in (0, 3):  # 3: used, and refused for its figures
        return "accepted"
    if "error: " not in answer["err"]:
        return "nothing told"
    return "told in a sentence" if case.named in answer["err"] else "file not named"


def _answers(out: str) -> Any:
    """What of a command's JSON says how it answered, without times and sizes."""
    document = json.loads(out)
    if "images" in document:
        return document["images"]
    return [(row["accuracy"], row["agreement"]) for row in document["artifacts"]]


if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        serve()
    else:
        sys.exit(main("files", __doc__, 1000, run_cases))
