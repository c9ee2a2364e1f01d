"""The files of a text run beside those that TensorFlow's own converter makes of the same float model.

    python tests/benchmarks/text_stock.py RUN DATA [--representative 200] [--rounds 20]

RUN is the folder of a finished run of `intents` with a static length (text_recipes.py --keep leaves it, case
intents_int8); DATA holds banking77/. The stock files are float32, dynamic range, and int8 with representative training
texts, made of RUN's `models/float.keras` and never trained on their grid. Every file answers every test text on one
thread; then the files take turns, so that a busy moment hits all of them, and the median of each is told. The int8
file's coarsest tensor is named, and one more is made of the model with a smaller number behind the attention's mask.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from measured import measured_on
from numpy.typing import NDArray
from text_step import banking77

from tfkit import benchmarking
from tfkit.data.text import open_tokenizer, token_arrays
from tfkit.layers.transformer import BOUNDED_SCORE, AttentionMask
from tfkit.models import load_model_file
from tfkit.models.text.plain_transformer import open_transformer, with_sequence_length
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
    splits = banking77(options.data, seed=0)
    tokenizer = open_tokenizer(options.run / "artifacts" / "tokenizer")
    test = token_arrays(splits.test, tokenizer, sequence_length=length)
    shown = splits.train.select(np.random.default_rng(0).permutation(len(splits.train))[: options.representative])
    model = load_model_file(options.run / "models" / "float.keras")
    expected = KerasRuntime(model).scores(test).argmax(axis=1)
    print(f"float model: accuracy {(expected == splits.test.labels).mean():.4f}, {length} tokens")
    with tempfile.TemporaryDirectory() as folder:
        texts = token_arrays(shown, tokenizer, sequence_length=length)
        files = convert(model, texts, Path(folder), ("float32", "dynamic range", "int8, post-training"))
        print(coarsest_tensor(files["stock int8, post-training"]))
        files |= convert(with_bounded_masks(model, length), texts, Path(folder), ("int8, post-training, mask bounded",))
        files |= {f"tfkit {file.stem}": file for file in sorted((options.run / "artifacts").glob("*.tflite"))}
        compare(files, test, splits.test.labels, expected, options.rounds)
    print(f"\n{len(expected):,} texts, {options.rounds} rounds of a second for each file, one thread.", end=" ")
    print(measured_on())


def convert(model: Any, shown: dict[str, NDArray[np.int32]], folder: Path, names: tuple[str, ...]) -> dict[str, Path]:
    """Files of the stock converter: float32, dynamic range, or int8 with these texts as representatives."""

    def texts() -> Iterator[dict[str, NDArray[np.int32]]]:
        for place in range(len(shown["token_ids"])):
            yield {name: values[place : place + 1] for name, values in shown.items()}

    def scores(token_ids: Any, padding_mask: Any) -> dict[str, Any]:
        return {"scores": model({"token_ids": token_ids, "padding_mask": padding_mask}, training=False)}

    archive = keras.export.ExportArchive()
    archive.track(model)
    length = shown["token_ids"].shape[1]
    signature = [tf.TensorSpec((1, length), tf.int32, name=name) for name in ("token_ids", "padding_mask")]
    archive.add_endpoint("serving_default", scores, input_signature=signature)
    saved = folder / f"saved_model_{len(names)}"
    archive.write_out(saved, verbose=False)
    files = {}
    for name in names:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
        if name != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if name.startswith("int8"):
            converter.representative_dataset = texts
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        files[f"stock {name}"] = folder / f"{name}.tflite"
        files[f"stock {name}"].write_bytes(converter.convert())
    return files


def coarsest_tensor(file: Path) -> str:
    """Names the computed int8 tensor with the largest step."""
    steps = []
    for tensor in Interpreter(model_path=str(file)).get_tensor_details():
        scales = tensor["quantization_parameters"]["scales"]
        if len(scales) == 1 and tensor["dtype"] == np.int8 and len(tensor["shape"]) > 1:
            steps.append((float(scales[0]), tensor["name"]))
    steps.sort(key=lambda one: -one[0])
    many = sum(step == steps[0][0] for step, _ in steps)
    return f"coarsest of the stock int8 file: '{steps[0][1]}' and {many - 1} more, a step of {steps[0][0]:.3g}"


def with_bounded_masks(model: Any, length: int) -> Any:
    """The same classifier with a number behind the attention's mask that leaves the other scores their steps."""
    plain = with_sequence_length(open_transformer(model), sequence_length=length)
    for layer in plain.layers:
        if isinstance(layer, AttentionMask):
            layer.score = BOUNDED_SCORE
    return plain


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
