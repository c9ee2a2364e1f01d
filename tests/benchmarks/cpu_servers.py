"""int8 on a CPU server: tfkit's files beside those of NNCF, of onnxruntime's own quantiser and of the stock converter.

    python tests/benchmarks/cpu_servers.py [--digits RUN] [--photos RUN] [--resnet50] [--texts RUN] [--minilm FOLDER]

RUN is a finished run, whose test split is read again from its recipe: of images with quantisation-aware training
(`models/float.keras`, `models/quantized.keras`), of texts with MiniLM fine-tuned in full; its float model is calibrated
for int8 here, without training, at 32 and at 64 tokens, and every fourth text of its test split is asked. ResNet-50 has
random weights, and so has the head of `--minilm FOLDER`: of these the speed counts.
Each file is compared with the Keras model that it was made of: tfkit's int8 files with the one on int8's steps. The
opponents quantise the same float model after training, on the same calibration examples, as their guides say: NNCF with
its default preset for images and its transformer mode for texts, onnxruntime with `quant_pre_process`, QDQ, U8S8, per
channel. All files are timed in one process of an environment of its own, one thread, taking turns, so that a busy
moment hits all of them. OpenVINO computes its float parts in float32, not in bfloat16.
"""

import argparse
import contextlib
import io
import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from measured import measured_on

from tests.consumers.environments import Environment
from tfkit.artifacts import ImageSpec, InputSpec, RunDirectory, TextSpec
from tfkit.compression import QuantizationPolicy, quantize_aware, settle_biases
from tfkit.config import load_recipe
from tfkit.data import load_image_splits
from tfkit.data.text import load_text_splits
from tfkit.exporters import export_formats
from tfkit.inputs import calibration_inputs, input_batches
from tfkit.models import load_model_file
from tfkit.models.text import build_text_backbone, build_text_classifier, open_transformer, with_sequence_length
from tfkit.running.planning import targets_of
from tfkit.runtimes import KerasRuntime
from tfkit.runtimes.protocol import only_array

OTHERS = Environment(
    "cpu_servers",
    ("onnxruntime==1.32.0", "onnx==1.23.2", "sympy", "nncf==3.4.0", "openvino==2026.4.1", "ai-edge-litert==2.3.0"),
)
CLIENT = Path(__file__).with_name("cpu_server_client.py")
_CALIBRATION = 128


@dataclass(frozen=True)
class Subject:
    """A float model, the same one trained or calibrated for int8, and examples."""

    name: str
    floats: Any
    student: Any
    spec: InputSpec
    classes: tuple[str, ...]
    calibration: Any
    test: Any
    labels: Any = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--digits", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--resnet50", action="store_true")
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--minilm", type=Path, help="a keras-hub or Hugging Face preset")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    subjects = []
    if options.digits:
        subjects.append(lambda: of_run("ResNet-8, digits", options.digits))
    if options.photos:
        subjects.append(lambda: of_run("MobileNetV2, hymenoptera", options.photos))
    if options.resnet50:
        subjects.append(resnet50)
    if options.texts:
        subjects += [lambda length=length: of_texts(options.texts, length) for length in (32, 64)]
    if options.minilm:
        subjects += [lambda length=length: minilm(options.minilm, length) for length in (32, 64)]
    print("| model | file | accuracy | as its Keras model | batch 1, ms | ratio | batch 32, ms each | ratio |")
    print("| --- " * 8 + "|")
    for make in subjects:
        measure(make(), options.rounds)
    print(f"\nRatios are of `tfkit model_int8.tflite` in the same rounds (medians of {options.rounds}); ranges are the")
    print("lowest and highest round. LiteRT files have a batch of one: 32 runs stand for 32 examples.", measured_on())


def of_run(name: str, run: Path) -> Subject:
    """A run's two models, and the splits that its recipe reads."""
    config = load_recipe(run / "recipe.yaml")
    floats, student = (load_model_file(run / "models" / f"{kind}.keras") for kind in ("float", "quantized"))
    splits = load_image_splits(**config.data.loading_options(), targets=targets_of(config), seed=config.run.seed)
    spec = ImageSpec(*floats.input_shape[1:])
    shown = only_array(calibration_inputs(splits.train, spec, count=_CALIBRATION))
    test = np.concatenate([only_array(part) for part in input_batches(splits.test, spec, batch_size=32)])
    return Subject(name, floats, student, spec, tuple(splits.class_names), shown, test, splits.test.labels)


def of_texts(run: Path, length: int) -> Subject:
    """A run's float model, calibrated for int8 on its training texts."""
    config = load_recipe(run / "recipe.yaml")
    floats = load_model_file(run / "models" / "float.keras")
    splits = load_text_splits(**config.data.loading_options(), targets=targets_of(config), seed=config.run.seed)
    spec = TextSpec(length, RunDirectory(run).tokenizer)
    shown = calibration_inputs(splits.train, spec, count=_CALIBRATION)
    asked = splits.test.select(np.arange(0, len(splits.test), 4))
    parts = list(input_batches(asked, spec, batch_size=256))
    test = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    opened = with_sequence_length(open_transformer(floats), sequence_length=length)
    student = quantize_aware(opened, shown, policy=QuantizationPolicy())
    settle_biases(student)
    classes = tuple(splits.class_names)
    return Subject(f"{run.name}, {length} tokens", opened, student, spec, classes, shown, test, asked.labels)


def resnet50() -> Subject:
    """Random weights, calibrated for int8 on noise in blocks."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((224, 224, 3))
    body = keras.applications.ResNet50(weights=None, include_top=False, pooling="avg", input_shape=(224, 224, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    floats = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(body(scaled)))
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (_CALIBRATION + 64, 14, 14, 3)).repeat(16, 1).repeat(16, 2).astype(np.uint8)
    shown, test = pixels[:_CALIBRATION], pixels[_CALIBRATION:]
    student = quantize_aware(floats, shown[:32], policy=QuantizationPolicy())
    settle_biases(student)
    return Subject("ResNet-50", floats, student, ImageSpec(224, 224), tuple("abcdefghij"), shown, test)


def minilm(preset: Path, length: int) -> Subject:
    """A real encoder with a random head, calibrated for int8 on random tokens of random lengths."""
    keras.utils.set_random_seed(0)
    floats = build_text_classifier(build_text_backbone(str(preset)), classes=10, pooling="mean")
    rng = np.random.default_rng(0)
    mask = (np.arange(length) < rng.integers(length // 4, length + 1, (_CALIBRATION + 64, 1))).astype(np.int32)
    texts = {"token_ids": rng.integers(1000, 20000, mask.shape).astype(np.int32) * mask, "padding_mask": mask}
    shown = {name: values[:_CALIBRATION] for name, values in texts.items()}
    test = {name: values[_CALIBRATION:] for name, values in texts.items()}
    opened = with_sequence_length(open_transformer(floats), sequence_length=length)
    student = quantize_aware(opened, shown, policy=QuantizationPolicy())
    settle_biases(student)
    spec = TextSpec(length, preset)
    return Subject(f"MiniLM, {length} tokens", opened, student, spec, tuple("abcdefghij"), shown, test)


def measure(subject: Subject, rounds: int) -> None:
    """Export, let the others quantise, time all in turns, and print the rows."""
    expected, trained = (KerasRuntime(model).scores(subject.test) for model in (subject.floats, subject.student))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = {"spec": subject.spec, "class_names": subject.classes, "calibration": subject.calibration}
        export_formats(subject.floats, ["tflite_float32", "onnx_float32"], folder / "float", **given)
        export_formats(subject.student, ["tflite_int8", "onnx_int8"], folder / "trained", **given)
        files = {
            "LiteRT float32": folder / "float" / "model_float32.tflite",
            "tfkit model_int8.tflite, LiteRT": folder / "trained" / "model_int8.tflite",
            "onnxruntime float32": folder / "float" / "model_float32.onnx",
            "tfkit model_int8.onnx, onnxruntime": folder / "trained" / "model_int8.onnx",
            "OpenVINO float32": folder / "float" / "model_float32.onnx",
            "tfkit model_int8.onnx, OpenVINO": folder / "trained" / "model_int8.onnx",
        }
        if isinstance(subject.test, np.ndarray):
            files["stock converter int8, LiteRT"] = stock(subject, folder / "stock.tflite")
        arrays = subject.test if isinstance(subject.test, dict) else {"": subject.test}
        shown = subject.calibration if isinstance(subject.calibration, dict) else {"": subject.calibration}
        np.savez(folder / "test.npz", **{name or "pixels": values for name, values in arrays.items()})
        np.savez(folder / "shown.npz", **{name or "pixels": values for name, values in shown.items()})
        (folder / "files.json").write_text(json.dumps({name: str(file) for name, file in files.items()}))
        words = [str(OTHERS.interpreter()), str(CLIENT), str(folder), "--rounds", str(rounds)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr[-3000:])
        times = json.loads((folder / "times.json").read_text())
        answers = np.load(folder / "answers.npz")
    base = times["tfkit model_int8.tflite, LiteRT"]
    print(f"| {subject.name} | Keras, float | {_accuracy(expected, subject.labels)} | | | | | |")
    print(f"| | Keras, on int8's steps | {_accuracy(trained, subject.labels)} | | | | | |")
    for file, taken in times.items():
        if isinstance(taken, str):
            print(f"| | {file} | {taken} | | | | | |")
            continue
        found = answers[file].reshape(len(expected), -1)
        whole = trained if "tfkit" in file else expected
        agreed = (found.argmax(1) == whole.argmax(1)).mean()
        cells = [f"| | {file}", _accuracy(found, subject.labels), f"{agreed:.3f}"]
        for batch in ("1", "32"):
            ratios = np.asarray(taken[batch]) / np.asarray(base[batch])
            cells.append(f"{np.median(taken[batch]) * 1e3:.2f}")
            cells.append(f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})")
        print(" | ".join(cells) + " |", flush=True)


def stock(subject: Subject, path: Path) -> Path:
    """TensorFlow's own converter, after training, uint8 in and out."""
    with contextlib.redirect_stdout(io.StringIO()):
        converter = tf.lite.TFLiteConverter.from_keras_model(subject.floats)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    shown = subject.calibration.astype(np.float32)
    converter.representative_dataset = lambda: ([row[None]] for row in shown)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    with contextlib.redirect_stdout(io.StringIO()):
        path.write_bytes(converter.convert())
    return path


def _accuracy(scores: Any, labels: Any) -> str:
    return "" if labels is None else f"{(scores.argmax(1) == np.asarray(labels)).mean():.3f}"


if __name__ == "__main__":
    main()
