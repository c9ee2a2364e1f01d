"""Every task with every input: one recipe from its data to proved files, a report, `predict`, `verify` and a reload."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import tfkit
from tfkit.artifacts import read_manifest
from tfkit.cli.main import main
from tfkit.config import dump_recipe, load_recipe

pytestmark = pytest.mark.slow

WORDS = {"refund": "money back", "late": "where is my parcel", "login": "cannot sign in"}
IMAGES = {
    "recipe": "image_folder",
    "data": {"image_size": 32, "batch_size": 16, "directory": None},
    "head": None,
    "fine_tune": {"epochs": 6, "learning_rate": 3e-3, "unfreeze": "all", "batch_norm": "train"},
    "quantization": {"epochs": 1, "learning_rate": 1e-3},
    "export": {
        "formats": [
            *("saved_model", "tflite_float32", "tflite_float16", "tflite_dynamic_int8", "tflite_int8"),
            *("onnx_float32", "onnx_int8"),
        ]
    },
}
TEXTS = {
    "recipe": "text_table",
    "data": {"sequence_length": 16},
    "fine_tune": {"epochs": 8, "learning_rate": 2e-3},
    "quantization": {"target": "int8", "epochs": 1, "learning_rate": 3e-4},
    "export": {
        "formats": [
            *("saved_model", "tflite_float32", "tflite_dynamic_int8", "tflite_int8"),
            *("onnx_float32", "onnx_int8"),
        ]
    },
}


@dataclass(frozen=True)
class Case:
    """A task, an input and a backbone; a new one of them is one row below."""

    task: dict[str, Any]
    images: bool
    model: dict[str, Any]
    name: str
    output: str
    metric: str
    whole: bool = False  # every format
    family: str = ""  # of a small keras-hub encoder with random weights, in a folder that the recipe names

    @property
    def id(self) -> str:
        return f"{self.name}-{self.family or self.model['backbone']}"


RESNET = {"backbone": "resnet8", "weights": "random", "dropout": 0.0}
FEW = {"formats": ["saved_model", "tflite_int8"]}  # the others are files of the same weights
BERT = {"backbone": "bert_tiny", "pooling": "mean", "vocabulary_size": 120}
# Encoders that are not opened have files with float activations; see docs/guides/texts.md.
CLOSED = {"pooling": "mean"}
IN_FLOAT = {"formats": ["saved_model", "tflite_float32", "tflite_dynamic_int8", "onnx_float32"]}
SIZES = {"num_layers": 1, "num_heads": 2, "hidden_dim": 32, "intermediate_dim": 64, "max_sequence_length": 16}
PIECES = {
    "Albert": {"pad_piece": "<pad>", "user_defined_symbols": "[MASK]", "unk_id": 1, "bos_id": 2, "eos_id": 3},
    "DebertaV3": {"pad_piece": "[PAD]", "unk_piece": "[UNK]", "bos_id": 1, "eos_id": 2, "unk_id": 3},
}
SETS = {"kind": "multilabel"}
COLUMNS = {"kind": "multilabel", "label_columns": list(WORDS)}
NUMBER = {"kind": "regression", "label_columns": ["size"]}
NUMBERS = {"kind": "regression", "label_columns": ["size", "price"]}
MASKS = {"kind": "segmentation", "classes": {"ground": 0, "refund": 1, "late": 2, "login": 3}, "ignored": [255]}
BOXES = {"kind": "detection"}
BINARY = {"operating_point": 0.95}
CASES = (
    Case(BINARY, True, RESNET, "binary", "scores", "accuracy", whole=True),
    Case(SETS, True, RESNET, "sets", "scores", "f1"),
    Case(COLUMNS, True, RESNET, "columns", "scores", "f1"),
    Case(NUMBERS, True, RESNET, "numbers", "values", "r2"),
    Case(MASKS, True, RESNET | {"decoder_channels": 16}, "masks", "scores", "miou", whole=True),
    Case(BOXES, True, RESNET | {"decoder_channels": 16}, "boxes", "scores", "map50", whole=True),
    Case(BINARY, False, BERT, "binary", "scores", "accuracy", whole=True),
    Case(COLUMNS, False, BERT, "columns", "scores", "f1"),
    Case(NUMBER, False, BERT, "number", "values", "r2"),
    Case(BINARY, False, CLOSED, "binary", "scores", "accuracy", family="Albert"),
    Case(BINARY, False, CLOSED, "binary", "scores", "accuracy", family="DebertaV3"),
)


def _example(rng: np.random.Generator) -> tuple[dict[str, int], int]:
    return {word: int(rng.random() < 0.4) for word in WORDS}, int(rng.integers(4, 14))


def _picture(labels: dict[str, int], size: int, rng: np.random.Generator) -> Image.Image:
    pixels = rng.integers(90, 150, (32, 32, 3)).astype(np.uint8)
    for place, (there, corner) in enumerate(zip(labels.values(), ((2, 2), (2, 18), (18, 2)), strict=True)):
        if there:
            pixels[corner[0] : corner[0] + 12, corner[1] : corner[1] + 12] = np.eye(3, dtype=np.uint8)[place] * 200 + 30
    pixels[31 - size : 31, 17 : 17 + size] = 250
    return Image.fromarray(pixels)


def _mask(labels: dict[str, int]) -> Image.Image:
    """Where `_picture` draws what: positions of words from 1; a corner that nothing is asked of."""
    values = np.zeros((32, 32), np.uint8)
    for place, (there, corner) in enumerate(zip(labels.values(), ((2, 2), (2, 18), (18, 2)), strict=True)):
        if there:
            values[corner[0] : corner[0] + 12, corner[1] : corner[1] + 12] = place + 1
    values[17:, 17:] = 255
    return Image.fromarray(values)


def _boxes(labels: dict[str, int]) -> str:
    """Where `_picture` draws what, as Pascal VOC says it."""
    corners = zip(labels.items(), ((2, 2), (2, 18), (18, 2)), strict=True)
    objects = "".join(
        f"<object><name>{word}</name><bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{left + 12}</xmax>"
        f"<ymax>{top + 12}</ymax></bndbox></object>"
        for (word, there), (top, left) in corners
        if there
    )
    return f"<annotation><size><width>32</width><height>32</height></size>{objects}</annotation>"


def _table(case: Case, folder: Path, *, count: int = 160) -> Path:
    """A table of pictures or texts: a class, a set of labels, a column for each label, two numbers, and a mask."""
    rng = np.random.default_rng(0)
    rows = [",".join(["path" if case.images else "text", "label", *WORDS, "size", "price", "mask"])]
    for number in range(count):
        labels, size = _example(rng)
        if case.images:
            shown = f"{number}.png"
            _picture(labels, size, rng).save(folder / shown)
            if case.name == "boxes":
                (folder / f"{number}.xml").write_text(_boxes(labels))
            else:
                _mask(labels).save(folder / f"mask_{number}.png")
        else:
            size = sum(labels.values())
            parts = [WORDS[word] for word, there in labels.items() if there] + [f"case {rng.integers(50)}"]
            shown = " and ".join(rng.permutation(parts))
        named = ";".join(word for word, there in labels.items() if there)
        label = named if case.name == "sets" else "yes" if labels["refund"] else "no"
        numbers = [f"{size / 2}", f"{1000 + 100 * size}"]
        rows.append(",".join([shown, label, *map(str, labels.values()), *numbers, f"mask_{number}.png"]))
    if case.name == "boxes":
        return folder
    path = folder / "table.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def _preset(family: str, table: Path, folder: Path) -> Path:
    """A folder as keras-hub saves one: an encoder of the family, and sentence pieces learned from the table's texts."""
    import keras_hub
    import sentencepiece

    texts = [line.split(",", 1)[0] for line in table.read_text().splitlines()[1:]]
    pieces, ends = io.BytesIO(), {"bos_piece": "[CLS]", "eos_piece": "[SEP]", "pad_id": 0}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=pieces, vocab_size=60, minloglevel=2, **ends, **PIECES[family]
    )
    tokenizer = getattr(keras_hub.tokenizers, f"{family}Tokenizer")(proto=pieces.getvalue())
    changes = {"Albert": {"embedding_dim": 16}, "DebertaV3": {"bucket_size": 8}}[family]
    backbone = getattr(keras_hub.models, f"{family}Backbone")
    backbone(vocabulary_size=tokenizer.vocabulary_size(), **SIZES, **changes).save_to_preset(str(folder))
    tokenizer.save_to_preset(str(folder))
    return folder


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{'image' if case.images else 'text'}-{case.id}")
def test_from_data_to_proved_files(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    table = _table(case, tmp_path / "data")
    changes = dict(IMAGES if case.images else TEXTS)
    recipe = changes.pop("recipe")
    read = {"source": "csv", "train": table}
    if case.name == "boxes":
        read = {"source": "image_folder", "directory": table, "resize": "stretch"}
    changes["data"] = changes["data"] | read | {"validation_fraction": 0.2}
    changes |= {"run": {"directory": tmp_path, "name": "run"}, "task": case.task, "model": case.model}
    changes["acceptance"] = {"max_accuracy_drop": 1.0, "min_agreement": 0.5}
    changes["export"] = changes["export"] if case.whole else FEW
    if case.family:
        backbone = _preset(case.family, table, tmp_path / "preset")
        changes |= {"export": IN_FLOAT, "quantization": None, "model": case.model | {"backbone": str(backbone)}}
    report = tfkit.run(recipe, **changes)
    run = tmp_path / "run"
    exported = changes["export"]["formats"]
    assert len(report.artifacts) == len(exported) and report.evaluation.metric == case.metric
    small = "dynamic_int8" if case.family else "int8"
    integer = next(one for one in report.artifacts if one.file.endswith(f"model_{small}.tflite"))
    # What was trained quantisation-aware is what is shipped: the file answers as the model, whatever the task.
    assert integer.quantization == small and integer.agreement is not None and integer.agreement >= 0.95
    if case.whole:
        served = next(one for one in report.artifacts if one.format == "onnx" and one.quantization == "int8")
        assert served.agreement is not None and served.agreement >= 0.95
    assert integer.quality == pytest.approx(report.evaluation.keras, abs=0.05)

    written = json.loads((run / "report.json").read_text())
    assert written["evaluation"]["task"] == report.evaluation.task.name
    assert all(row[case.metric] is not None for row in written["artifacts"])
    page, card = (run / "report.html").read_text(), (run / "MODEL_CARD.md").read_text()
    assert report.evaluation.task.told(report.evaluation.keras) in page
    assert all(name in card for name in report.evaluation.class_names)

    artifacts = read_manifest(run / "artifacts")
    assert {artifact.task for artifact in artifacts} == {report.evaluation.task.name}
    assert {artifact.thresholds for artifact in artifacts} == {report.evaluation.decision.thresholds}
    assert case.output in {tensor.name for tensor in artifacts[0].signature.outputs}
    assert len(list((run / "golden").glob("expected_*.npz"))) == len(exported), "one for each file"
    expected = np.load(run / "golden" / f"expected_model_{small}.npz")[case.output]
    each = {"masks": (32, 32, 0), "boxes": (21, 4)}.get(case.name, (0,))  # places, and what stands beside the names
    assert expected.shape == (8, *each[:-1], len(report.evaluation.class_names) + each[-1])

    shown = [str(tmp_path / "data" / "0.png")] if case.images else ["where is my parcel and cannot sign in"]
    capsys.readouterr()
    kept = "models/float.keras" if case.family else "models/quantized.keras"
    for file in ("", "artifacts/saved_model/1", integer.file, artifacts[-1].path.relative_to(run), kept):
        assert main(["predict", str(run / file), *shown, "--json"]) == 0
        told: Any = json.loads(capsys.readouterr().out)
        (answer,) = told["images" if case.images else "texts"]
        assert {row["label"] for row in answer["top"]} <= set(report.evaluation.class_names)
        assert ("labels" in answer) == (case.task.get("kind") in ("multilabel", "segmentation", "detection"))
    assert main(["verify", str(artifacts[-1].path), "--data", str(table), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["artifacts"]
    assert row["figures"][case.metric] == pytest.approx(row["quality"])

    written_again = load_recipe(run / "recipe.yaml")
    assert dump_recipe(written_again) == (run / "recipe.yaml").read_text()
    if case.name != "numbers":
        return
    keras.backend.clear_session()
    again = tfkit.run(run / "recipe.yaml", run={"directory": tmp_path, "name": "again"}, export=None)
    assert again.evaluation.keras == pytest.approx(report.evaluation.keras, abs=0.1)
