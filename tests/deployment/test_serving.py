"""A bundle for TensorFlow Serving: the tools that its files are for read them, and its model answers as proved."""

import base64
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from packaging.version import Version
from PIL import Image

from tests.consumers.environments import Environment, NotInstallableError
from tests.deployment.linters import assert_linters_are_silent
from tests.deployment.ports import free_port, wait_for
from tfkit.cli.main import main
from tfkit.deployment.serving_operators import NEWER, WEBP_SINCE, serving_since
from tfkit.errors import ExportError

pytestmark = pytest.mark.slow
DOUBLE = Path(__file__).with_name("serving_double.py")
C_SERVER = Path(__file__).with_name("c_server.py")
OPERATORS_IN = Path(__file__).with_name("operators_in.py")
OVMS_CLIENT = Environment("ovmsclient", ("ovmsclient==2023.1",))
AWS = Environment("aws", ("awscli==1.46.3", "moto[s3,sagemaker,server]==5.2.5"))


def run(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, words)], cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def served(bundle: Path) -> Iterator[tuple[int, int]]:
    """The ports of REST and gRPC where the stand-in answers."""
    with subprocess.Popen([sys.executable, DOUBLE, bundle], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        rest, calls = process.stdout.readline().split()
        yield int(rest), int(calls)
        process.kill()


def test_it_is_verified_and_says_what_was_not_checked(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(bundle)]) == 0
    told = capsys.readouterr().out
    assert "its answers to 8 golden samples are those of the run's proof" in " ".join(told.split())
    assert "not checked: the image was not built" in " ".join(told.split())
    assert "the image was not built" in (bundle / "SERVING.md").read_text()
    written = [file.read_text() for file in bundle.rglob("*") if file.suffix in (".md", ".yaml", ".conf", ".py", ".sh")]
    assert "@{" not in "".join(written)


def test_the_clients_get_the_proved_answers(bundle: Path, served: tuple[int, int]) -> None:
    rest, calls = served
    urls = ("--url", f"http://127.0.0.1:{rest}", "--grpc", f"127.0.0.1:{calls}")
    done = run(sys.executable, bundle / "client/check.py", *urls)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("right: 8 golden requests")
    done = run(sys.executable, bundle / "client/load.py", "--url", f"http://127.0.0.1:{rest}", "--requests", 64)
    assert done.returncode == 0
    assert "0 wrong answers, 0 failed" in done.stdout
    assert main(["verify", str(bundle)]) == 0, "using it leaves it as it was"


@pytest.mark.consumers
def test_a_client_of_others_gets_the_proved_answers(bundle: Path, served: tuple[int, int]) -> None:
    """OpenVINO's client, over TensorFlow Serving's gRPC."""
    try:
        python = OVMS_CLIENT.interpreter()
    except NotInstallableError as fault:
        pytest.skip(str(fault))
    script = """
import base64, json, pathlib, sys
from ovmsclient import make_grpc_client
rows = json.loads(pathlib.Path(sys.argv[1]).read_text())
sent = [base64.b64decode(row["instance"]["image_bytes"]["b64"]) for row in rows]
answers = make_grpc_client(sys.argv[2]).predict({"image_bytes": sent}, "three-digits")
assert [label.decode() for label in answers["labels"]] == [row["answer"]["labels"] for row in rows]
apart = max(abs(s - t) for found, row in zip(answers["scores"], rows) for s, t in zip(found, row["answer"]["scores"]))
assert apart < 1e-4, apart
print(len(rows), "right")
"""
    done = run(python, "-c", script, bundle / "golden/requests.json", f"127.0.0.1:{served[1]}")
    assert done.returncode == 0 and "right" in done.stdout, done.stderr


def test_a_wrong_answer_is_found_by_the_check(bundle: Path, served: tuple[int, int], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    rows = json.loads((copy / "golden/requests.json").read_text())
    rows[3]["answer"]["labels"] = "9"
    rows[5]["answer"]["scores"][0] += 0.01
    (copy / "golden/requests.json").write_text(json.dumps(rows))
    done = run(sys.executable, copy / "client/check.py", "--url", f"http://127.0.0.1:{served[0]}")
    assert done.returncode == 1
    assert "golden request 3: labels" in done.stdout
    assert "golden request 5: scores" in done.stdout


def test_another_version_stands_beside_as_canary(bundle: Path, digits_run: Path, tmp_path: Path) -> None:
    words = ["package", "serving", str(digits_run), "--output", str(tmp_path / "next"), "--previous", str(bundle)]
    assert main([*words, "--model-version", "1"]) == 1
    assert main([*words, "--model-version", "7", "--name", "other"]) == 1
    assert not (tmp_path / "next").exists()
    assert main([*words, "--model-version", "7"]) == 0
    assert {path.name for path in (tmp_path / "next/models/three-digits").iterdir()} == {"1", "7"}
    config = (tmp_path / "next/config/models.config").read_text()
    assert re.findall(r'key: "(\w+)" value: (\d)', config) == [("stable", "1"), ("canary", "7")]


def test_a_run_that_is_not_whole_or_was_refused_is_not_packaged(
    digits_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["package", "serving", str(tmp_path)]) == 1
    assert "is no finished run" in capsys.readouterr().err
    for name, changed, told in (
        ("artifacts/saved_model/1/saved_model.pb", b"other", "saved_model"),
        ("golden/golden.json", b"{}", "golden.json"),
        ("report.json", b"{}", "report.json"),
    ):
        copy = tmp_path / "copy"
        shutil.copytree(digits_run, copy)
        (copy / name).write_bytes(changed)
        assert main(["package", "serving", str(copy), "--output", str(tmp_path / "bundle")]) == 1
        assert told in capsys.readouterr().err
        assert not (tmp_path / "bundle").exists()
        shutil.rmtree(copy)


def test_nginx_lets_known_clients_ask_and_nothing_else(bundle: Path, served: tuple[int, int], tmp_path: Path) -> None:
    if shutil.which("nginx") is None:
        pytest.skip("no nginx on this machine")
    port = free_port()
    config = (bundle / "nginx/nginx.conf").read_text()
    config = config.replace("serving:8501", f"127.0.0.1:{served[0]}").replace("listen 8080", f"listen 127.0.0.1:{port}")
    config = config.replace("/tmp/", f"{tmp_path}/").replace("/dev/stdout", str(tmp_path / "log"))
    (tmp_path / "nginx.conf").write_text(config)
    (tmp_path / "api_keys.conf").write_text('"open-sesame" 1;\n')
    tested = run("nginx", "-t", "-c", tmp_path / "nginx.conf")
    assert tested.returncode == 0, tested.stderr
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(["nginx", "-g", "daemon off;", "-c", tmp_path / "nginx.conf"]) as process:
        try:
            wait_for(port)
            known = run(sys.executable, bundle / "client/check.py", "--url", url, "--key", "open-sesame")
            assert known.returncode == 0, known.stdout + known.stderr
            for key, path, body, status in (
                ("", "/v1/models/three-digits:predict", b"{}", 401),
                ("wrong", "/v1/models/three-digits:predict", b"{}", 401),
                ("open-sesame", "/v1/models/other:predict", b"{}", 404),
                ("open-sesame", "/v1/models/three-digits/metadata", b"{}", 404),
                ("open-sesame", "/v1/models/three-digits:predict", bytes(50_000_000), 413),
                ("open-sesame", "/v1/models/three-digits/labels/stable:predict", b"{}", 400),
            ):
                request = urllib.request.Request(url + path, body, {"X-Api-Key": key} if key else {})
                with pytest.raises(urllib.error.URLError) as refused:
                    urllib.request.urlopen(request, timeout=20)
                if isinstance(refused.value, urllib.error.HTTPError):  # else it hung up on a body far too large
                    assert refused.value.code == status
                    assert "error" in json.loads(refused.value.read())
                else:
                    assert status == 413
        finally:
            process.terminate()
    log = (tmp_path / "log").read_text()
    assert " 401 " in log
    assert "sesame" not in log


def test_prometheus_takes_the_rules_and_they_fire(bundle: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool on this machine")
    for words in ("check config prometheus.yml", "check rules alerts.yml", "test rules alerts_test.yml"):
        done = run("promtool", *words.split(), cwd=bundle / "prometheus")
        assert done.returncode == 0, done.stdout + done.stderr
    dashboard = json.loads((bundle / "grafana/dashboard.json").read_text())
    assert len({panel["id"] for panel in dashboard["panels"]}) == 4


def in_c(
    saved_model: Path, batches: list[list[bytes]], libraries: Path | None = None, operators: Sequence[Path] = ()
) -> subprocess.CompletedProcess[str]:
    """Send batches to a SavedModel in a process without Python's TensorFlow, in this or another version's libraries."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    described = saved_model_pb2.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
    signature = described.meta_graphs[0].signature_def["serving_default"]
    (taken,) = signature.inputs.values()
    asked = {
        "libraries": str(libraries or tf.sysconfig.get_lib()),
        "operators": list(map(str, operators)),
        "input": taken.name,
        "outputs": {name: tensor.name for name, tensor in signature.outputs.items()},
        "batches": [[base64.b64encode(one).decode() for one in batch] for batch in batches],
    }
    words = [sys.executable, str(C_SERVER), str(saved_model)]
    return subprocess.run(words, input=json.dumps(asked), capture_output=True, text=True, check=False, timeout=300)


def assert_answers_as_proved(bundle: Path, libraries: Path | None = None) -> None:
    rows = json.loads((bundle / "golden/requests.json").read_text())
    sent = [base64.b64decode(row["instance"]["image_bytes"]["b64"]) for row in rows]
    done = in_c(bundle / "models/three-digits/1", [[one] for one in sent] + [sent], libraries)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = json.loads(done.stdout)["answers"]
    for number, row in enumerate(rows):
        for got, place in ((answers[number], 0), (answers[-1], number)):
            assert got["labels"][place] == row["answer"]["labels"]
            assert np.allclose(got["scores"][place], row["answer"]["scores"], atol=1e-4)


def test_the_model_answers_without_python(bundle: Path) -> None:
    assert_answers_as_proved(bundle)


def save_with_a_python_operator(folder: Path) -> None:
    import tensorflow as tf

    class Doubled(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "texts")])
        def serve(self, texts: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"texts": tf.numpy_function(lambda given: given, [texts], tf.string)}

    module = Doubled()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})


def test_an_operator_of_python_would_be_found_out(tmp_path: Path) -> None:
    save_with_a_python_operator(tmp_path)
    done = in_c(tmp_path, [[b"one"]])
    assert done.returncode != 0
    assert "PyFunc" in done.stderr


def installed(*packages: str) -> Path:
    """Where packages lie, alone in an environment."""
    environment = Environment(packages[0].replace("==", "-"), ("--no-deps", *packages))
    try:
        (folder,) = environment.folder().glob("lib/python*/site-packages")
    except NotInstallableError as fault:
        pytest.skip(str(fault))
    return folder


def text_operators(package: Path) -> list[Path]:
    return sorted(package.glob("python/**/_*.so"))


@pytest.mark.consumers
@pytest.mark.parametrize("version", ["2.18.1", "2.19.1", "2.20.0"])
def test_older_tensorflow_answers_as_proved(version: str, bundle: Path, tmp_path: Path) -> None:
    """TensorFlow Serving has the versions of TensorFlow; its image takes 2.19."""
    libraries = installed(f"tensorflow-cpu=={version}") / "tensorflow"
    assert_answers_as_proved(bundle, libraries)
    save_with_a_python_operator(tmp_path / "python")
    done = in_c(tmp_path / "python", [[b"one"]], libraries)
    assert done.returncode != 0 and "PyFunc" in done.stderr


@pytest.mark.consumers
def test_each_version_knows_the_operators_that_the_list_says(tmp_path: Path) -> None:
    """The list of what came after 2.18, from the libraries' own mouths."""
    from tensorflow.core.framework import op_def_pb2

    def known(libraries: Path, version: str) -> set[str]:
        file = tmp_path / f"{version}.pb"
        subprocess.run([sys.executable, str(OPERATORS_IN), str(libraries), str(file)], check=True, capture_output=True)
        return {one.name for one in op_def_pb2.OpList.FromString(file.read_bytes()).op}

    import tensorflow as tf

    older = ("2.18.1", "2.19.1", "2.20.0")
    lists = [known(installed(f"tensorflow-cpu=={version}") / "tensorflow", version) for version in older]
    lists.append(known(Path(tf.sysconfig.get_lib()), "2.21"))
    found = {}
    for version, before, after in zip(("2.19", "2.20", "2.21"), lists, lists[1:], strict=False):
        found |= dict.fromkeys(after - before, version)
    ours = {name: version for name, version in found.items() if not name.startswith(("_", "XlaSparseDenseMatmul"))}
    assert ours == NEWER  # what is left out are TensorFlow's own and one family of TPUs


@pytest.mark.consumers
@pytest.mark.parametrize(("version", "reads"), [("2.19.1", False), ("2.20.0", True)])
def test_webp_is_read_since_the_version_that_the_guide_says(
    version: str, reads: bool, bundle: Path, tmp_path: Path
) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (16, 16), "white").save(picture, "WEBP")
    libraries = installed(f"tensorflow-cpu=={version}") / "tensorflow"
    done = in_c(bundle / "models/three-digits/1", [[picture.getvalue()]], libraries)
    assert (done.returncode == 0) == reads == (Version(version) >= Version(WEBP_SINCE))
    assert "refuses WebP" in (bundle / "SERVING.md").read_text()  # of the image that it names, 2.19.1


def test_an_image_that_is_too_old_for_the_model_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    class Halved(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((), tf.string, "picture")])
        def serve(self, picture: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"pixels": tf.raw_ops.DecodeWebP(contents=picture, channels=3)}

    module = Halved()
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    assert serving_since(tmp_path, "tensorflow/serving:2.20.0") == "2.20"
    with pytest.raises(ExportError, match=r"does not know DecodeWebP, which TensorFlow Serving has from 2\.20 on"):
        serving_since(tmp_path, "tensorflow/serving:2.19.1")
    save_with_a_python_operator(tmp_path / "python")
    with pytest.raises(ExportError, match="operators that need Python: PyFunc"):
        serving_since(tmp_path / "python", "tensorflow/serving:latest")


# The libraries of tensorflow-text 2.19.0 want a symbol that no library of TensorFlow 2.19 has outside of Python.
@pytest.mark.consumers
@pytest.mark.parametrize("version", ["2.18.1", "2.20.0"])
def test_older_tensorflow_answers_texts(version: str, texts_run: Path, tmp_path: Path) -> None:
    """TensorFlow Serving has the operators of tensorflow-text inside; here they are loaded."""
    packages = installed(f"tensorflow-cpu=={version}", f"tensorflow-text=={version}")
    texts = ["Where is my parcel?", "cancel it, please", "漢字 cafe\u0301"]
    words = ["--output", str(tmp_path / "texts"), "--format", "saved_model"]
    assert main(["export", str(texts_run), *words]) == 0
    sent = [[text.encode() for text in texts]]
    model = tmp_path / "texts/saved_model/1"
    spec = importlib.util.find_spec("tensorflow_text")
    assert spec is not None and spec.submodule_search_locations is not None
    mine = in_c(model, sent, operators=text_operators(Path(spec.submodule_search_locations[0])))
    theirs = in_c(model, sent, packages / "tensorflow", text_operators(packages / "tensorflow_text"))
    assert mine.returncode == 0, mine.stderr[-2000:]
    assert theirs.returncode == 0, theirs.stderr[-2000:]
    (expected,), (answer,) = json.loads(mine.stdout)["answers"], json.loads(theirs.stdout)["answers"]
    assert answer["labels"] == expected["labels"]
    np.testing.assert_allclose(answer["scores"], expected["scores"], atol=1e-5)


@pytest.mark.consumers
def test_linters_have_nothing_to_say(bundle: Path) -> None:
    assert_linters_are_silent(bundle)


@pytest.mark.consumers
def test_sagemaker_is_asked_for_an_endpoint(bundle: Path, tmp_path: Path) -> None:
    """AWS's own command, and a stand-in for AWS that knows what each call must hold."""
    try:
        folder = AWS.folder() / "bin"
    except NotInstallableError as fault:
        pytest.skip(str(fault))
    port = free_port()
    at = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_DEFAULT_REGION": "eu-central-1"}
    keys = {"AWS_ACCESS_KEY_ID": "one", "AWS_SECRET_ACCESS_KEY": "two"}
    environment = {**os.environ, **at, **keys, "PATH": f"{folder}:{os.environ['PATH']}"}

    def asked(*words: str) -> subprocess.CompletedProcess[str]:
        given = {"capture_output": True, "text": True, "check": False, "timeout": 300}
        return subprocess.run(words, env=environment, **given)

    words = [folder / "moto_server", "--port", str(port)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(port)
            assert asked("aws", "s3", "mb", "s3://models").returncode == 0
            script = str(bundle / "clouds/sagemaker.sh")
            assert (asked(script).returncode, "BUCKET ROLE_ARN IMAGE" in asked(script).stderr) == (2, True)
            role, image = "arn:aws:iam::123456789012:role/serving", "tensorflow-inference:2.19"
            done = asked(script, "models", role, image)
            assert done.returncode == 0, done.stderr
            assert "three-digits serves version 1" in done.stdout
            archive = tmp_path / "model.tar.gz"
            asked("aws", "s3", "cp", "s3://models/three-digits-1/model.tar.gz", str(archive))
            with tarfile.open(archive) as members:
                assert "three-digits/1/saved_model.pb" in members.getnames()
            told = asked("aws", "sagemaker", "describe-endpoint", "--endpoint-name", "three-digits")
            assert json.loads(told.stdout)["EndpointConfigName"] == "three-digits-1"
        finally:
            server.kill()
