"""Artifacts describe themselves, and a manifest gives the same artifacts back."""

from pathlib import Path

import pytest

from tfkit.artifacts import Artifact, ImageSpec, ModelSignature, TensorSpec, read_manifest, write_manifest
from tfkit.errors import ExportError

SIGNATURE = ModelSignature(
    inputs=(TensorSpec("pixels", (1, 8, 8, 3), "uint8", 1.0, 0),), outputs=(TensorSpec("scores", (1, 2), "float32"),)
)


def artifact(path: Path) -> Artifact:
    kind = "saved_model" if path.suffix == "" else "tflite"
    return Artifact(path, kind, "none", SIGNATURE, ImageSpec(8, 8), ("ants", "bees"), "by a test")


@pytest.fixture
def artifacts(tmp_path: Path) -> tuple[Artifact, ...]:
    (tmp_path / "model.tflite").write_bytes(b"12345")
    (tmp_path / "saved_model" / "1" / "variables").mkdir(parents=True)
    (tmp_path / "saved_model" / "1" / "saved_model.pb").write_bytes(b"123")
    (tmp_path / "saved_model" / "1" / "variables" / "data").write_bytes(b"4567")
    return artifact(tmp_path / "model.tflite"), artifact(tmp_path / "saved_model" / "1")


def test_a_manifest_gives_the_same_artifacts_back(artifacts: tuple[Artifact, ...], tmp_path: Path) -> None:
    write_manifest(artifacts, tmp_path)
    assert read_manifest(tmp_path) == artifacts
    assert (tmp_path / "labels.txt").read_text() == "ants\nbees\n"


def test_a_moved_folder_still_reads(artifacts: tuple[Artifact, ...], tmp_path: Path) -> None:
    write_manifest(artifacts, tmp_path)
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert read_manifest(moved)[0].path == moved / "model.tflite"


def test_size_and_checksum_cover_a_whole_folder(artifacts: tuple[Artifact, ...], tmp_path: Path) -> None:
    file, folder = artifacts
    assert (file.bytes, folder.bytes) == (5, 7)
    before = folder.sha256
    (tmp_path / "saved_model" / "1" / "variables" / "data").write_bytes(b"4568")
    assert folder.sha256 != before


def test_a_missing_file_is_named(artifacts: tuple[Artifact, ...], tmp_path: Path) -> None:
    write_manifest(artifacts, tmp_path)
    (tmp_path / "model.tflite").unlink()
    with pytest.raises(ExportError, match=r"not there: .*model\.tflite"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", '{"artifacts": []}', "[" * 100_000, '{"artifacts": [{}]}'])
def test_what_is_no_manifest_is_told(content: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ExportError, match="not a tfkit manifest"):
        read_manifest(tmp_path)


def test_a_folder_without_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"no manifest\.json"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("changed", ["model.tflite", "saved_model/1/variables/data"])
def test_a_changed_byte_is_told(changed: str, artifacts: tuple[Artifact, ...], tmp_path: Path) -> None:
    write_manifest(artifacts, tmp_path)
    content = bytearray((tmp_path / changed).read_bytes())
    content[1] ^= 64
    (tmp_path / changed).write_bytes(content)
    with pytest.raises(ExportError, match=r"other bytes than .*manifest\.json"):
        read_manifest(tmp_path)


def test_a_type_that_is_none_is_refused(artifacts: tuple[Artifact, ...], tmp_path: Path) -> None:
    manifest = write_manifest(artifacts, tmp_path)
    manifest.write_text(manifest.read_text().replace('"uint8"', '"../.."'))
    with pytest.raises(ExportError, match=r"'\.\./\.\.' of tensor '.*' of 'model\.tflite' is no type"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("path", ["../other.tflite", "/etc/passwd", "."])
def test_a_path_that_leaves_the_folder_is_refused(path: str, artifacts: tuple[Artifact, ...], tmp_path: Path) -> None:
    manifest = write_manifest(artifacts, tmp_path)
    manifest.write_text(manifest.read_text().replace('"model.tflite"', f'"{path}"'))
    with pytest.raises(ExportError, match="leaves its folder"):
        read_manifest(tmp_path)
