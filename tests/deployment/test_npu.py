"""A bundle for microcontrollers: what Vela says, and a TensorFlow Lite Micro project that its own runtime answers."""

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.consumers.consumers import TFLITE_MICRO, VELA
from tests.consumers.environments import NotInstallableError
from tfkit.cli.main import main
from tfkit.deployment import NpuOptions
from tfkit.deployment.micro import resolver_calls
from tfkit.errors import ConfigError


def test_all_faults_of_the_options_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as told:
        NpuOptions("Not A Name", ("ethos-u55-129", "ethos-u55-129"))
    for fault in ("'Not A Name'", "'ethos-u55-129'", "named once"):
        assert fault in str(told.value)


@pytest.fixture
def _vela(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        monkeypatch.setenv("PATH", str(VELA.folder() / "bin"), prepend=os.pathsep)
    except NotInstallableError as fault:
        pytest.skip(f"Vela: {fault}")


@pytest.fixture
def _micro(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow Lite Micro's package as if it were installed beside tfkit."""
    try:
        packages = next((TFLITE_MICRO.environment.folder() / "lib").glob("python*/site-packages"))
    except NotInstallableError as fault:
        pytest.skip(f"TensorFlow Lite Micro: {fault}")
    monkeypatch.setenv("PYTHONPATH", str(packages))
    monkeypatch.syspath_prepend(packages)


@pytest.mark.slow
@pytest.mark.consumers
@pytest.mark.usefixtures("_vela")
def test_without_the_micro_runtime_the_bundle_says_so(
    colour_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "npu"
    words = ["--accelerator", "ethos-u55-128", "--accelerator", "ethos-u85-256"]
    assert main(["package", "npu", str(colour_run), "--output", str(folder), *words]) == 0
    assert "TensorFlow Lite Micro did not run model_int8.tflite here" in " ".join(capsys.readouterr().out.split())
    costs = json.loads((folder / "cost.json").read_text())
    assert [cost["accelerator"] for cost in costs] == ["ethos-u55-128", "ethos-u85-256"]
    for cost in costs:
        assert cost["cpu_operators"] == 0 and cost["faults"] == [] and cost["cost"]["inference_ms"] > 0
        assert (folder / cost["file"]).stat().st_size == cost["file_bytes"]
        assert resolver_calls(folder / cost["file"]) == ("AddEthosU",)
    assert (folder / "model_int8.tflite").read_bytes() == (colour_run / "artifacts/model_int8.tflite").read_bytes()
    assert main(["verify", str(folder)]) == 0
    content = (folder / "micro/main.cc").read_bytes()
    (folder / "micro/main.cc").write_bytes(content + b"\n")
    assert main(["verify", str(folder)]) == 1
    assert "micro/main.cc" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.consumers
@pytest.mark.usefixtures("_vela", "_micro")
def test_the_project_holds_what_its_runtime_answered(colour_run: Path, tmp_path: Path) -> None:
    """With TFKIT_TFLM, the folder of a tree that create_tflm_tree.py wrote, the C++ is built and run too."""
    folder = tmp_path / "npu"
    assert main(["package", "npu", str(colour_run), "--output", str(folder)]) == 0
    told = json.loads((folder / "bundle.json").read_text())["checked"][-1]
    measured = int(re.search(r"in ([\d,]+) bytes of arena", told)[1].replace(",", ""))  # type: ignore[index]
    data = (folder / "micro/data.h").read_text()
    arena = int(re.search(r"kArenaBytes = (\d+);", data)[1])  # type: ignore[index]
    assert measured < arena <= measured + 2048 and "kSteps = 0;" in data
    golden = (folder / "micro/golden_data.cc").read_text()
    inputs, answers = (np.array(re.findall(r"\d+", block.split("{")[1]), int) for block in golden.split("};")[:2])
    expected = np.load(colour_run / "golden/expected_model_int8.npz")["scores"]
    pixels = np.load(colour_run / "golden/inputs.npz")["pixels"]
    np.testing.assert_array_equal(inputs, pixels.reshape(-1))
    np.testing.assert_allclose(answers / 256, expected.reshape(-1), atol=2.01 / 256)
    model = (folder / "micro/model_data.cc").read_text().split("#else")[1]
    numbers = re.findall(r"\d+", model.split("{")[1])
    assert bytes(map(int, numbers)) == (folder / "model_int8.tflite").read_bytes()
    if tree := os.environ.get("TFKIT_TFLM"):
        built = _run(["make", "-j2", "CXXFLAGS=-O1", "-C", str(folder / "micro"), f"TFLM={tree}"])
        assert built.returncode == 0, built.stderr[-2000:]
        done = _run([str(folder / "micro/build/check")])
        assert done.returncode == 0 and done.stderr.splitlines()[-1] == "OK", done.stderr


def _run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=1800)


@pytest.mark.slow
@pytest.mark.consumers
@pytest.mark.usefixtures("_vela")
def test_a_model_of_another_kind_gets_no_project(colour_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "npu"
    assert main(["package", "npu", str(colour_run), "--output", str(folder), "--no-micro"]) == 0
    assert not (folder / "micro").exists()
    assert "There is no project in this bundle: it was not asked for." in (folder / "NPU.md").read_text()
