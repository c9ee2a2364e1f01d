"""Run by `test_distribution`: a text classifier trained on one logical CPU and on two, and a recipe on both of them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np
import tensorflow as tf

import tfkit
from tfkit.compression.transformers import StudentSize
from tfkit.data.text import learn_word_pieces, load_text_splits
from tfkit.errors import TrainingError
from tfkit.models.text import build_text_classifier
from tfkit.stages import prune_text, quantize_text
from tfkit.stages.texts import TextTeacher
from tfkit.training import Optimization, TextObjectives, training_devices
from tfkit.training.fine_tune_text import fine_tune_text

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
CLASSES = ("cancel_order", "change_address", "refund_status")
SPLITS = load_text_splits(source="built_in", label_column="intent", classes=CLASSES, seed=0)
# Batches that two devices can share equally: an epoch's last one would get one of its texts twice.
TRAIN, VALIDATION = SPLITS.train.select(np.arange(56)), SPLITS.validation.select(np.arange(6))
TOKENIZER = learn_word_pieces(SPLITS.train.texts, size=400)
# SGD: Adam makes a whole step of a gradient that is almost nothing, whose sign is chance.
GIVEN: dict[str, Any] = {
    "sequence_length": 12,
    "batch_size": 16,
    "buckets": False,
    "optimization": Optimization(epochs=2, learning_rate=1e-2, optimizer="sgd", ema=0.9),
}
DEVICES = training_devices("data_parallel", 16)


def classifier(seed: int = 0) -> keras.Model:
    """A small BERT that drops nothing: each device would draw the same dropout for its part."""
    keras.utils.set_random_seed(seed)
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 32, "intermediate_dim": 64, "max_sequence_length": 12}
    backbone = keras_hub.models.BertBackbone(TOKENIZER.vocabulary_size, dropout=0.0, **sizes)
    return build_text_classifier(backbone, classes=len(CLASSES), dropout=1e-6)  # R-Drop asks for some


def fine_tuned(**options: Any) -> Callable[..., Any]:
    return lambda **devices: fine_tune_text(classifier(), *texts(), **GIVEN, **options, **devices)


def pruned(**devices: Any) -> Any:
    teacher = TextTeacher(model=classifier(1), hidden_states=1.0)
    size = StudentSize(layers=1, heads=1, feedforward=32)
    return prune_text(classifier(), *texts(), size=size, sparsity=0.5, teacher=teacher, **GIVEN, **devices)


def quantized(**devices: Any) -> Any:
    return quantize_text(
        classifier(), *texts(), target="dynamic_int8", teacher=TextTeacher(model=classifier(1)), **GIVEN, **devices
    )


def texts() -> tuple[Any, ...]:
    return TRAIN, VALIDATION, TOKENIZER


def apart(one: Any, other: Any) -> float:
    return max(float(np.abs(np.subtract(*pair)).max()) for pair in zip(one, other, strict=True))


def compared(train: Callable[..., Any]) -> dict[str, object]:
    one, two = train(), train(devices=DEVICES)
    history, shared = one.result.history, two.result.history
    return {
        "losses": apart(history["loss"], shared["loss"]),
        "validation": apart(history["val_loss"], shared["val_loss"]),
        "weights": apart(one.model.get_weights(), two.model.get_weights()),
        "moved": abs(history["loss"][0] - history["loss"][-1]),
        "notes": two.result.notes,
    }


def run(folder: Path, **fine_tune: object) -> Any:
    said: dict[str, Any] = {
        "recipe": "finetune_text",
        "run": {"name": "texts", "directory": str(folder), "distribution": "data_parallel"},
        "data": {"source": "built_in", "label_column": "intent", "classes": CLASSES, "sequence_length": 12},
        "model": {"backbone": "bert_tiny", "vocabulary_size": 400},
        "fine_tune": {"epochs": 1, **fine_tune},
    }
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(said))
    return tfkit.run(recipe)


def refused(folder: Path) -> str:
    try:
        run(folder, adversarial=1.0)
    except TrainingError as fault:
        return f"{fault}; {fault.hint}"
    return "nothing"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    trainings = {
        "lora": fine_tuned(method="lora", objectives=TextObjectives(layer_decay=0.9)),
        "r_drop": fine_tuned(objectives=TextObjectives(r_drop=1.0)),
        "pruning": pruned,
        "quantization": quantized,
    }
    found: dict[str, object] = {name: compared(train) for name, train in trainings.items()}
    found["adversarial"] = refused(folder)
    found["recipe"] = [note for stage in run(folder).stages for note in stage.notes]
    sys.stdout.write(json.dumps(found))
