"""A bundle for CPU servers: its file answers in the engines' libraries, its clients decode, its files are read."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.consumers.consumers import OPENVINO
from tests.consumers.environments import NotInstallableError
from tests.deployment.linters import assert_linters_are_silent
from tests.deployment.triton_server import install, triton
from tfkit.artifacts import read_manifest
from tfkit.cli.main import main
from tfkit.deployment.tolerances import other_engine

pytestmark = pytest.mark.slow


def run(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, words)], cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module", params=["triton", "openvino"])
def bundle(request: pytest.FixtureRequest, files_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "bundle"
    assert main(["package", "server-cpu", str(files_run), "--output", str(folder), "--engine", request.param]) == 0
    return folder


def test_the_engine_is_chosen_by_the_file_and_told(
    files_run: Path, texts_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for at, words, told in (
        (files_run, [], "model_int8.onnx for triton"),
        (files_run, ["--file", "model_int8.tflite"], "model_int8.tflite for openvino"),
        (texts_run, [], "model_float32.tflite for openvino"),
    ):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        assert main(["package", "server-cpu", str(at), "--output", str(folder), *words]) == 0
        assert told in " ".join(capsys.readouterr().out.split())
        assert main(["verify", str(folder)]) == 0
    capsys.readouterr()
    for words, told in (
        (["--file", "model_int8.tflite", "--engine", "triton"], "onnxruntime reads no .tflite file"),
        (["--engine", "other", "--cores", "0"], "the engine is triton or openvino; got other"),
        (["--engine-image", "openvino/model_server"], "has no tag"),
    ):
        assert main(["package", "server-cpu", str(files_run), "--output", str(tmp_path / "none"), *words]) == 1
        assert told in " ".join(capsys.readouterr().err.split())
        assert not (tmp_path / "none").exists()


def test_its_tools_read_its_files(bundle: Path) -> None:
    if (config := bundle / "config/config.json").exists():
        (served,) = json.loads(config.read_text())["model_config_list"]
        assert served["config"]["plugin_config"]["NUM_STREAMS"] == "2"
    if shutil.which("promtool") is None:
        pytest.skip("no promtool on this machine")
    for words in ("check config prometheus.yml", "check rules alerts.yml", "test rules alerts_test.yml"):
        done = run("promtool", *words.split(), cwd=bundle / "prometheus")
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(json.loads((bundle / "grafana/dashboard.json").read_text())["panels"]) == 4
    assert not (bundle / "TRITON.md").exists()


@pytest.mark.consumers
def test_linters_have_nothing_to_say(bundle: Path) -> None:
    assert_linters_are_silent(bundle)


@pytest.mark.consumers
@pytest.mark.parametrize("file", ["model_int8.onnx", "model_int8.tflite", "model_float32.tflite"])
def test_openvino_answers_as_the_proof(file: str, files_run: Path) -> None:
    (served,) = [one for one in read_manifest(files_run / "artifacts") if one.path.name == file]
    described = json.loads((files_run / "golden/golden.json").read_text())
    (entry,) = [one for one in described["artifacts"] if one["file"] == file]
    pixels = np.load(files_run / "golden/inputs.npz")["pixels"]
    proved = np.load(files_run / "golden" / entry["expected"])["scores"]
    try:
        answer = OPENVINO.ask(served, pixels)
    except NotInstallableError as fault:
        pytest.skip(str(fault))
    assert answer.scores is not None, answer.refusal
    assert np.abs(answer.scores - proved).max() <= other_engine(served, proved)


@pytest.mark.consumers
def test_tritons_configuration_is_read_by_triton(bundle: Path, tmp_path: Path) -> None:
    """The wheel's Triton has no onnxruntime backend: it says so, after it has read the file."""
    if not (bundle / "models/three-digits/config.pbtxt").exists():
        pytest.skip("OpenVINO has a configuration of its own")
    try:
        install(bundle)
    except NotInstallableError as fault:
        pytest.skip(str(fault))
    with (
        pytest.raises(AssertionError, match="unable to find backend library for backend 'onnxruntime'"),
        triton(bundle, tmp_path),
    ):
        pass


@pytest.mark.consumers
def test_the_clients_decode_and_get_the_proved_answers(files_run: Path, tmp_path: Path) -> None:
    """From a Triton whose model takes the same tensors under the same names: that of `tfkit package triton`."""
    words = [str(files_run), "--file", "model_int8.onnx"]
    assert main(["package", "triton", *words, "--output", str(tmp_path / "server")]) == 0
    assert main(["package", "server-cpu", *words, "--output", str(tmp_path / "client")]) == 0
    try:
        install(tmp_path / "server")
    except NotInstallableError as fault:
        pytest.skip(str(fault))
    with triton(tmp_path / "server", tmp_path) as started:
        url = ("--url", f"http://127.0.0.1:{started.http}")
        done = run(sys.executable, tmp_path / "client/client/check.py", *url)
        assert done.returncode == 0, done.stdout + done.stderr
        done = run(sys.executable, tmp_path / "client/client/load.py", *url, "--requests", 50, "--apart", 0)
        assert done.returncode == 0, done.stdout + done.stderr
    assert main(["verify", str(tmp_path / "client")]) == 0
