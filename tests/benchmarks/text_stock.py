"""The files of a text run beside those that TensorFlow's own converter makes of the same float model.

    python tests/benchmarks/text_stock.py RUN DATA [--representative 200] [--rounds 20]

RUN is the folder of a finished run of `intents` with a static length (text_recipes.py --keep leaves it, case
intents_int8); DATA holds banking77/. The stock files are float32, dynamic range, and int8 with representative training
texts, made of RUN's `models/float.keras` and never trained on their grid. Every file answers every test text on one
thread; then the files take turns, so that a busy moment hits all of them, and the median of each is told.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfkit import benchmarking
from tfkit.data.text import load_text_splits, open_tokenizer, token_arrays
from tfkit.models import load_model_file
from tfkit.runtimes import KerasRuntime, LiteRTRuntime

_COLUMNS = ("file", "accuracy", "with the float model", "bytes", "p50 (lowest to highest of the rounds)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--representative", type=int, default=200, help="training texts shown to the stock converter")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    report = json.loads((options.run / "report.json").read_text())
    length = report["model"]["text"]["sequence_length"]
    splits = load_text_splits(
        source="csv",
        directory=options.data / "banking77",
        train=Path("train.csv"),
        test=Path("test.csv"),
        label_column="category",
        validation_fraction=0.0,
        seed=0,
    )
    tokenizer = open_tokenizer(options.run / "artifacts" / "tokenizer")
    test = token_arrays(splits.test, tokenizer, sequence_length=length)
    shown = splits.train.select(np.random.default_rng(0).permutation(len(splits.train))[: options.representative])
    model = load_model_file(options.run / "models" / "float.keras")
    expected = KerasRuntime(model).scores(test).argmax(axis=1)
    print(f"float model: accuracy {(expected == splits.test.labels).mean():.4f}, {length} tokens")
    with tempfile.TemporaryDirectory() as folder:
        files = convert(model, token_arrays(shown, tokenizer, sequence_length=length), length, Path(folder))
        files |= {f"tfkit {file.stem}": file for file in sorted((options.run / "artifacts").glob("*.tflite"))}
        compare(files, test, splits.test.labels, expected, options.rounds)
    host = asdict(benchmarking.describe_host())
    print(f"\n{len(expected):,} texts, {options.rounds} rounds of 50 runs, one thread.", end=" ")
    print(f"Measured on {host['cpu']}, {host['cores']} cores, {host['versions']}.")


def convert(model: Any, shown: dict[str, NDArray[np.int32]], length: int, folder: Path) -> dict[str, Path]:
    """Three files of the stock converter."""

    def texts() -> Iterator[dict[str, NDArray[np.int32]]]:
        for place in range(len(shown["token_ids"])):
            yield {name: values[place : place + 1] for name, values in shown.items()}

    def scores(token_ids: Any, padding_mask: Any) -> dict[str, Any]:
        return {"scores": model({"token_ids": token_ids, "padding_mask": padding_mask}, training=False)}

    archive = keras.export.ExportArchive()
    archive.track(model)
    signature = [tf.TensorSpec((1, length), tf.int32, name=name) for name in ("token_ids", "padding_mask")]
    archive.add_endpoint("serving_default", scores, input_signature=signature)
    archive.write_out(folder / "saved_model", verbose=False)
    files = {}
    for name in ("float32", "dynamic range", "int8, post-training"):
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved_model"))
        if name != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if name.startswith("int8"):
            converter.representative_dataset = texts
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        files[f"stock {name}"] = folder / f"{name.split(',')[0]}.tflite"
        files[f"stock {name}"].write_bytes(converter.convert())
    return files


def compare(files: dict[str, Path], test: Any, labels: Any, expected: Any, rounds: int) -> None:
    print("\n| " + " | ".join(_COLUMNS) + " |\n" + "| --- " * len(_COLUMNS) + "|")
    runtimes = {name: LiteRTRuntime(file, threads=1) for name, file in files.items()}
    answers = {name: runtime.scores(test).argmax(axis=1) for name, runtime in runtimes.items()}
    text = {name: values[:1] for name, values in test.items()}
    times: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(rounds):
        for name, runtime in runtimes.items():
            latency = benchmarking.measure_latency(runtime, text, warmup_runs=3, min_runs=50, max_seconds=1.0)
            times[name].append(latency.latency_ms_p50)
    for name, file in files.items():
        accuracy, agreement = (answers[name] == labels).mean(), (answers[name] == expected).mean()
        spread = f"{statistics.median(times[name]):.2f} ms ({min(times[name]):.2f} to {max(times[name]):.2f})"
        print(f"| {name} | {accuracy:.4f} | {agreement:.4f} | {file.stat().st_size:,} | {spread} |")


if __name__ == "__main__":
    main()
