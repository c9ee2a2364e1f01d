"""What examples in docstrings may name without making it: small models, data and files, made when first asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfkit import compression, data, exporters, models
from tfkit.artifacts import ImageSpec
from tfkit.data import text
from tfkit.graph import read_graph
from tfkit.models import text as text_models

SIDE, PIECES = 16, 300
CLASS_NAMES = ("0", "1")
Value = Callable[[], Any]


class ExampleValues:
    """Values by the names that examples call them; models are made anew for each example, as they may train them.

    Args:
        folder: Where the examples run: files are made there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, Any] = {}

    def named_in(self, source: str, names: set[str]) -> dict[str, Any]:
        """The values of an example that uses these names, with the files that its text names."""
        for name, make in self._files().items():
            if f'"{name}' in source and not (self._folder / name).exists():
                make(self._folder / name)
        fresh = {name: make for name, make in self._models().items() if name in names}
        kept = {name: make for name, make in self._data().items() if name in names}
        return {name: make() for name, make in fresh.items()} | {name: self._once(name, kept[name]) for name in kept}

    def _once(self, name: str, make: Value) -> Any:
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def _of(self, name: str) -> Any:
        return self._once(name, self._data()[name])

    def _data(self) -> dict[str, Value]:
        return {
            "image": lambda: ImageSpec(height=SIDE, width=SIDE, channels=1, resize="stretch"),
            "splits": lambda: data.load_image_splits(
                source="digits", channels=1, classes=CLASS_NAMES, labels_per_class=40
            ),
            "pixels": lambda: data.calibration_pixels(self._of("splits").train, self._of("image"), count=40),
            "batches": lambda: data.training_batches(self._of("splits").train, self._of("image"), batch_size=8),
            "intents": lambda: text.load_text_splits(source="built_in", label_column="intent"),
            "texts": lambda: list(self._of("intents").test.texts[:8]),
            "tokenizer": lambda: text.learn_word_pieces(self._of("intents").train.texts, size=PIECES),
        }

    def _models(self) -> dict[str, Value]:
        return {
            "backbone": backbone,
            "model": classifier,
            "teacher": classifier,
            "graph": lambda: read_graph(classifier()),
            "student": lambda: compression.quantize_aware(classifier(), self._of("pixels")),
            "text_classifier": lambda: text_models.build_text_classifier(self._encoder(), classes=10),
            "embedder": lambda: text_models.build_text_embedder(self._encoder()),
            "plain": lambda: text_models.open_transformer(
                text_models.build_text_classifier(self._encoder(), classes=10)
            ),
        }

    def _encoder(self) -> Any:
        return text_models.build_text_backbone("bert_tiny", vocabulary_size=PIECES)

    def _files(self) -> dict[str, Callable[[Path], Any]]:
        spec: dict[str, Any] = {"spec": self._of("image"), "class_names": CLASS_NAMES}
        return {
            "bee.jpg": lambda path: keras.utils.save_img(path, np.full((40, 60, 3), 128), file_format="jpeg"),
            "photos": photos,
            "model.keras": lambda path: classifier().save(path),
            "model_int8.tflite": lambda path: exporters.export_tflite(
                classifier(), path, quantization="int8", calibration=self._of("pixels"), **spec
            ),
            "saved_model": lambda path: exporters.export_saved_model(classifier(), path, **spec),
            "train.csv": questions,
        }


def backbone() -> keras.Model:
    """Two convolutions: pixels (n, 16, 16, 1) to feature maps."""
    pixels = keras.Input((SIDE, SIDE, 1), name="pixels")
    x = keras.layers.Rescaling(1 / 255)(pixels)
    for filters in (16, 32):
        x = keras.layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    return keras.Model(pixels, x, name="tiny")


def classifier() -> keras.Model:
    """The same as a classifier of two classes, with a head that is not all zeros."""
    model = models.build_classifier(backbone(), classes=len(CLASS_NAMES))
    kernel = model.get_layer("logits").kernel
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape))
    return model


def photos(folder: Path) -> None:
    """Class folders of grey squares, each of another brightness."""
    for name, base in (("ants", 10), ("bees", 120)):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            keras.utils.save_img(folder / name / f"{number}.png", np.full((24, 24, 3), base + 8 * number), scale=False)


def questions(path: Path) -> None:
    """A table of 24 texts in two categories."""
    rows = [f"where is parcel {number}?,parcel\nmoney back for {number},refund\n" for number in range(12)]
    path.write_text("text,category\n" + "".join(rows), encoding="utf-8")
