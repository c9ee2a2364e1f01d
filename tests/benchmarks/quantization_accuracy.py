"""What int8 costs, by four ways, on real images: post-training, tfkit's QAT and tfmot's QAT against a float control.

    python tests/benchmarks/quantization_accuracy.py DATA --output RESULTS.json
        [--cases resnet8_cifar10 resnet20_cifar10 mobilenet_v2_hymenoptera mobilenet_v2_0.35_hymenoptera
                 mobilenet_v2_oxford12 mobilenet_v2_0.35_oxford12] [--seeds 0 1 2] [--epochs 3]
    python tests/benchmarks/quantization_accuracy.py --table RESULTS.json

All four start from the same float model of their seed. The control trains on in float for as many epochs as the QAT
runs, with the same optimiser, schedule, batches and frozen BatchNorm; post-training int8 is made from the control.
Accuracies are those of the finished .tflite files, run by LiteRT over the whole test split. DATA holds cifar10/,
hymenoptera/, oxford12/, mlperf_tiny/, pytorch_cifar/ and weights/. Finished runs are kept in RESULTS.json, and a
second call goes on behind them.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from measured import measured_on

from tfkit import benchmarking, compression, data, exporters, models, training, verification
from tfkit.artifacts import ImageSpec
from tfkit.compression import tfmot
from tfkit.runtimes import LiteRTRuntime

WAYS = ("float", "post_training", "tfkit_qat", "tfmot_qat")
TITLES = ("float control", "post-training int8", "tfkit QAT int8", "tfmot QAT int8")


@dataclass(frozen=True)
class Case:
    """One backbone on one set of images; `head` and `tune` are epochs before the comparison starts."""

    folder: str
    size: int
    backbone: str
    weights: str
    width: float = 1.0
    head: int = 0
    tune: int = 0
    learning_rate: float = 1e-4


PHOTOS = {"size": 224, "backbone": "mobilenet_v2", "head": 20, "tune": 3, "learning_rate": 5e-5}
WIDE, NARROW = "weights/mobilenet_v2_1.0_224_deq.weights.h5", "weights/mobilenet_v2_0.35_224_no_top.weights.h5"
CASES = {
    "resnet8_cifar10": Case("cifar10", 32, "resnet8", "mlperf_tiny/pretrainedResnet.h5"),
    "resnet20_cifar10": Case("cifar10", 32, "resnet20", "pytorch_cifar/resnet20-12fca82f.npz"),
    "mobilenet_v2_0.35_hymenoptera": Case("hymenoptera", weights=NARROW, width=0.35, **PHOTOS),
    "mobilenet_v2_hymenoptera": Case("hymenoptera", weights=WIDE, **PHOTOS),
    "mobilenet_v2_0.35_oxford12": Case("oxford12", weights=NARROW, width=0.35, **PHOTOS),
    "mobilenet_v2_oxford12": Case("oxford12", weights=WIDE, **PHOTOS),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--table", type=Path, help="only print the table of these results")
    options = parser.parse_args()
    if options.table is None:
        for name in options.cases:
            for seed in options.seeds:
                _run_once(name, seed, options)
    print_table(json.loads((options.table or options.output).read_text()))


def _run_once(name: str, seed: int, options: argparse.Namespace) -> None:
    results = json.loads(options.output.read_text()) if options.output.exists() else {"runs": []}
    if any((run["case"], run["seed"], run["epochs"]) == (name, seed, options.epochs) for run in results["runs"]):
        return
    began = time.perf_counter()
    run = compare(CASES[name], options.data, seed=seed, epochs=options.epochs)
    run |= {"case": name, "seed": seed, "epochs": options.epochs, "seconds": time.perf_counter() - began}
    results["runs"].append(run)
    results["host"] = asdict(benchmarking.describe_host())
    options.output.write_text(json.dumps(results, indent=1))
    print(json.dumps(run), flush=True)


def compare(case: Case, folder: Path, *, seed: int, epochs: int) -> dict[str, Any]:
    """Accuracies of the four ways, and how far each QAT file is from its model."""
    keras.utils.set_random_seed(seed)
    splits, image = image_splits(case, folder, seed), ImageSpec(case.size, case.size, 3)
    start = float_model(case, folder, splits, image, seed)
    options = {
        "optimization": training.Optimization(
            epochs=epochs, learning_rate=case.learning_rate, optimizer="adam", warmup=0.1, schedule="cosine"
        ),
        "seed": seed,
        "augmentation": "light",
    }
    test = np.concatenate(list(data.pixel_batches(splits.test, image, batch_size=64)))
    labels, pixels = splits.test.labels, data.calibration_pixels(splits.train, image, count=200, seed=seed)

    def accuracy(scores: Any) -> float:
        return float((np.argmax(scores, axis=1) == labels).mean())

    control = copied(start)
    freeze_batch_norm(control)
    training.train_on(control, splits.train, splits.validation, image, **options)
    student = compression.quantize_aware(start, pixels.astype(np.float32))
    freezing = (compression.FreezeRanges(after_epochs=max(1, epochs - 1)),)
    training.train_on(student, splits.train, splits.validation, image, callbacks=freezing, **options)
    compression.settle_biases(student)
    trained = verification.reference_scores(student, splits.test, image)
    with tempfile.TemporaryDirectory() as scratch:
        files = {"post_training": control, "tfkit_qat": student}
        scores = {
            way: _int8_scores(model, Path(scratch), way, image, splits, pixels, test) for way, model in files.items()
        }
        scores["tfmot_qat"] = _tfmot_scores(start, splits, image, options, epochs, case, Path(scratch), test)
    before = accuracy(verification.reference_scores(start, splits.test, image))
    return {
        "before": before,
        "float": accuracy(verification.reference_scores(control, splits.test, image)),
        **{way: accuracy(values) for way, values in scores.items()},
        "tfkit_qat_keras": accuracy(trained),
        "tfkit_agreement": float((np.argmax(trained, axis=1) == np.argmax(scores["tfkit_qat"], axis=1)).mean()),
        "test_images": len(labels),
    }


def _int8_scores(model: Any, scratch: Path, way: str, image: ImageSpec, splits: Any, pixels: Any, test: Any) -> Any:
    path = scratch / f"{way}.tflite"
    given = {"spec": image, "class_names": splits.class_names, "calibration": pixels}
    exporters.export_tflite(model, path, quantization="int8", **given)
    return LiteRTRuntime(path, threads=2).scores(test)


def _tfmot_scores(start, splits, image, options, epochs, case, scratch, test):  # type: ignore[no-untyped-def]
    twin = tfmot.tfmot_quantize_aware(tfmot.rebuild_in_tf_keras(start))
    batches = data.training_batches(splits.train, image, batch_size=32, augmentation="light", seed=options["seed"])
    tfmot.fit_tfmot(
        twin,
        batches,
        None,
        epochs=epochs,
        learning_rate=case.learning_rate,
        steps_per_epoch=-(-len(splits.train) // 32),
        schedule="cosine",
        warmup=0.1,
    )
    path = scratch / "tfmot.tflite"
    path.write_bytes(tfmot.export_tfmot_int8(twin))
    return LiteRTRuntime(path, threads=2).scores(test)


def image_splits(case: Case, folder: Path, seed: int) -> Any:
    if case.folder == "cifar10":
        files = {"train": Path("train10k.npz"), "test": Path("test2k.npz")}
        return data.load_image_splits(source="npz", directory=folder / "cifar10", seed=seed, **files)
    return data.load_image_splits(source="image_folder", directory=folder / case.folder, seed=seed)


def float_model(case: Case, folder: Path, splits: Any, image: ImageSpec, seed: int) -> keras.Model:
    if case.backbone == "resnet8":
        return mlperf_resnet8(folder / case.weights)
    if case.backbone == "resnet20":
        return pytorch_resnet20(folder / case.weights)
    backbone = models.build_backbone(case.backbone, image=image, weights=str(folder / case.weights), width=case.width)
    model = models.build_classifier(backbone, classes=len(splits.class_names), dropout=0.2)
    common = {"seed": seed, "augmentation": "light"}
    head = training.Optimization(epochs=case.head, learning_rate=1e-3)
    training.train_head(model, splits.train, splits.validation, image, optimization=head, **common)
    tuning = training.Optimization(epochs=case.tune, learning_rate=case.learning_rate, warmup=0.1, schedule="cosine")
    training.fine_tune(model, splits.train, splits.validation, image, optimization=tuning, **common)
    return model


def mlperf_resnet8(path: Path) -> keras.Model:
    """MLPerf Tiny's ResNet-8 as a classifier of tfkit, with its own trained head."""
    original = models.load_model_file(path)
    dense = original.layers[-1]
    features = next(
        layer for layer in reversed(original.layers) if len(layer.output.shape) == 4 and "pool" not in layer.name
    )
    model = models.build_classifier(keras.Model(original.inputs[0], features.output, name="resnet8"), classes=10)
    model.get_layer("logits").set_weights(dense.get_weights())
    return model


def pytorch_resnet20(path: Path) -> keras.Model:
    """The CIFAR-10 ResNet-20 of https://github.com/akamaster/pytorch_resnet_cifar10, from its weights by name."""
    weights = np.load(path)
    pending: list[tuple[Any, list[Any]]] = []

    def convolution(x: Any, filters: int, strides: int, name: str, norm: str) -> Any:
        kernel = np.transpose(weights[f"{name}.weight"], (2, 3, 1, 0))
        padded = keras.layers.ZeroPadding2D(1)(x)  # PyTorch pads both sides, "same" with stride 2 one only
        layer = keras.layers.Conv2D(filters, 3, strides=strides, use_bias=False)
        batch_norm = keras.layers.BatchNormalization(epsilon=1e-5, momentum=0.9)
        parts = ("weight", "bias", "running_mean", "running_var")
        pending.extend([(layer, [kernel]), (batch_norm, [weights[f"{norm}.{part}"] for part in parts])])
        return batch_norm(layer(padded))

    pixels = keras.Input((32, 32, 3), name="pixels")
    mean, deviation = np.array([0.485, 0.456, 0.406]) * 255, np.array([0.229, 0.224, 0.225]) * 255
    x = keras.layers.Normalization(mean=mean.tolist(), variance=(deviation**2).tolist())(pixels)
    x = keras.layers.ReLU()(convolution(x, 16, 1, "conv1", "bn1"))
    for stage, filters in enumerate((16, 32, 64), start=1):
        for block in range(3):
            strides, name, shortcut = 2 if stage > 1 and block == 0 else 1, f"layer{stage}.{block}", x
            x = keras.layers.ReLU()(convolution(x, filters, strides, f"{name}.conv1", f"{name}.bn1"))
            x = convolution(x, filters, 1, f"{name}.conv2", f"{name}.bn2")
            if strides == 2:  # its shortcut takes every second pixel and puts zeros for the new channels
                widening = np.zeros((1, 1, filters // 2, filters), np.float32)
                widening[0, 0, :, filters // 4 : filters // 4 + filters // 2] = np.eye(filters // 2)
                layer = keras.layers.Conv2D(filters, 1, strides=2, use_bias=False)
                shortcut = layer(shortcut)
                pending.append((layer, [widening]))
            x = keras.layers.ReLU()(keras.layers.Add()([x, shortcut]))
    model = models.build_classifier(keras.Model(pixels, x, name="resnet20"), classes=10)
    for layer, values in pending:
        layer.set_weights(values)
    # The classifier holds layers of the same names, as copies or as they are.
    for layer, values in pending:
        model.get_layer(layer.name).set_weights(values)
    model.get_layer("logits").set_weights([weights["linear.weight"].T, weights["linear.bias"]])
    return model


def copied(model: keras.Model) -> keras.Model:
    copied = keras.models.clone_model(model)
    copied.set_weights(model.get_weights())
    return copied


def freeze_batch_norm(model: keras.Model) -> None:
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def print_table(results: dict[str, Any]) -> None:
    print(f"\n| case | test images | {' | '.join(TITLES)} | file agrees with QAT model |")
    print("| --- " * (len(TITLES) + 3) + "|")
    for case in CASES:
        runs = [run for run in results["runs"] if run["case"] == case]
        if not runs:
            continue
        cells = [_spread([run[way] for run in runs]) for way in WAYS]
        agreement = min(run["tfkit_agreement"] for run in runs)
        print(f"| {case} | {runs[0]['test_images']} | {' | '.join(cells)} | >= {agreement:.4f} |")
    host, runs = results["host"], results["runs"]
    print(
        f"\nMean (lowest to highest) of seeds {sorted({run['seed'] for run in runs})}; {runs[0]['epochs']} epochs each."
    )
    print(measured_on(host))


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.4f} ({min(values):.4f}-{max(values):.4f})"


if __name__ == "__main__":
    main()
