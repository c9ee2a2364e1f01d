"""export, predict, verify and benchmark on real files of a tiny model."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tfkit.artifacts import read_manifest
from tfkit.cli.main import main


def told_json(words: list[str], capsys: pytest.CaptureFixture[str], status: int = 0) -> Any:
    capsys.readouterr()
    assert main([*words, "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_export_writes_the_files_with_labels_and_manifest(exported: Path) -> None:
    artifacts = read_manifest(exported)
    assert [artifact.path.name for artifact in artifacts] == ["1", "model_float32.tflite", "model_int8.tflite"]
    assert {artifact.class_names for artifact in artifacts} == {("blue", "green", "red")}
    assert (exported / "labels.txt").read_text() == "blue\ngreen\nred\n"


def test_export_never_writes_into_a_folder_in_use(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["export", str(model), "--format", "tflite_float32", "--output", str(tmp_path)]) == 1
    assert "is not empty and is never overwritten" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


# A SavedModel is asked in test_started_libraries: it takes seconds to start.
@pytest.mark.parametrize("kind", ["keras", "model_float32.tflite", "model_int8.tflite", "folder"])
def test_predict_gives_the_right_label_through_every_file(
    kind: str, model: Path, exported: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = {"keras": model, "folder": exported}.get(kind, exported / kind)
    images = [str(pictures / name / "0.png") for name in ("red", "green", "blue")]
    words = ["predict", str(path), *images, "--top", "2"]
    if kind == "keras":
        words += ["--labels", str(exported / "labels.txt")]
    answer = told_json(words, capsys)
    assert [image["top"][0]["label"] for image in answer["images"]] == ["red", "green", "blue"]
    assert all(len(image["top"]) == 2 and image["top"][0]["score"] > 0.8 for image in answer["images"])


def test_predict_takes_folders_and_shows_a_table(
    exported: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(exported / "model_int8.tflite"), str(pictures / "red"), "--top", "1"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if ".png" in line]
    assert len(rows) == 6 and all("red" in row for row in rows)


def test_a_table_of_many_pictures_shows_the_best_label_of_each(
    exported: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, few, many = str(exported / "model_int8.tflite"), [str(pictures / "red")], [str(pictures)] * 4
    assert main(["predict", file, *few]) == 0
    assert capsys.readouterr().out.count("0.0") > 6, "all three labels of each"
    assert main(["predict", file, *many]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert sum(".png" in row for row in rows) > 20
    assert len(rows) <= sum(".png" in row for row in rows) + 3, "the file, the headings and a rule"
    assert len(told_json(["predict", file, *many], capsys)["images"][0]["top"]) == 3


def test_predict_tells_a_picture_that_is_none(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "note.jpg").write_text("no picture")
    assert main(["predict", str(exported / "model_int8.tflite"), str(tmp_path / "note.jpg")]) == 1
    told = capsys.readouterr().err
    assert "note.jpg" in told and "unexpected" not in told


@pytest.mark.parametrize("kind", ["saved_model", "model_float32.tflite"])
def test_predict_tells_a_damaged_scan_that_decodes_all_the_same(
    kind: str, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np
    import tensorflow as tf

    whole = tf.io.encode_jpeg(np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8), quality=90).numpy()
    middle = len(whole) // 2
    (tmp_path / "damaged.jpg").write_bytes(whole[:middle] + whole[middle + 300 :])
    assert main(["predict", str(exported / kind), str(tmp_path / "damaged.jpg")]) == 1
    assert "damaged.jpg' cannot be used as a picture: its JPEG data is damaged" in capsys.readouterr().err


def test_an_outside_file_gets_its_labels_from_its_metadata_or_from_a_file(
    exported: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = shutil.copy(exported / "model_int8.tflite", tmp_path / "outside.tflite")
    words = ["predict", str(outside), str(pictures / "red" / "0.png")]
    assert told_json(words, capsys)["images"][0]["top"][0]["label"] == "red"
    labels = tmp_path / "labels.txt"
    labels.write_text("bleu\nvert\nrouge\n")
    answer = told_json([*words, "--labels", str(labels)], capsys)
    assert answer["images"][0]["top"][0]["label"] == "rouge"
    labels.write_text("bleu\nvert\n")
    assert main([*words, "--labels", str(labels)]) == 1
    assert "has 2 labels" in capsys.readouterr().err


def test_verify_measures_a_file_against_its_reference(
    exported: Path, model: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = exported / "model_int8.tflite"
    words = ["verify", str(path), "--data", str(pictures), "--reference", str(model)]
    (row,) = told_json(words, capsys)["artifacts"]
    assert (row["file"], row["accuracy"], row["agreement"], row["float_ops"]) == ("model_int8.tflite", 1.0, 1.0, 0)
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "100.00 % of 18 images" in told and "verdict" not in told, "nothing to judge by was given"


@pytest.mark.slow
def test_verify_measures_every_file_of_a_folder(
    exported: Path, model: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["verify", str(exported), "--data", str(pictures), "--reference", str(model), "--min-agreement", "0.9"]
    answer = told_json(words, capsys)
    assert answer["accepted"] is True
    assert answer["evaluation"] == {"examples": 18, "metric": "accuracy", "keras": 1.0}
    for row in answer["artifacts"]:
        assert row["accuracy"] == row["agreement"] == 1.0
        assert row["bytes"] > 0 and row["latency_ms_p95"] >= row["latency_ms_p50"] > 0
    assert [row["file"] for row in answer["artifacts"]] == [
        "saved_model/1",
        "model_float32.tflite",
        "model_int8.tflite",
    ]
    assert answer["artifacts"][2]["float_ops"] == 0


def test_verify_without_data_tells_what_a_file_is(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = shutil.copy(exported / "model_float32.tflite", tmp_path / "outside.tflite")
    assert main(["verify", str(outside)]) == 0
    told = capsys.readouterr().out
    for word in ("input", "float32 [1, 16, 16, 3]", "operators", "CONV_2D 1", "float operators", "latency"):
        assert word in told
    assert "accuracy" not in told


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (["--max-bytes", "10"], "max_bytes"),
        (["--max-latency-ms-p95", "0.0000001"], "max_latency_ms_p95"),
    ],
)
def test_a_file_that_misses_a_limit_is_refused_with_exit_status_3(
    limit: list[str], reason: str, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = told_json(["verify", str(exported / "model_int8.tflite"), *limit], capsys, status=3)
    assert answer["accepted"] is False
    assert reason in answer["artifacts"][0]["refusals"][0]


def test_verify_tells_when_data_and_model_have_different_classes(
    exported: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "outside.tflite"
    whole = (exported / "model_int8.tflite").read_bytes()
    outside.write_bytes(whole.replace(b"TFLITE_METADATA", b"TFLITE_NOTHING_"))
    two = tmp_path / "two"
    shutil.copytree(pictures, two)
    shutil.rmtree(two / "red")
    assert main(["verify", str(outside), "--data", str(two)]) == 1
    assert "has 2 classes" in capsys.readouterr().err


def test_benchmark_tells_times_and_host(exported: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--seconds", "0.2", "--runs", "5", "--warmup-runs", "1"]
    answer = told_json(["benchmark", str(exported / "model_int8.tflite"), *quick, "--threads", "2"], capsys)
    (row,) = answer["models"]
    assert row["latency_ms_p50"] > 0 and row["threads"] == 2 and row["warmup_runs"] == 1
    assert answer["host"]["cores"] >= 1
    assert main(["benchmark", str(model), *quick]) == 0
    assert "colours.keras" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["verify", "benchmark"])
def test_a_path_without_a_model_is_told(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, str(tmp_path / "none.tflite")]) == 1
    assert main([command, str(tmp_path)]) == 1
    (tmp_path / "text.tflite").write_text("no model at all")
    assert main([command, str(tmp_path / "text.tflite")]) == 1
    told = capsys.readouterr().err
    assert "there is no '" in told and "holds no exported model" in told and "is not a .tflite file" in told
    assert "unexpected" not in told


def test_export_refuses_a_format_that_the_phones_cannot_read_before_it_writes(model, tmp_path, capsys):
    words = ["export", str(model), "--output", str(tmp_path / "out"), "--format", "tflite_float32"]
    assert main([*words, "--min-runtime", "1.5"]) == 1
    assert "error: TensorFlow Lite 1.5 cannot read every format asked for: tflite_float32" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())
    assert main([*words, "--min-runtime", "2.6"]) == 0
    assert main([*words, "--min-runtime", "new"]) == 1
    assert "--min-runtime must be a version of TensorFlow Lite such as 2.14; got 'new'" in capsys.readouterr().err


def test_verify_says_what_npu_needs(exported, capsys):
    assert main(["verify", str(exported), "--npu", "ethos-u99"]) == 1
    assert "error: there is no NPU 'ethos-u99'" in capsys.readouterr().err
    assert main(["verify", str(exported / "saved_model" / "1"), "--npu", "ethos-u55-128"]) == 1
    assert "error: --npu needs an integer .tflite file, and there is none" in capsys.readouterr().err


def test_verify_without_vela_says_how_to_get_it(exported, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["verify", str(exported / "model_int8.tflite"), "--npu", "ethos-u55-128"]) == 1
    told = capsys.readouterr().err
    assert (
        "error: Vela, Arm's compiler for Ethos-U NPUs, is not installed" in told
        and "hint: pip install ethos-u-vela" in told
    )
