"""Quantisation-aware training on every architecture, each nested in a user's classifier, as one Markdown table.

    python tests/benchmarks/architectures.py DATA [--output RESULTS.json] [--weights-cache FOLDER]
        [--architectures resnet50 mobilenet_v2 ...] [--epochs 1.0] [--size 96] [--seed 0]

Each network is put behind augmentation layers, on its own scaling, below pooling, dropout and a Dense layer, and gets
pretrained weights where DATA has them, or is trained from scratch for a few epochs, so that its outputs are those of a
trained network. Then it is trained quantisation-aware for `--steps` batches, with the learning rate, the moving and the
standing ranges of the recipe `oxford_flowers_small`, and exported; the file, run by LiteRT, is compared with the Keras
model on all test images and as many training images again. Its accuracy stands beside that of the same float model as
an int8 file without training. tfmot is asked for the same model, and for its flat twin.
Every network runs in a process of its own; finished ones are kept in RESULTS.json and trained weights in
`--weights-cache`, so that a second call is quick. DATA holds oxford12/, cifar10/, weights/, mlperf_tiny/ and
pytorch_cifar/.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from measured import measured_on

from tfkit.training.quick_steps import narrow_convolutions_crash

WEIGHTS_V2 = "weights/mobilenet_v2_1.0_224_deq.weights.h5"
WEIGHTS_V2_035 = "weights/mobilenet_v2_0.35_224_no_top.weights.h5"
WEIGHTS_V1 = "weights/mobilenet_0.25_224_float.weights.h5"


@dataclass(frozen=True)
class Case:
    """One network; without `weights` it is trained from scratch for `epochs`."""

    title: str
    backbone: str
    folder: str = "oxford12"
    weights: str | None = None
    width: float = 1.0
    bar: float = 0.995
    epochs: int = 25


CASES = {
    "resnet8": Case("ResNet-8 (MLPerf Tiny)", "resnet8", "cifar10", "mlperf_tiny/pretrainedResnet.h5"),
    "resnet20": Case("ResNet-20 (own)", "resnet20", "cifar10", epochs=4),
    "resnet20_pytorch": Case(
        "ResNet-20 (PyTorch's weights)", "resnet20", "cifar10", "pytorch_cifar/resnet20-12fca82f.npz"
    ),
    "mobilenet_025": Case("MobileNet 0.25", "mobilenet", weights=WEIGHTS_V1, width=0.25),
    "mobilenet_v2": Case("MobileNetV2", "mobilenet_v2", weights=WEIGHTS_V2),
    "mobilenet_v2_035": Case("MobileNetV2 0.35", "mobilenet_v2", weights=WEIGHTS_V2_035, width=0.35),
    "squeezenet": Case("SqueezeNet 1.1", "squeezenet", weights="weights/squeezenet_1.1_notop.weights.h5"),
    "mobilenet_v3_small": Case("MobileNetV3Small", "mobilenet_v3_small"),
    # The deepest, by the operators of their files or Keras's own count of layers, each of which rounds.
    "efficientnet_b0": Case("EfficientNetB0", "efficientnet_b0", bar=0.99, epochs=40),
    "resnet50": Case("ResNet50", "resnet50", bar=0.99, epochs=10),
    "densenet121": Case("DenseNet121", "densenet121", bar=0.99, epochs=10),
    "xception": Case("Xception", "xception", bar=0.99, epochs=10),
    "convnext_tiny": Case("ConvNeXtTiny", "convnext_tiny", bar=0.99, epochs=12),
    "hub_resnet": Case("keras-hub ResNet-18", "hub_resnet", epochs=12),
    "hub_mobilenet": Case("keras-hub MobileNetV3", "hub_mobilenet"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("architectures.json"))
    parser.add_argument("--weights-cache", type=Path, default=None)
    parser.add_argument("--architectures", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--epochs", type=float, default=1.0, help="factor on the epochs from scratch, in float")
    parser.add_argument("--steps", type=int, default=60, help="batches of quantisation-aware training, in three epochs")
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="its peak, as in `oxford_flowers_small`")
    parser.add_argument("--size", type=int, default=96, help="of the photos; CIFAR keeps 32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one", choices=list(CASES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_measure(CASES[options.one], options.one, options)))
        return
    results = json.loads(options.output.read_text()) if options.output.exists() else {"rows": {}}
    settings = [f"--{name}={getattr(options, name)}" for name in ("epochs", "steps", "size", "seed")]
    settings += [f"--learning-rate={options.learning_rate}"]
    failed = [name for name, row in results["rows"].items() if "failed" in row]
    for name in failed:
        del results["rows"][name]
    # On some processors oneDNN (TensorFlow 2.21) crashes in training below 16 channels, as these networks have.
    crashes = narrow_convolutions_crash()
    environment = {**os.environ, **({"TF_ENABLE_ONEDNN_OPTS": "0"} if crashes else {})}
    settings += [f"--weights-cache={options.weights_cache}"] if options.weights_cache else []
    for name in options.architectures:
        if name in results["rows"]:
            continue
        command = [sys.executable, __file__, str(options.data), f"--one={name}", *settings]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        lines = done.stdout.strip().splitlines() or [""]
        row = json.loads(lines[-1]) if done.returncode == 0 else {"failed": done.stderr.strip().splitlines()[-1]}
        print(f"{name}: {row.get('failed') or row['agreement']}", file=sys.stderr, flush=True)
        results["rows"][name] = row
        results |= {name: getattr(options, name) for name in ("seed", "steps", "epochs", "learning_rate")}
        results["host"] = row.get("host", results.get("host"))
        options.output.write_text(json.dumps(results, indent=1))
    _print_table(results)


def _measure(case: Case, name: str, options: argparse.Namespace) -> dict[str, Any]:
    import keras
    import numpy as np

    from tfkit import benchmarking, compression
    from tfkit.artifacts import ImageSpec
    from tfkit.exporters import export_tflite
    from tfkit.exporters.quantization_aware import export_integers
    from tfkit.runtimes import LiteRTRuntime, read_operators

    keras.utils.set_random_seed(options.seed)
    size = 32 if case.folder == "cifar10" else options.size
    train, test = _images(options.data / case.folder, size)
    model = _trained(case, name, size, train, options)
    image, calibration = ImageSpec(size, size, 3), train[0][:200]
    student = compression.quantize_aware(model, calibration.astype(np.float32))
    schedule = keras.optimizers.schedules.CosineDecay(options.learning_rate, options.steps)
    student.compile(keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy")
    epochs = {"epochs": 3, "steps_per_epoch": options.steps // 3}
    freezing = compression.FreezeRanges(after_epochs=2)
    student.fit(_batches(train, options.seed), callbacks=[freezing], verbose=0, **epochs)
    compression.settle_biases(student)
    made = export_integers(student, image=image, pixels=test[0][:4])
    compared = np.concatenate([test[0], train[0][: len(test[0])]])
    with tempfile.TemporaryDirectory() as folder:
        names = tuple(map(str, range(model.output_shape[-1])))
        given: dict[str, Any] = {"spec": image, "class_names": names, "calibration": calibration}
        untrained = export_tflite(model, Path(folder) / "untrained.tflite", quantization="int8", **given)
        with LiteRTRuntime(untrained.path, threads=1) as runtime:
            after_training = runtime.scores(test[0])
        path = Path(folder) / "model.tflite"
        path.write_bytes(made.flatbuffer)
        operators = read_operators(path)
        with LiteRTRuntime(path, threads=1) as runtime:
            found = runtime.scores(compared)
    expected = student.predict(compared.astype(np.float32), verbose=0)
    steps = np.abs(found - expected) * 256
    coverage = compression.quantization_coverage(model)
    best = expected.max(axis=1)
    agree = found.argmax(1) == expected.argmax(1)
    # Scores in steps of 1/256 often tie; the file then may name either.
    tied = np.take_along_axis(expected, found.argmax(1)[:, None], axis=1)[:, 0] >= best - 1e-6
    margins = np.sort(expected, axis=1)
    labels = test[1]
    return {
        "title": case.title,
        "weights": "pretrained"
        if case.weights
        else f"from scratch, {max(1, round(case.epochs * options.epochs))} epochs",
        "size": size,
        "layers": Counter(row.precision for row in coverage),
        "in_float": [(row.layer, row.reason) for row in coverage if row.precision == "float32"],
        "operators": len(operators),
        "float_operators": [operator.name for operator in operators if operator.is_float],
        "images": len(compared),
        "agreement": float(tied.mean()),
        "agreement_without_ties": float(agree.mean()),
        "margins_of_disagreements": [float(row[-1] - row[-2]) for row in margins[~tied]],
        "worst_steps": float(steps.max()),
        "mean_steps": float(steps.mean()),
        "accuracy": {
            "float": float((model.predict(test[0].astype(np.float32), verbose=0).argmax(1) == labels).mean()),
            "after_training": float((after_training.argmax(1) == labels).mean()),
            "keras_qat": float((expected[: len(labels)].argmax(1) == labels).mean()),
            "file": float((found[: len(labels)].argmax(1) == labels).mean()),
        },
        "layers_drift": max((row.mean_steps for row in made.layers), default=0.0),
        "tfmot": _tfmot_answers(model),
        "host": asdict(benchmarking.describe_host()),
    }


def _tfmot_answers(model: Any) -> dict[str, str]:
    """What tfmot says of the model as it is, and of its flat twin in tf-keras."""
    from tfkit.compression import tfmot
    from tfkit.errors import TfkitError

    answers = {}
    try:
        tfmot.loading.load_tfmot().quantization.keras.quantize_model(model)
        answers["nested"] = "takes it"
    except Exception as fault:  # tfmot raises of every type
        answers["nested"] = str(fault).strip().splitlines()[0][:90]
    try:
        refusals = tfmot.tfmot_refusals(model)
        if refusals:
            answers["flat"] = f"refuses {len(refusals)} layers, first {refusals[0]}"[:160]
        else:
            tfmot.tfmot_quantize_aware(tfmot.rebuild_in_tf_keras(model))
            answers["flat"] = "takes it"
    except TfkitError as fault:
        answers["flat"] = f"refused: {str(fault).splitlines()[0][:140]}"
    return answers


def _images(folder: Path, size: int) -> tuple[Any, Any]:
    """(pixels uint8, labels) for training and for testing."""
    import numpy as np
    from PIL import Image

    if folder.name == "cifar10":
        files = [np.load(folder / name) for name in ("train10k.npz", "test2k.npz")]
        return tuple((file["x"], file["y"].ravel().astype(int)) for file in files)
    splits = []
    for split in ("train", "test"):
        classes = sorted(path for path in (folder / split).iterdir() if path.is_dir())
        found = [(path, label) for label, place in enumerate(classes) for path in sorted(place.iterdir())]
        pixels = [np.asarray(Image.open(path).convert("RGB").resize((size, size))) for path, _ in found]
        splits.append((np.stack(pixels), np.array([label for _, label in found])))
    return splits[0], splits[1]


def _batches(images: tuple[Any, Any], seed: int) -> Any:
    import tensorflow as tf

    pixels, labels = images
    order = tf.data.Dataset.from_tensor_slices((pixels, labels)).shuffle(len(labels), seed=seed)
    return order.repeat().batch(32).map(lambda x, y: (tf.cast(x, tf.float32), y))


def _trained(case: Case, name: str, size: int, train: tuple[Any, Any], options: argparse.Namespace) -> Any:
    """The nested classifier, with the weights of an earlier call where there are any."""
    import keras

    model = _nested(_backbone(case, size, options.data), classes=int(train[1].max()) + 1)
    if name in ("resnet8", "resnet20_pytorch"):
        return model
    epochs = max(1, round(case.epochs * options.epochs))
    cached = options.weights_cache and options.weights_cache / f"{name}_{size}_{epochs}.weights.h5"
    if cached and cached.exists():
        model.load_weights(cached)
        return model
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    if case.weights:
        _train_head(model, train, options.seed)
    else:
        schedule = keras.optimizers.schedules.CosineDecay(1e-3, epochs * (len(train[1]) // 32))
        model.compile(keras.optimizers.AdamW(schedule, weight_decay=1e-4), "sparse_categorical_crossentropy")
        model.fit(_batches(train, options.seed), epochs=epochs, steps_per_epoch=len(train[1]) // 32, verbose=0)
    if cached:
        options.weights_cache.mkdir(parents=True, exist_ok=True)
        model.save_weights(cached)
    return model


def _train_head(model: Any, train: tuple[Any, Any], seed: int) -> None:
    import keras
    import numpy as np

    dense = model.layers[-1]
    features = keras.Model(model.inputs, dense.input).predict(train[0].astype(np.float32), verbose=0)
    head = keras.Sequential([keras.Input(features.shape[1:]), keras.layers.Normalization(), dense])
    scale = features.std(axis=0) + 1e-3
    head.layers[0].adapt(features)
    head.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    head.fit(features, train[1], epochs=40, batch_size=64, verbose=0)
    norm = head.layers[0]
    mean, scale = (np.ravel(keras.ops.convert_to_numpy(w)) for w in (norm.mean, keras.ops.sqrt(norm.variance)))
    kernel, bias = dense.get_weights()
    kernel = kernel / np.maximum(scale, 1e-3)[:, None]
    dense.set_weights([kernel, bias - mean @ kernel])


def _nested(backbone: Any, *, classes: int) -> Any:
    import keras

    pixels = keras.Input(backbone.inputs[0].shape[1:], name="pixels")
    augmented = keras.layers.RandomTranslation(0.05, 0.05)(keras.layers.RandomFlip("horizontal")(pixels))
    features = backbone(augmented)
    if len(features.shape) == 2:  # a whole classifier
        return keras.Model(pixels, features, name="users_classifier")
    pooled = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(features))
    return keras.Model(
        pixels, keras.layers.Dense(classes, activation="softmax", name="probs")(pooled), name="users_classifier"
    )


def _backbone(case: Case, size: int, data: Path) -> Any:
    from tfkit import models
    from tfkit.artifacts import ImageSpec

    image = ImageSpec(size, size, 3)
    weights = str(data / case.weights) if case.weights else "random"
    if case.backbone == "squeezenet":
        return _squeezenet(size, weights)
    if case.backbone.startswith("hub_"):
        return _hub(case.backbone, size)
    if case.weights and case.backbone == "resnet8":
        return models.load_model_file(Path(weights))
    if case.weights and case.backbone == "resnet20":
        from quantization_accuracy import pytorch_resnet20

        return pytorch_resnet20(Path(weights))
    return models.build_backbone(case.backbone, image=image, weights=weights, width=case.width)


def _squeezenet(size: int, weights: str) -> Any:
    """SqueezeNet 1.1 (https://github.com/forresti/SqueezeNet), on BGR pixels less their ImageNet mean."""
    import keras
    import numpy as np

    layers = keras.layers
    pixels = keras.Input((size, size, 3))
    x = layers.Normalization(mean=[123.68, 116.78, 103.94], variance=[1.0, 1.0, 1.0])(pixels)
    convolutions = [layers.Conv2D(64, 3, strides=2, activation="relu")]
    x = layers.MaxPooling2D(3, strides=2)(convolutions[0](x))
    for number, width in enumerate((16, 16, 32, 32, 48, 48, 64, 64)):
        fire = [layers.Conv2D(width, 1, activation="relu")]
        fire += [layers.Conv2D(4 * width, size, padding="same", activation="relu") for size in (1, 3)]
        x = fire[0](x)
        x = layers.Concatenate()([fire[1](x), fire[2](x)])
        x = layers.MaxPooling2D(3, strides=2)(x) if number in (1, 3) else x
        convolutions += fire
    model = keras.Model(pixels, x, name="squeezenet")
    _load_convolutions(convolutions, weights)
    first, bias = convolutions[0].get_weights()
    convolutions[0].set_weights([np.ascontiguousarray(first[:, :, ::-1]), bias])  # its weights take BGR
    return model


def _load_convolutions(convolutions: list[Any], weights: str) -> None:
    import h5py

    with h5py.File(weights) as file:
        for number, layer in enumerate(convolutions):
            stored = file["layers"][f"conv2d_{number}" if number else "conv2d"]["vars"]
            layer.set_weights([stored["0"][...], stored["1"][...]])


def _hub(name: str, size: int) -> Any:
    """keras-hub's networks, from their configuration: ResNet-18, and a small MobileNetV3 made of its blocks."""
    import keras
    import keras_hub

    pixels = keras.Input((size, size, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    if name == "hub_resnet":
        backbone = keras_hub.models.ResNetBackbone(
            input_conv_filters=[64],
            input_conv_kernel_sizes=[7],
            stackwise_num_filters=[64, 128, 256, 512],
            stackwise_num_blocks=[2, 2, 2, 2],
            stackwise_num_strides=[1, 2, 2, 2],
            block_type="basic_block",
            use_pre_activation=False,
            image_shape=(size, size, 3),
        )
        task = keras_hub.models.ResNetImageClassifier(
            backbone=backbone, num_classes=12, activation="softmax", preprocessor=None
        )
        return keras.Model(pixels, task(scaled))
    backbone = keras_hub.models.MobileNetBackbone(
        stackwise_expansion=[[72, 88], [96, 240, 240], [120, 144], [288, 576, 576]],
        stackwise_num_blocks=[2, 3, 2, 3],
        stackwise_num_filters=[[24, 24], [40, 40, 40], [48, 48], [96, 96, 96]],
        stackwise_kernel_size=[[3, 3], [5, 5, 5], [5, 5], [5, 5, 5]],
        stackwise_num_strides=[[2, 1], [2, 1, 1], [1, 1], [2, 1, 1]],
        stackwise_se_ratio=[[None, None], [0.25] * 3, [0.25] * 2, [0.25] * 3],
        stackwise_activation=[["relu"] * 2, ["hard_swish"] * 3, ["hard_swish"] * 2, ["hard_swish"] * 3],
        stackwise_padding=[[1, 1], [2, 2, 2], [2, 2], [2, 2, 2]],
        output_num_filters=576,
        last_layer_filter=1024,
        input_num_filters=16,
        depthwise_filters=16,
        depthwise_stride=2,
        depthwise_residual=False,
        squeeze_and_excite=0.5,
        image_shape=(size, size, 3),
    )
    return keras.Model(pixels, backbone(scaled))


def _print_table(results: dict[str, Any]) -> None:
    print(
        "| network | weights | layers int8 / float / not exported | float operators | images "
        "| agreement / with ties counted against it (bar) | steps: worst, mean "
        "| accuracy: float, int8 after training, QAT, its file | tfmot, as it is | tfmot, flat twin |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for name, row in ((name, results["rows"][name]) for name in CASES if name in results["rows"]):
        if "failed" in row:
            print(f"| {CASES[name].title} | | failed: {row['failed'][:120]} | | | | | | | |")
            continue
        layers = row["layers"]
        floats = f"{len(row['float_operators'])} of {row['operators']}"
        accuracy = ", ".join(f"{value:.3f}" for value in row["accuracy"].values())
        print(
            f"| {row['title']} | {row['weights']}, {row['size']} px "
            f"| {layers.get('int8', 0)} / {layers.get('float32', 0)} / {layers.get('-', 0)} | {floats} "
            f"| {row['images']} | {row['agreement']:.4f} / {row['agreement_without_ties']:.4f} ({CASES[name].bar}) "
            f"| {row['worst_steps']:.1f}, {row['mean_steps']:.2f} | {accuracy} "
            f"| {row['tfmot']['nested']} | {row['tfmot']['flat']} |"
        )
        for layer, reason in row["in_float"]:
            print(f"|   | in float: {layer}: {reason} | | | | | | | | |")
    print(
        f"\nSeed {results['seed']}, {results['steps']} batches of QAT (Adam, {results['learning_rate']:g}), "
        f"LiteRT on 1 thread. {measured_on(results.get('host'))}"
    )


if __name__ == "__main__":
    main()
