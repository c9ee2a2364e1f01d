"""Write the table of files and other people's runtimes: `python -m tests.consumers.table [--models digits faq]`.

It trains the models, asks every consumer about every file on test inputs that no training saw, and writes
tests/benchmarks/results/consumers.md. The rows of models that were not asked for stay as they are.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.consumers.consumers import CONSUMERS, MEDIAPIPE, VELA, Consumer
from tests.consumers.environments import NotInstallableError
from tests.consumers.subjects import SUBJECTS, Subject
from tfkit.artifacts import Artifact
from tfkit.benchmarking import describe_host
from tfkit.runtimes import read_portability
from tfkit.verification import place_on_npu

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "consumers.md"
NPU = "ethos-u55-128"
_EPOCHS = {"digits": 10, "intents": 12, "faq": 6}
_COUNT = 60


def cell(consumer: Consumer, subject: Subject, file: Artifact) -> str:
    """What one consumer makes of one file."""
    if file.format not in consumer.reads:
        return ""
    try:
        answer = consumer.ask(file, subject.inputs, subject.texts)
    except NotInstallableError as fault:
        return f"not asked: {fault}"
    if answer.scores is None:
        print(f"{consumer.title} refuses {subject.name}, {file.path.name}: {answer.refusal}", file=sys.stderr)
        return "refused"
    expected = subject.expected(file)
    difference = f"{np.abs(answer.scores - expected).max():.1g}"
    if not file.class_names:
        products = (answer.scores * expected).sum(1)
        cosines = products / (np.linalg.norm(answer.scores, axis=1) * np.linalg.norm(expected, axis=1))
        return f"cosine {cosines.min():.4f}"
    same = (answer.scores.argmax(1) == expected.argmax(1)).mean()
    return f"{same:.3f} ({difference})"


def on_npu(file: Artifact) -> str:
    """The share of a file's operators on an NPU."""
    try:
        placement = place_on_npu(file.path, NPU)
    except NotInstallableError as fault:
        return f"not asked: {fault}"
    return f"{placement.npu_operators / (placement.npu_operators + placement.cpu_operators):.0%}"


def rows(subject: Subject) -> list[str]:
    """One row for each file."""
    told = []
    for file in (*subject.files, *subject.for_mediapipe):
        extra = file in subject.for_mediapipe
        answers = [cell(consumer, subject, file) for consumer in CONSUMERS]
        name = f"{file.path.stem.removeprefix('model_')}{', --segment-ids' if extra else ''}"
        if file.format == "onnx":
            told.append(f"| {' | '.join([subject.name, f'{name}, ONNX', '', *answers, ''])} |")
            continue
        told.append(
            f"| {' | '.join([subject.name, name, read_portability(file.path).min_runtime, *answers, on_npu(file)])} |"
        )
    return told


def main() -> None:
    """Train, ask, and write what is known after each model: an interrupted run leaves whole rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    wanted = parser.parse_args().models
    os.environ["PATH"] = f"{VELA.folder() / 'bin'}{os.pathsep}{os.environ['PATH']}"
    here, table = Path(tempfile.mkdtemp(prefix="tfkit-")), _rows_written()
    try:
        for name in wanted:
            subject = SUBJECTS[name](here, epochs=_EPOCHS[name], count=_COUNT)
            table = [row for row in table if not row.startswith(f"| {subject.name} |")] + rows(subject)
            RESULTS.write_text(_page(table))
    finally:
        shutil.rmtree(here)
    print(RESULTS.read_text())


def _rows_written() -> list[str]:
    """The rows of the table as it is, without its heading."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    return [line for line in lines if line.startswith("| ")][2:]


def _page(table: list[str]) -> str:
    titles = [consumer.title for consumer in CONSUMERS]
    headings = ["model", "file", "least TensorFlow Lite", *titles, f"Vela 5.2.0, {NPU}"]
    host = describe_host()
    versions = ", ".join(f"{name} {version}" for name, version in host.versions.items())
    return f"""# Who reads the files

What `python -m tests.consumers.table` wrote: every file but the SavedModels of small models trained by the
recipes that come with tfkit, asked about {_COUNT} test inputs in other people's runtimes, each in an environment of its
own. A cell says on which share of the inputs the answer is that of the LiteRT, for ONNX of the onnxruntime, that tfkit
itself runs, and by how much a score differs at most; of vectors, the least cosine. Where an answer is another, the two
best scores are nearer to each other than twice that difference. "refused" is an error when the file is opened, never a
wrong answer. Of the NPU: operators on it.

| {" | ".join(headings)} |
| {" | ".join("---" for _ in headings)} |
{chr(10).join(table)}

- tflite-runtime 2.14.0 is older than per-channel int8 weights in float layers, and than the 16-bit kernels in int8
  files of texts: it refuses them by their operator versions. TFLite Micro has no kernels for them, nor for float16;
  for texts it lacks more.
- tf2onnx has no conversion of GELU, so that onnxruntime reads no transformer's `.tflite` file; it reads the ONNX files.
- {MEDIAPIPE.title} makes the tensors itself, by the metadata in the file. Its text tasks want BERT's third input,
  which `export.segment_ids: true` and `tfkit export --segment-ids` add. It takes no grey pictures.
- NPUs compute whole numbers: of float files next to nothing runs there, and Vela says so without an error. Functions
  that int8 files look up in tables (ELU, SELU, Mish, ...) leave a CAST and a GATHER each to the processor beside it.

Measured on {host.processor}, {host.cores} cores, Python {host.python}, {versions}.
"""


if __name__ == "__main__":
    main()
