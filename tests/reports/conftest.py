"""Runs to report on: 12 flower classes with one refused file, the same for 2 and 100 classes, and 77 of texts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from tfkit.artifacts import ImageSpec, ModelSignature, TensorSpec, TextSpec
from tfkit.reports import ArtifactResult, Control, Evaluation, RunReport, StageSummary

FLOWERS = (
    "bluebell", "buttercup", "colts-foot", "daisy", "dandelion", "fritillary",
    "iris", "lily-valley", "pansy", "sunflower", "tigerlily", "windflower",
)  # fmt: skip
LEAKED = ["train/pansy/image_1210.jpg", "test/pansy/image_1288.jpg"]
KERAS_ACCURACY = {2: 0.954, 12: 0.958, 77: 0.93, 100: 0.71}
SUBJECTS = ("card", "transfer", "top_up", "cash_withdrawal", "direct_debit", "exchange_rate", "identity_check",
            "refund", "account_closing", "foreign_currency_payment", "balance")  # fmt: skip
TROUBLES = ("not_arrived_yet", "charged_twice_by_mistake", "still_pending", "declined", "limits", "how_long_it_takes",
            "not_recognised_by_the_customer")  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """The fields of tfkit.benchmarking.Host, without loading TensorFlow."""

    cpu: str = "Intel Xeon (Ice Lake) 2.80 GHz"
    instruction_set: str = "AVX-512 with VNNI"
    cores: int = 2
    memory_gib: float = 7.8
    operating_system: str = "Linux 6.1, Debian 12"
    python: str = "3.11.2"
    versions: Mapping[str, str] = field(
        default_factory=lambda: {"tensorflow": "2.21.0", "keras": "3.15.1", "ai-edge-litert": "2.3.0"}
    )

    @property
    def processor(self) -> str:
        """As tfkit.benchmarking.Host has it."""
        return f"{self.cpu} ({self.instruction_set})"


def class_names(classes: int) -> tuple[str, ...]:
    """Names as data sets have them."""
    if classes == 2:
        return ("ants", "bees")
    if classes == 77:
        return tuple(f"{subject}_{trouble}" for subject in SUBJECTS for trouble in TROUBLES)
    return FLOWERS if classes == 12 else tuple(f"species {number:03d}" for number in range(classes))


def evaluation(classes: int, *, examples_per_class: int = 20, accuracy: float | None = None) -> Evaluation:
    """Answers with a known share of mistakes, mostly between neighbouring classes."""
    random = np.random.default_rng(7)
    labels = np.repeat(np.arange(classes, dtype=np.int32), examples_per_class)
    examples = len(labels)
    answers = labels.copy()
    share = KERAS_ACCURACY[classes] if accuracy is None else accuracy
    wrong = random.choice(examples, round((1 - share) * examples), replace=False)
    near = random.choice([1, 1, 1, -1, 2], len(wrong)) if classes > 2 else np.ones(len(wrong), dtype=int)
    answers[wrong] = (labels[wrong] + near) % classes
    logits = random.normal(0, 0.6, (examples, classes))
    logits[np.arange(examples), answers] += random.gamma(2.2, 1.5, examples) + 1.0 + np.log(classes)
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = class_names(classes)
    return Evaluation(
        class_names=names,
        labels=labels,
        scores=scores.astype(np.float32),
        names=tuple(f"{names[label]}/image_{number:04d}.jpg" for number, label in enumerate(labels)),
    )


def artifact(kind: str, size: int, accuracy: float, agreement: float, p50: float, **changes: object) -> ArtifactResult:
    """One exported file."""
    integer = kind == "int8"
    pixel = TensorSpec("pixels", (1, 224, 224, 3), "uint8" if integer else "float32", *((1.0, 0) if integer else ()))
    score = TensorSpec("scores", (1, 12), pixel.dtype, *((1 / 256, 0) if integer else ()))
    result = ArtifactResult(
        file=f"artifacts/model_{kind}.tflite",
        format="tflite",
        quantization="none" if kind == "float32" else kind,
        bytes=size,
        quality=accuracy,
        agreement=agreement,
        max_difference={"float32": 2.4e-7, "float16": 0.0031, "int8": 0.121}.get(kind, 0.094),
        mean_difference=0.0021,
        float_ops=0 if integer else 71,
        operators={
            "CONV_2D": 35,
            "DEPTHWISE_CONV_2D": 17,
            "ADD": 10,
            "MUL": 1,
            "MEAN": 1,
            "FULLY_CONNECTED": 1,
            "SOFTMAX": 1,
        },
        latency_ms_p50=p50,
        latency_ms_p95=1.18 * p50,
        latency_runs=312,
        latency_warmup_runs=10,
        latency_threads=1,
        latency_measures="LiteRT invoke, one image",
        sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        made_by="TFLiteConverter of TensorFlow 2.21.0 from the Keras model",
        refusals=(),
        signature=ModelSignature(inputs=(pixel,), outputs=(score,)),
    )
    return replace(result, **changes)


def artifacts(keras: float) -> tuple[ArtifactResult, ...]:
    """Five files as one run exports them; the fourth is refused."""
    saved_model = artifact(
        "float32", 11_200_000, keras, 1.0, 14.2,
        file="artifacts/saved_model/1", format="saved_model", float_ops=0, operators={}, max_difference=1.2e-7,
        latency_threads=None, latency_measures="round trip of one image of pixels to a process of its own",
        signature=ModelSignature(
            inputs=(TensorSpec("image_bytes", (None,), "string"),),
            outputs=(TensorSpec("labels", (None,), "string"), TensorSpec("scores", (None, 12), "float32")),
        ),
    )  # fmt: skip
    refusal = (
        f"model_dynamic_int8.tflite: accuracy {keras - 0.025:.4f} is 2.50 points below Keras's {keras:.4f}; "
        "acceptance.max_accuracy_drop allows 1.00.",
        "model_dynamic_int8.tflite: it agrees with Keras on 0.9625 of 240 images; "
        "acceptance.min_agreement asks for 0.9800.",
    )
    return (
        saved_model,
        artifact("float32", 8_905_000, keras, 1.0, 7.2),
        artifact("float16", 4_480_000, keras, 1.0, 7.4),
        artifact("dynamic_int8", 2_560_000, keras - 0.025, 0.9625, 14.0, refusals=refusal),
        artifact("int8", 2_912_000, keras - 0.004, 0.988, 3.7),
    )


def data_report(names: tuple[str, ...], *, clean: bool = False) -> dict[str, object]:
    """What DataReport.to_json() gives."""
    faults = {
        "left_out": [{"name": "daisy/image_0881.jpg", "reason": "cannot be decoded: JPEG data ends after 812 bytes"}],
        "duplicates": [["train/iris/image_0601.jpg", "train/iris/image_0644.jpg"], LEAKED],
        "leakage": [LEAKED],
    }
    return {
        "kept": {
            "train": dict.fromkeys(names, 54),
            "validation": dict.fromkeys(names, 6),
            "test": dict.fromkeys(names, 20),
        },
        **({name: [] for name in faults} if clean else faults),
        "notes": ["test/ is the evaluation split; validation was split from train/ (10 %, stratified, seed 0)"],
    }


def stages() -> tuple[StageSummary, ...]:
    """Data, two trainings, export and proof."""
    epochs = np.arange(1, 21)
    fall = np.exp(-epochs / 5)
    fine = np.exp(-np.arange(1, 6) / 4)
    head = {
        "loss": 0.12 + 2.1 * fall, "accuracy": 0.985 - 0.75 * fall,
        "val_loss": 0.24 + 1.9 * fall, "val_accuracy": 0.945 - 0.68 * fall,
        "learning_rate": 1e-3 * (1 + np.cos(np.pi * epochs / 20)) / 2,
    }  # fmt: skip
    tuned = {
        "loss": 0.08 + 0.05 * fine, "accuracy": 0.996 - 0.01 * fine,
        "val_loss": 0.20 + 0.05 * fine, "val_accuracy": 0.958 - 0.01 * fine,
    }  # fmt: skip
    return (
        StageSummary("data", "Read and check the data", 6.1, {}, ("720 training images, 240 evaluation images",)),
        StageSummary("head", "Train the head", 31.4, _lists(head), ("features cached once: 720 images in 19 s",)),
        StageSummary("fine_tune", "Fine-tune", 312.8, _lists(tuned), ("154 of 154 layers train; BatchNorm is frozen",)),
        StageSummary("export", "Export", 74.0, {}, ("int8 calibrated on 200 training images",)),
        StageSummary("verify", "Prove every file", 48.3),
    )  # fmt: skip


def _lists(history: dict[str, np.ndarray]) -> dict[str, list[float]]:
    return {name: [float(value) for value in values] for name, values in history.items()}


def run_report(classes: int = 12, *, accuracy: float | None = None, clean: bool = False) -> RunReport:
    """A whole run; `clean` has no refused file, no faulty data and no notes of it."""
    answers = evaluation(classes, accuracy=accuracy, examples_per_class={2: 75}.get(classes, 20))
    files = tuple(file for file in artifacts(answers.keras) if not (clean and file.refusals))
    return RunReport(
        name="oxford_flowers" if classes == 12 else f"classes_{classes}",
        task="image classification",
        recipe_yaml="# tfkit run oxford_flowers\nrecipe: finetune_image\nrun:\n  name: oxford_flowers\n  seed: 0\n"
        "data:\n  source: image_folder\n  directory: photos/oxford12\n  image_size: 224\nmodel:\n"
        "  backbone: mobilenet_v2\n  weights: imagenet\nhead:\n  epochs: 20\n  learning_rate: 0.001\n",
        input=ImageSpec(height=224, width=224),
        backbone="mobilenet_v2",
        created="2026-11-22T16:50:19+00:00",
        stages=stages(),
        data=data_report(class_names(classes), clean=clean),
        evaluation=answers,
        control=Control("the same head on a random backbone", 0.31, "the head on the frozen backbone", 0.87),
        artifacts=files,
        host=Machine(),
        policy={"max_accuracy_drop": 0.01, "min_agreement": 0.98, "max_bytes": None, "max_float_ops": 0},
        parameters=2_273_356,
        tfkit_version="0.1.0",
    )  # fmt: skip


def text_report(classes: int = 77, *, accuracy: float | None = None, clean: bool = False) -> RunReport:
    """A run of texts: the same files, with the inputs and names that texts have."""
    report = run_report(classes, accuracy=accuracy, clean=clean)
    tokens = tuple(TensorSpec(name, (1, 32), "int32") for name in ("token_ids", "padding_mask"))
    texts = (TensorSpec("texts", (None,), "string"),)
    files = tuple(
        replace(
            file,
            signature=replace(file.signature, inputs=texts if file.format == "saved_model" else tokens),
            latency_measures="LiteRT invoke, one text",
            refusals=tuple(reason.replace(" images", " texts") for reason in file.refusals),
        )
        for file in report.artifacts
    )
    rows = {"left_out": [{"name": "train.csv:17", "reason": "it has no text"}],
            "duplicates": [["train.csv:3", "train.csv:90"], ["train.csv:8", "test.csv:44"]],
            "leakage": [["train.csv:8", "test.csv:44"]]}  # fmt: skip
    notes = ["test.csv is the evaluation split; validation was split from train.csv (10 %, stratified, seed 0)"]
    data = {**report.data, **({} if clean else rows), "notes": notes}
    stage = StageSummary("fine_tune", "Fine-tune", 412.8, stages()[2].history, ("2.1 % of the parameters learn",))
    return replace(
        report,
        name="intents",
        task="text classification",
        recipe_yaml="recipe: finetune_text\nrun:\n  name: intents\n",
        input=TextSpec(32, Path("/nowhere/runs/intents/artifacts/tokenizer")),
        backbone="all_minilm_l6_v2",
        stages=(StageSummary("data", "Read the texts", 1.4), stage, StageSummary("export", "Export", 41.0)),
        data=data,
        evaluation=replace(
            report.evaluation, names=tuple(f"test.csv:{row + 2}" for row in range(report.evaluation.examples))
        ),
        control=None,
        artifacts=files,
        parameters=22_748_621,
    )


def synthetic_texts(positions: np.ndarray) -> list[str]:
    """Texts of clients, different for each position; short, long, and right to left."""
    kinds = (
        "Why has my card still not arrived?",
        "I was charged twice for the same thing, <b>please</b> give me one of them back & tell me why",
        "I sent money to a friend on Monday. " + "It has not arrived and nobody answers my messages. " * 6,
        "متى تصل بطاقتي الجديدة؟",
        "我的卡还没有收到。" * 40,
    )
    return [f"{kinds[position % len(kinds)]} ({position})" for position in positions]


def synthetic_pixels(positions: np.ndarray) -> np.ndarray:
    """uint8 (m, 224, 224, 3): a soft blob on noise, different for each position."""
    rows, columns = np.mgrid[0:224, 0:224]
    pictures = []
    for position in positions:
        random = np.random.default_rng(int(position))
        blob = np.exp(-((rows - random.integers(60, 160)) ** 2 + (columns - random.integers(60, 160)) ** 2) / 3000)
        noise = random.integers(0, 40, (224, 224, 3))
        pictures.append(np.clip(blob[..., None] * random.integers(60, 230, 3) + noise, 0, 255))
    return np.array(pictures, dtype=np.uint8)


@pytest.fixture
def make_report() -> Callable[..., RunReport]:
    """Make a run: `make_report(classes, accuracy=..., clean=...)`."""
    return run_report


@pytest.fixture
def pixels() -> Callable[[np.ndarray], np.ndarray]:
    """Pictures for positions of the evaluation split."""
    return synthetic_pixels


@pytest.fixture
def make_text_report() -> Callable[..., RunReport]:
    """Make a run of texts: `make_text_report(classes, accuracy=..., clean=...)`."""
    return text_report


@pytest.fixture
def texts() -> Callable[[np.ndarray], list[str]]:
    """Texts for positions of the evaluation split."""
    return synthetic_texts


@pytest.fixture
def report_folder(tmp_path: Path) -> Path:
    """A run's folder."""
    return tmp_path / "runs" / "oxford_flowers"
