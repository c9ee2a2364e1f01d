"""Random networks, told by their seeds, and how far the integer file of one is from its Keras model.

    python -m tests.fuzz.random_networks FIRST LAST [--weight-bits 4] [--activation-bits 16]

tells every seed as a line of JSON, and the distribution as a row of Markdown
(`tests/benchmarks/results/random_networks.md`).
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from tfkit.artifacts import ImageSpec
from tfkit.compression import (
    PruningSettings,
    QuantizationPolicy,
    prepare_weight_pruning,
    quantize_aware,
    settle_biases,
)
from tfkit.compression.channels import WidthRule, plan_channel_pruning, prune_channels
from tfkit.compression.pruning import sparsity
from tfkit.errors import ModelError
from tfkit.exporters.quantization_aware import export_integers
from tfkit.runtimes import LiteRTRuntime, read_operators, read_stored_weights

# Two scores further apart than this in the Keras model must be in the same order in the file.
_CLEAR = 2.01 / 256
_EQUAL = 0.5  # steps: scores are whole ones
_IMAGES = 96

Rng = np.random.Generator
Step = Callable[[Rng, Any, list[Any]], Any]


def _norm(rng: Rng, x: Any) -> Any:
    spread = keras.initializers.RandomNormal
    first, second = (int(rng.integers(1 << 20)) for _ in range(2))
    return layers.BatchNormalization(gamma_initializer=spread(1, 0.5, first), beta_initializer=spread(0, 0.5, second))(
        x
    )


def _activated(rng: Rng, x: Any) -> Any:
    name = rng.choice(["relu", "relu6", "silu", "hard_silu", "sigmoid", "tanh", "leaky_relu", "gelu", "hard_sigmoid"])
    return layers.Activation(str(name))(x)


def _convolved(rng: Rng, x: Any, _: list[Any]) -> Any:
    kind = rng.choice(["plain", "pointwise", "depthwise", "separable", "grouped", "transposed", "dense"])
    bias = bool(rng.integers(2))
    x = {
        "plain": lambda: layers.Conv2D(12, 3, padding="same", use_bias=bias),
        "pointwise": lambda: layers.Conv2D(int(rng.choice([8, 16])), 1, use_bias=bias),
        "depthwise": lambda: layers.DepthwiseConv2D(3, padding="same", use_bias=bias),
        "separable": lambda: layers.SeparableConv2D(12, 3, padding="same", use_bias=bias, activation="relu"),
        "grouped": lambda: layers.Conv2D(x.shape[-1], 3, padding="same", groups=4, use_bias=bias),
        "transposed": lambda: layers.Conv2DTranspose(8, 3, padding="same", use_bias=bias),
        "dense": lambda: layers.Dense(12, use_bias=bias),
    }[str(kind)]()(x)
    x = _norm(rng, x) if rng.random() < 0.5 else x
    return _activated(rng, x) if rng.random() < 0.7 else x


def _merged(rng: Rng, x: Any, earlier: list[Any]) -> Any:
    same = [tensor for tensor in earlier if tensor.shape == x.shape and tensor is not x]
    other = same[rng.integers(len(same))] if same else layers.Conv2D(x.shape[-1], 1)(x)
    kind = rng.choice(
        [layers.Add, layers.Subtract, layers.Maximum, layers.Average, layers.Concatenate, layers.Multiply]
    )
    if kind is layers.Multiply:
        other = layers.Activation("sigmoid")(other)
    return kind()([x, other])


def _squeezed(rng: Rng, x: Any, _: list[Any]) -> Any:
    gate = layers.Conv2D(8, 1, activation="relu")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    gate = layers.Conv2D(x.shape[-1], 1, activation=str(rng.choice(["sigmoid", "hard_sigmoid"])))(gate)
    return layers.Multiply()([x, gate])


def _resized(rng: Rng, x: Any, _: list[Any]) -> Any:
    if x.shape[1] < 6:
        return layers.UpSampling2D(2, interpolation=str(rng.choice(["nearest", "bilinear"])))(x)
    padding = str(rng.choice(["same", "valid"]))
    kind = rng.choice([layers.MaxPooling2D, layers.AveragePooling2D])
    return kind(int(rng.choice([2, 3])), strides=int(rng.choice([1, 2])), padding=padding)(x)


def _scaled(rng: Rng, x: Any, _: list[Any]) -> Any:
    numbers = rng.normal(1, 0.5, x.shape[-1]).astype(np.float32)
    return [
        lambda: layers.Rescaling(0.7, offset=0.3)(x),
        lambda: x * numbers,
        lambda: x + numbers,
        lambda: 1.0 - x,
        lambda: layers.LayerNormalization()(x),
        lambda: layers.ReLU()(x),
    ][int(rng.integers(6))]()


_STEPS: list[Step] = [_convolved, _convolved, _merged, _merged, _squeezed, _resized, _scaled]


def random_network(seed: int) -> tuple[keras.Model, Any, Any]:
    """A network, uint8 images whose classes it tells apart, and what it says of them."""
    rng = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    size = int(rng.choice([8, 11, 16]))
    inputs = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(inputs) if rng.random() < 0.5 else layers.Rescaling(1 / 255)(inputs)
    x = _activated(rng, _norm(rng, layers.Conv2D(12, 3, padding="same", use_bias=False)(x)))
    earlier = [x]
    for _ in range(int(rng.integers(3, 7))):
        x = _STEPS[rng.integers(len(_STEPS))](rng, x, earlier)
        earlier.append(x)
    x = layers.GlobalAveragePooling2D()(x) if rng.random() < 0.5 else layers.Flatten()(layers.AveragePooling2D(2)(x))
    model = keras.Model(inputs, layers.Dense(5, activation="softmax")(x))
    blocks = rng.integers(0, 256, (_IMAGES, 4, 4, 3)).repeat(size // 4 + 1, 1).repeat(size // 4 + 1, 2)[:, :size, :size]
    pixels = (blocks + rng.normal(0, 12, blocks.shape)).round().clip(0, 255).astype(np.uint8)
    _spread(model, pixels.astype(np.float32))
    return model, pixels, keras.ops.convert_to_numpy(model(pixels.astype(np.float32), training=False))


def _spread(model: keras.Model, pixels: Any) -> None:
    """Give BatchNorm the statistics of the images, and the classes scores that differ."""
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
    model(pixels[:64], training=True)
    last = model.layers[-1]
    features = keras.ops.convert_to_numpy(keras.Model(model.input, last.input)(pixels, training=False))
    kernel, _ = last.get_weights()
    logits = features @ kernel
    wider = 2.0 / max(float(logits.std(0).max()), 1e-6)
    last.set_weights([kernel * wider, -logits.mean(0) * wider])


def pruned_network(seed: int) -> tuple[keras.Model, Any, Any]:
    """`random_network`: of even seeds with half of its channels, where any can go; else half of its weights masked."""
    model, pixels, scores = random_network(seed)
    if seed % 2 == 0:
        try:
            plan = plan_channel_pruning(model, criterion="weight_norm", keep=0.5, widths=WidthRule(4, min_width=4))
            return prune_channels(model, plan, pixels[:4]), pixels, scores
        except ModelError as refused:  # by name: its only layers are tied to what cannot be cut
            if "no channel of model" not in str(refused):
                raise
    settings = PruningSettings(sparsity=0.5, sparsity_schedule="constant", prune_first=True)
    stage = prepare_weight_pruning(model, settings, steps=1, inputs=pixels[:4])
    stage.model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    taught = pixels[:16].astype(np.float32), scores[:16].argmax(1)
    stage.model.fit(*taught, batch_size=16, verbose=0, callbacks=list(stage.callbacks))
    return stage.model, pixels, scores


@dataclass(frozen=True)
class Measured:
    """How far the file of a network is from its Keras model, over all images.

    Attributes:
        worst_steps, mean_steps: Of the scores, in steps of 1/256.
        agreement: Share of images with the same class.
        clear_agreement: The same where the first two scores are more than two steps apart.
        float_operators: The file's operators that compute in float.
        masked: How many weights the Keras model holds at zero behind masks.
        stored_zeros: How many weights of the file are zero.
    """

    worst_steps: float
    mean_steps: float
    agreement: float
    clear_agreement: float
    float_operators: tuple[str, ...]
    masked: int
    stored_zeros: int


def measure(network: tuple[keras.Model, Any, Any], folder: Path, policy: QuantizationPolicy | None = None) -> Measured:
    """Train a network quantisation-aware for a step, export it, and run both on its images."""
    model, pixels, scores = network
    student = quantize_aware(model, pixels[:48], policy=policy)
    student.compile(keras.optimizers.Adam(3e-4), "sparse_categorical_crossentropy", run_eagerly=True)
    student.train_on_batch(pixels[:16].astype(np.float32), scores[:16].argmax(1))
    settle_biases(student)
    path = folder / "model.tflite"
    path.write_bytes(export_integers(student, image=ImageSpec(*pixels.shape[1:]), pixels=pixels[:4]).flatbuffer)
    with LiteRTRuntime(path) as runtime:
        found = runtime.scores(pixels)
    expected = keras.ops.convert_to_numpy(student(pixels.astype(np.float32), training=False))
    away = np.abs(found - expected) * 256
    first, second = np.sort(expected, 1)[:, -1], np.sort(expected, 1)[:, -2]
    same = found.argmax(1) == expected.argmax(1)
    return Measured(
        float(away.max()),
        float(away.mean()),
        float(same.mean()),
        float(same[first - second > _CLEAR].mean()),
        tuple(operator.name for operator in read_operators(path) if operator.is_float),
        sum(layer.masked for layer in sparsity(student).layers if layer.masked is not None),
        read_stored_weights(path).zeros,
    )


def _measured(seed: int, policy: QuantizationPolicy) -> Measured | str:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return measure(random_network(seed), Path(folder), policy)
        except ModelError as error:
            return f"refused before training: {error}"
        except Exception as error:  # what the table counts
            return f"{type(error).__name__}: {error}"


def _row(results: list[Measured | str]) -> str:
    """Networks, refused before training, late or crashed, equal to the bit, steps, agreement."""
    told = [result for result in results if isinstance(result, str)]
    early = [result for result in told if result.startswith("refused")]
    found = [result for result in results if isinstance(result, Measured)]
    worst = np.array([result.worst_steps for result in found])
    agreement = np.array([result.agreement for result in found])
    clear = min(result.clear_agreement for result in found)
    cells = (
        f"{len(results)}",
        f"{len(early)}",
        f"{len(told) - len(early)}",
        f"{(worst < _EQUAL).sum()}",
        f"{np.median(worst):.0f}, {np.percentile(worst, 90):.0f}, {worst.max():.0f}",
        f"{agreement.mean():.4f}, {agreement.min():.4f}",
        f"{clear:.4f}",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--weight-bits", type=int, default=8)
    parser.add_argument("--activation-bits", type=int, default=8)
    options = parser.parse_args()
    policy = QuantizationPolicy(weight_bits=options.weight_bits, activation_bits=options.activation_bits)
    results = []
    for seed in range(options.first, options.last):
        results.append(_measured(seed, policy))
        last = results[-1]
        print(json.dumps({"seed": seed} | (asdict(last) if isinstance(last, Measured) else {"told": last})), flush=True)
        keras.backend.clear_session()
    print(_row(results))


if __name__ == "__main__":
    main()
