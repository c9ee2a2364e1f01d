"""A finished run and the bundle that is made of it."""

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def files_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three digits with files for devices and for CPU servers, and no SavedModel."""
    import tfkit

    folder = tmp_path_factory.mktemp("runs")
    said = {
        "recipe": "finetune_image",
        "run": {"name": "Three_digits", "directory": str(folder)},
        "data": {
            "source": "digits",
            "classes": ["0", "1", "2"],
            "labels_per_class": 40,
            "image_size": 16,
            "channels": 1,
        },
        "model": {"backbone": "resnet8", "weights": "random", "dropout": 0.0},
        "fine_tune": {"epochs": 1, "learning_rate": 3e-3, "batch_norm": "train"},
        "export": {"formats": ["tflite_float32", "tflite_int8", "onnx_int8"]},
        "acceptance": {"max_accuracy_drop": 0.9, "min_agreement": 0.1},
    }
    recipe = folder / "three.yaml"
    recipe.write_text(json.dumps(said))
    assert tfkit.run(recipe).accepted
    return folder / "Three_digits"


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three digits with a SavedModel alone."""
    import tfkit

    folder = tmp_path_factory.mktemp("runs")
    said = {
        "recipe": "finetune_image",
        "run": {"name": "Three_digits", "directory": str(folder)},
        "data": {
            "source": "digits",
            "classes": ["0", "1", "2"],
            "labels_per_class": 40,
            "image_size": 16,
            "channels": 1,
            "resize": "stretch",
        },
        "model": {"backbone": "resnet8", "weights": "random", "dropout": 0.0},
        "fine_tune": {"epochs": 3, "learning_rate": 3e-3, "batch_norm": "train"},
        "export": {"formats": ["saved_model"]},
        "acceptance": {"max_accuracy_drop": 0.5, "min_agreement": 0.5},
    }
    recipe = folder / "three.yaml"
    recipe.write_text(json.dumps(said))
    assert tfkit.run(recipe).accepted
    return folder / "Three_digits"


@pytest.fixture(scope="session")
def bundle(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `tfkit package serving` makes of it."""
    from tfkit.cli.main import main

    folder = tmp_path_factory.mktemp("bundles") / "three-digits-serving"
    assert main(["package", "serving", str(digits_run), "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def colour_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three digits in colour, whose pictures are cropped: float and int8 files."""
    import tfkit

    folder = tmp_path_factory.mktemp("runs")
    said = {
        "recipe": "finetune_image",
        "run": {"name": "Three_digits", "directory": str(folder)},
        "data": {"source": "digits", "classes": ["0", "1", "2"], "labels_per_class": 40, "image_size": [16, 24]},
        "model": {"backbone": "resnet8", "weights": "random", "dropout": 0.0},
        "fine_tune": {"epochs": 3, "learning_rate": 3e-3, "batch_norm": "train"},
        "export": {"formats": ["saved_model", "tflite_float32", "tflite_int8"]},
        "acceptance": {"max_accuracy_drop": 0.9, "min_agreement": 0.1},
    }
    recipe = folder / "three.yaml"
    recipe.write_text(json.dumps(said))
    tfkit.run(recipe)
    return folder / "Three_digits"


@pytest.fixture(scope="session")
def texts_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of texts of three intents."""
    import tfkit

    folder = tmp_path_factory.mktemp("runs")
    classes = ["cancel_order", "talk_to_human", "product_availability"]
    said = {
        "recipe": "finetune_text",
        "run": {"name": "Three_intents", "directory": str(folder)},
        "data": {"source": "built_in", "label_column": "intent", "test_fraction": 0.25, "classes": classes},
        "model": {"backbone": "bert_tiny", "vocabulary_size": 1000, "pooling": "mean"},
        "fine_tune": {"method": "all", "epochs": 12, "learning_rate": 1e-3, "weight_decay": 0.01},
        "export": {"formats": ["tflite_float32"]},
        "acceptance": {"max_accuracy_drop": 0.9, "min_agreement": 0.1},
    }
    recipe = folder / "intents.yaml"
    recipe.write_text(json.dumps(said))
    tfkit.run(recipe)
    return folder / "Three_intents"
