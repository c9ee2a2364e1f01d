"""One byte changed in any file of an artifacts folder is named."""

import subprocess
from pathlib import Path

import pytest

from tfkit.artifacts import (
    Artifact,
    ImageSpec,
    ModelSignature,
    RunDirectory,
    TensorSpec,
    TextSpec,
    read_manifest,
    refuse_changed_files,
    write_manifest,
)
from tfkit.errors import ExportError, TfkitError

PIXELS, SCORES = TensorSpec("pixels", (1, 8, 8, 3), "uint8", 1.0, 0), TensorSpec("scores", (1, 2), "float32")
FILES = ("model.tflite", "saved_model/1/saved_model.pb", "tokenizer/vocabulary.txt", "search/vectors.npy")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "artifacts"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"0123456789")
    described = (ModelSignature((PIXELS,), (SCORES,)), ImageSpec(8, 8), ("ants", "bees"), "by a test")
    write_manifest(
        (
            Artifact(folder / "model.tflite", "tflite", "int8", *described),
            Artifact(folder / "saved_model" / "1", "saved_model", "none", *described),
        ),
        folder,
    )
    return folder


@pytest.mark.parametrize("name", [*FILES, "labels.txt"])
def test_a_changed_byte_in_any_file_is_named(folder: Path, name: str) -> None:
    read_manifest(folder)
    content = bytearray((folder / name).read_bytes())
    for place in range(len(content)):
        content[place] ^= 1
        (folder / name).write_bytes(content)
        with pytest.raises(ExportError, match="other bytes") as told:
            read_manifest(folder)
        assert name.removesuffix("/saved_model.pb") in str(told.value)
        content[place] ^= 1


@pytest.mark.parametrize("name", ["manifest.json", "SHA256SUMS"])
@pytest.mark.parametrize("flip", [1, 4, 32, 128])
def test_a_changed_byte_in_what_is_compared_with_is_named_too(folder: Path, name: str, flip: int) -> None:
    content = bytearray((folder / name).read_bytes())
    for place in range(len(content)):
        content[place] ^= flip
        (folder / name).write_bytes(content)
        with pytest.raises(ExportError):
            read_manifest(folder)
        content[place] ^= flip


def test_only_what_is_asked_for_is_read(folder: Path) -> None:
    (folder / "model.tflite").write_bytes(b"another")
    read_manifest(folder, only=folder / "saved_model" / "1")
    read_manifest(folder, compare=False)
    with pytest.raises(ExportError, match="other bytes"):
        read_manifest(folder, only=folder / "model.tflite")


def test_check_sums_are_those_of_coreutils(folder: Path) -> None:
    asked = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    assert subprocess.run(asked, cwd=folder, check=False, capture_output=True).returncode == 0
    (folder / "labels.txt").write_text("bees\nants\n")
    assert subprocess.run(asked, cwd=folder, check=False, capture_output=True).returncode == 1


def test_missing_check_sums_are_told(folder: Path) -> None:
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(ExportError, match="SHA256SUMS' is missing"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ('"int8"', '"int4"', "quantization"),
        ('"tflite"', '"keras"', "format"),
        ('"height": 8', '"height": "8"', "height"),
        ('"height": 8', '"height": 0', "impossible size"),
        ('"resize"', '"resized"', "image"),
        ('"bees"', '"bees", "wasps"', "3 class names and gives 2 scores"),
        ('"bees"', "7", "class_names"),
        ('"bees"', '"ants"', "stands twice"),
        ('"version": 2', '"version": 3', "version"),
        ('"dtype": "uint8"', '"dtype": null', "dtype"),
        ('"made_by"', '"made_bye"', "made_by"),
        ('"sha256": "', '"sha256": "0', "sha256"),
    ],
)
def test_what_a_manifest_may_not_say_is_told(folder: Path, was: str, now: str, told: str) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace(was, now, 1))
    with pytest.raises(ExportError, match=f"is not a tfkit manifest: .*{told}"):
        read_manifest(folder)


def test_a_tokenizer_outside_of_the_folder_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    path = tmp_path / "artifacts" / "model.tflite"
    path.write_bytes(b"1")
    ids = ModelSignature((TensorSpec("token_ids", (1, 8), "int32"),), (SCORES,))
    made = Artifact(path, "tflite", "none", ids, TextSpec(8, tmp_path / "tokenizer"), ("a", "b"), "by a test")
    write_manifest((made,), path.parent)
    (read,) = read_manifest(path.parent)
    assert read.input == TextSpec(8, path.parent / ".." / "tokenizer")


def test_a_sealed_run_names_what_changed_and_lets_its_card_change(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    for file in (run.float_model, run.golden / "golden.json", run.report_json, run.model_card, run.recipe):
        file.parent.mkdir(exist_ok=True)
        file.write_text(file.name)
    run.seal()
    run.model_card.write_text("Who is responsible: we are")
    refuse_changed_files(tmp_path)
    (run.golden / "golden.json").write_text("other")
    with pytest.raises(TfkitError, match=r"golden\.json: other bytes"):
        refuse_changed_files(tmp_path)
    refuse_changed_files(tmp_path, only=["models/float.keras"])


def test_check_sums_that_stand_twice_are_damaged(folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    sums.write_text(sums.read_text() * 2)
    with pytest.raises(ExportError, match="a file stands twice"):
        read_manifest(folder)
