"""The models that other people's runtimes are asked about: trained by the recipes that come with tfkit."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfkit.artifacts import Artifact, ImageSpec, TextSpec, read_manifest
from tfkit.cli.main import main
from tfkit.data import calibration_pixels, load_image_splits
from tfkit.data.text import open_tokenizer
from tfkit.data.text.loading import load_text_splits
from tfkit.runtimes import LiteRTRuntime, open_runtime

_ALL = "[tflite_float32, tflite_float16, tflite_dynamic_int8, tflite_int8, onnx_float32, onnx_int8]"


@dataclass(frozen=True)
class Subject:
    """A trained model's files with real inputs, which no training saw.

    Attributes:
        name: What the table calls it.
        files: Its `.tflite` and `.onnx` files.
        inputs: uint8 pictures, or `token_ids` and `padding_mask`.
        texts: The texts of the ids; none for pictures.
        for_mediapipe: The same files of texts with the third input that MediaPipe asks for.
    """

    name: str
    files: tuple[Artifact, ...]
    inputs: Any
    texts: tuple[str, ...] = ()
    for_mediapipe: tuple[Artifact, ...] = ()

    @property
    def lite(self) -> tuple[Artifact, ...]:
        """The `.tflite` files alone."""
        return tuple(file for file in self.files if file.format == "tflite")

    def expected(self, file: Artifact) -> np.ndarray:
        """What LiteRT answers, or tfkit's onnxruntime: scores float32 (n, classes)."""
        with LiteRTRuntime(file.path) if file.format == "tflite" else open_runtime(file) as runtime:
            return runtime.scores(self.inputs)


def digits(folder: Path, *, epochs: int, count: int) -> Subject:
    """Written digits 0 to 4 as colour pictures; the int8 file comes from quantisation-aware training."""
    run = folder / "digits"
    options = ["data.channels=3", "quantization={epochs: 1, learning_rate: 3.0e-4}"]
    _train("digits_base", run, f"export.formats={_ALL}", f"fine_tune.epochs={epochs}", *options)
    files = read_manifest(run / "artifacts")
    splits = load_image_splits(source="digits", channels=3, classes=["0", "1", "2", "3", "4"])
    image = files[0].input
    assert isinstance(image, ImageSpec)
    return Subject("written digits", files, calibration_pixels(splits.test, image, count=count))


def intents(folder: Path, *, epochs: int, count: int) -> Subject:
    """Sentences of customers, ten classes; quantisation-aware training of all numbers."""
    run = folder / "intents"
    options = ["quantization.target=int8", "quantization.epochs=1"]
    _train("intents_small", run, f"export.formats={_ALL}", f"fine_tune.epochs={epochs}", *options)
    return _of_texts("sentences by intent", run, count)


def faq(folder: Path, *, epochs: int, count: int) -> Subject:
    """The same sentences, as vectors."""
    run = folder / "faq"
    formats = "[tflite_float32, tflite_float16, tflite_dynamic_int8, onnx_float32]"
    _train("faq_small", run, f"export.formats={formats}", f"fine_tune.epochs={epochs}")
    return _of_texts("sentences as vectors", run, count)


SUBJECTS = {"digits": digits, "intents": intents, "faq": faq}


def _of_texts(name: str, run: Path, count: int) -> Subject:
    files = read_manifest(run / "artifacts")
    text = files[0].input
    assert isinstance(text, TextSpec)
    splits = load_text_splits(source="built_in", label_column="intent", test_fraction=0.25)
    texts = tuple(splits.test.texts[:count])
    ids = open_tokenizer(text.tokenizer)(texts, sequence_length=text.sequence_length)
    kept = run / "models" / "quantized.keras"
    shipped = run / "for_mediapipe"
    words = ["export", str(kept if kept.exists() else run / "models" / "float.keras"), "--output", str(shipped)]
    assert main([*words, "--segment-ids", "--format", "tflite_float32", "--format", "tflite_dynamic_int8"]) == 0
    return Subject(name, files, ids, texts, read_manifest(shipped))


def _train(recipe: str, run: Path, *options: str) -> None:
    # Refused files (status 3) are as good: what is measured here is who reads them.
    limits = ["acceptance.max_accuracy_drop=1", "acceptance.min_agreement=0"]
    words = ["run", recipe, f"run.directory={run.parent}", f"run.name={run.name}", "run.overwrite=true"]
    assert main([*words, *limits, *options]) == 0
