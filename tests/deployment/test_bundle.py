"""A bundle is whole or not there, and every changed, missing or added file of it is named."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tfkit.artifacts import Lineage, Parent
from tfkit.artifacts.manifest import write_check_sums
from tfkit.cli.main import main
from tfkit.deployment import Bundle, ServingOptions, new_bundle, read_bundle, seal_bundle
from tfkit.errors import ConfigError, ExportError, RunError

SAID = Bundle("serving", "digits", {"1": "0" * 64}, {"stable": 1}, ("one thing",), ("another",), "tfkit", {})


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    with new_bundle(tmp_path / "bundle") as folder:
        (folder / "models").mkdir()
        (folder / "models/model.pb").write_bytes(bytes(range(256)))
        (folder / "SERVING.md").write_text("start it so\n")
        (folder / "api_keys.conf").write_text("# none\n")
        seal_bundle(folder, SAID)
    return tmp_path / "bundle"


def test_a_bundle_is_read_back(sealed: Path) -> None:
    assert read_bundle(sealed) == SAID
    (sealed / "api_keys.conf").write_text('"abc" 1;\n')
    assert read_bundle(sealed) == SAID, "the keys are the user's own"


def test_another_folder_is_no_bundle(tmp_path: Path) -> None:
    assert read_bundle(tmp_path) is None


def test_every_changed_byte_is_named(sealed: Path) -> None:
    for file in sorted(path for path in sealed.rglob("*") if path.is_file() and path.name != "api_keys.conf"):
        content = file.read_bytes()
        for place in range(0, len(content), max(1, len(content) // 40)):
            file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            with pytest.raises(ExportError) as told:
                read_bundle(sealed)
            assert file.name in str(told.value)
        file.write_bytes(content)
    assert read_bundle(sealed) == SAID


def test_missing_and_added_files_are_named(sealed: Path) -> None:
    (sealed / "models/2.pb").write_bytes(b"added")
    with pytest.raises(ExportError, match=r"models/2\.pb"):
        read_bundle(sealed)
    (sealed / "models/2.pb").unlink()
    for name in ("models/model.pb", "bundle.json", "SHA256SUMS"):
        content = (sealed / name).read_bytes()
        (sealed / name).unlink()
        with pytest.raises(ExportError, match=Path(name).name):
            read_bundle(sealed)
        (sealed / name).write_bytes(content)


def test_verify_compares_a_bundle(sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(sealed)]) == 0
    assert "not checked: another" in capsys.readouterr().out
    assert main(["verify", str(sealed), "--max-bytes", "10"]) == 1, "no limit is passed over in silence"
    assert "not measured again" in capsys.readouterr().err
    (sealed / "models/model.pb").write_bytes(b"other")
    assert main(["verify", str(sealed)]) == 1
    assert "model.pb" in capsys.readouterr().err


def test_a_bundle_tells_where_its_model_comes_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = Lineage(run="older", parents=(Parent("backbone", "resnet8"),))
    lineage = {"1": old, "10": Lineage(run="newer", data_sha256="1" * 64, examples={"train": 3})}
    said = replace(SAID, versions={"1": "0" * 64, "10": "2" * 64}, lineage=lineage)
    with new_bundle(tmp_path / "runs/digits/bundle") as folder:
        for version in said.versions:
            (folder / "models/digits" / version).mkdir(parents=True)
            (folder / "models/digits" / version / "model.tflite").write_text(version)
        (folder / "SERVING.md").write_text("start it so\n")
        seal_bundle(folder, said)
    bundle = tmp_path / "runs/digits/bundle"
    assert read_bundle(bundle) == said
    for path, run in (
        (bundle, "newer"),
        (bundle / "models/digits/1/model.tflite", "older"),
        (bundle / "models/digits/10", "newer"),
        (bundle / "SERVING.md", "newer"),
    ):
        capsys.readouterr()
        assert main(["lineage", str(path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["run"] == run
    assert main(["lineage", str(bundle / "models/digits/1/model.tflite")]) == 0
    assert "resnet8" in capsys.readouterr().out
    (bundle / "models/digits/1/model.tflite").write_text("2")
    assert main(["lineage", str(bundle)]) == 1
    assert "model.tflite" in capsys.readouterr().err


def test_a_bundle_of_an_older_tfkit_is_read_and_says_nothing_of_it(
    sealed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = json.loads((sealed / "bundle.json").read_text())
    for lineage, told in ((None, "an older tfkit"), ({"1": {"run": 3}}, "none that this tfkit writes")):
        older = {name: value for name, value in said.items() if name != "lineage"}
        (sealed / "bundle.json").write_text(json.dumps(older if lineage is None else {**older, "lineage": lineage}))
        write_check_sums(sealed, leave_out=("api_keys.conf",))
        assert main(["lineage", str(sealed)]) == 1
        assert told in capsys.readouterr().err


def test_a_fault_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="midway"), new_bundle(tmp_path / "bundle") as folder:
        (folder / "half").write_text("half")
        raise ValueError("midway")
    assert not list(tmp_path.iterdir())
    (tmp_path / "bundle").mkdir()
    with pytest.raises(RunError, match="there already"), new_bundle(tmp_path / "bundle"):
        pass


def test_all_faults_of_the_options_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as told:
        ServingOptions("Ants & Bees", version=0, image='x"; rm -rf /', serving_image="tensorflow/serving")
    for fault in ("'Ants & Bees'", "must be 1 or more", "no name of an image", "has no tag"):
        assert fault in str(told.value)
