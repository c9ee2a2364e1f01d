"""A bundle for phones: its Python, C++ and Kotlin are run here on the golden files; Swift is parsed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import ai_edge_litert
import numpy as np
import pytest
from PIL import Image

from tests.consumers.environments import Environment, NotInstallableError
from tfkit.cli.main import main
from tfkit.deployment import MobileOptions, golden_texts
from tfkit.errors import ConfigError

KOTLIN = Environment("kotlin", ("kotlin-compiler@2.4.20",), npm=True, commands=("npm", "java"))
CORE_ML = Environment("core_ml", ("coremltools==9.0",))
SWIFT_GRAMMAR = Environment("swift_grammar", ("tree-sitter==0.26.1", "tree-sitter-swift==0.7.4"))
DECLARATIONS = Path(__file__).with_name("kotlin")
LIBRARY = Path(ai_edge_litert.__path__[0]) / "libLiteRt.so"
BLOCKED = "import runpy, sys; sys.modules.update(tensorflow=None, keras=None, tfkit=None); sys.argv = sys.argv[1:]; "


@pytest.fixture(scope="module")
def pictures(colour_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "pictures"
    assert main(["package", "mobile", str(colour_run), "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def texts(texts_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "texts"
    assert main(["package", "mobile", str(texts_run), "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module", params=["pictures", "texts"])
def bundle(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue(request.param)
    return folder


@pytest.mark.slow
@pytest.mark.consumers
def test_a_core_ml_package_is_converted_and_said_to_be_unrun(
    colour_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        packages = next((CORE_ML.folder() / "lib").glob("python*/site-packages"))
    except NotInstallableError as fault:
        pytest.skip(str(fault))
    monkeypatch.setattr(sys, "path", [*sys.path, str(packages)])  # last: everything else is that of tfkit
    folder = tmp_path / "mobile"
    assert main(["package", "mobile", str(colour_run), "--output", str(folder), "--core-ml"]) == 0
    assert "no Apple device has run the Core ML package" in " ".join(capsys.readouterr().out.split())
    import coremltools

    said = coremltools.models.MLModel(str(folder / "ios/three-digits.mlpackage"), skip_model_load=True).get_spec()
    (taken,), (given,) = said.description.input, said.description.output
    assert (taken.type.imageType.width, taken.type.imageType.height) == (24, 16)
    assert list(given.type.multiArrayType.shape) == [1, 3]
    assert main(["verify", str(folder)]) == 0


def test_golden_texts_are_many_and_always_the_same() -> None:
    texts = golden_texts(32)
    assert len(texts) > 300 and texts == golden_texts(32)
    assert not any("\ud800" <= letter <= "\udfff" for text in texts for letter in text)
    assert any(len(text.encode()) == 101 for text in texts), "one byte more than a word may have"


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="small letters, digits and dashes"):
        MobileOptions("Not A Name")


@pytest.mark.slow
def test_a_bundle_is_verified_and_every_changed_file_is_named(
    bundle: Path, colour_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(bundle)]) == 0
    assert "not checked: ios was not compiled" in capsys.readouterr().out
    about = json.loads((bundle / "model.json").read_text())
    sizes = json.loads((bundle / "size_report.json").read_text())
    assert sizes["file_bytes"] == (bundle / about["file"]).stat().st_size > sizes["compressed_bytes"]
    assert all(operator["count"] > 0 and operator["since"] for operator in sizes["operators"])
    if "image" in about:  # the very file that MediaPipe and others read in tests/consumers, metadata included
        original = colour_run / "artifacts" / about["file"]
        assert about["file"] == "model_int8.tflite" and original.read_bytes() == (bundle / about["file"]).read_bytes()
    for name in (about["file"], "golden/expected.bin", "android/Classifier.kt", "linux/classifier.py"):
        content = (bundle / name).read_bytes()
        (bundle / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert main(["verify", str(bundle)]) == 1
        assert name in capsys.readouterr().err
        (bundle / name).write_bytes(content)


@pytest.mark.slow
def test_what_no_device_can_be_given_is_refused(
    colour_run: Path, texts_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mobile"
    words = ["package", "mobile", str(colour_run), "--output", str(folder)]
    assert main([*words, "--file", "model_float16.tflite"]) == 1
    assert "has no file 'model_float16.tflite'" in capsys.readouterr().err
    assert main(["package", "npu", str(texts_run), "--output", str(folder)]) == 1
    assert "has no int8 .tflite file that was accepted; it has model_float32.tflite" in capsys.readouterr().err
    assert not folder.exists()


def _python(python: str | Path, bundle: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the sample where TensorFlow, Keras and tfkit cannot be imported."""
    script = bundle / "linux/classifier.py"
    start = f"sys.path.insert(0, {str(script.parent)!r}); runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [str(python), "-B", "-c", BLOCKED + start, str(script), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_the_python_sample_answers_without_tensorflow_and_sees_other_answers(bundle: Path, tmp_path: Path) -> None:
    done = _python(sys.executable, bundle, "--check")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "OK"
    about = json.loads((bundle / "model.json").read_text())
    given = "where is my parcel" if "text" in about else str(bundle / "golden/odd_turned_6.jpg")
    shown = _python(sys.executable, bundle, given)
    assert shown.returncode == 0 and any(name in shown.stdout for name in about["class_names"])

    changed = tmp_path / "changed"
    shutil.copytree(bundle, changed)
    expected = np.fromfile(changed / "golden/expected.bin", "<f4")
    (changed / "golden/expected.bin").write_bytes((expected + np.float32(1 / 256)).tobytes())
    done = _python(sys.executable, changed, "--check")
    assert done.returncode == 1 and "FAILED" in done.stdout


@pytest.mark.slow
@pytest.mark.consumers
def test_the_python_sample_runs_where_its_requirements_alone_are(pictures: Path) -> None:
    wanted = (pictures / "linux/requirements.txt").read_text().split()
    done = _python(_interpreter(Environment("linux_sample", tuple(wanted))), pictures, "--check")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "OK"


def _interpreter(environment: Environment) -> Path:
    try:
        return environment.interpreter()
    except NotInstallableError as fault:
        pytest.skip(str(fault))


@pytest.mark.slow
@pytest.mark.consumers
def test_the_cpp_sample_builds_and_answers(bundle: Path, tmp_path: Path) -> None:
    """With TFKIT_LITERT, a checkout's folder, it is built with LiteRT's own headers too."""
    if shutil.which("cmake") is None or shutil.which("c++") is None:
        pytest.skip("no cmake and no C++ compiler on this machine")
    headers = os.environ.get("TFKIT_LITERT")
    for number, include in enumerate([None, headers] if headers else [None]):
        build = tmp_path / f"build{number}"
        words = ["cmake", "-S", str(bundle / "cpp"), "-B", str(build), f"-DLITERT_LIBRARY={LIBRARY}"]
        configured = _run([*words, *([f"-DLITERT_INCLUDE={include}"] if include else [])])
        if "Could NOT find" in configured.stderr:
            pytest.skip("no libjpeg-dev and libpng-dev on this machine")
        assert configured.returncode == 0, configured.stderr
        built = _run(["cmake", "--build", str(build)])
        assert built.returncode == 0, built.stderr
        assert "warning" not in built.stderr
        done = _run([str(build / "check"), str(bundle)])
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1] == "OK"


def _run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=1200)


@pytest.mark.slow
@pytest.mark.consumers
def test_kotlin_compiles_and_gives_the_ids_and_pixels_of_training(bundle: Path, tmp_path: Path) -> None:
    """Every Kotlin file, against declarations of Android's classes; tokeniser and pixels run on this machine."""
    is_text = (bundle / "tokenizer").exists()
    check = "CheckTexts" if is_text else "CheckPictures"
    sources = [*(bundle / "android").glob("*.kt"), *DECLARATIONS.glob("*.kt"), DECLARATIONS / "checks" / f"{check}.kt"]
    jar, compiler = tmp_path / "check.jar", _kotlin()
    words = ["java", "-Xmx1g", "-cp", f"{compiler}/lib/*", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"]
    compiled = _run([*words, "-no-reflect", "-kotlin-home", str(compiler), "-d", str(jar), *map(str, sources)])
    assert compiled.returncode == 0, compiled.stderr
    if not is_text:
        _decode(bundle, tmp_path)
    given = bundle if is_text else tmp_path
    done = _run(["java", "-cp", f"{jar}:{compiler}/lib/kotlin-stdlib.jar", f"{check}Kt", str(given), str(bundle)])
    assert done.returncode == 0, done.stderr
    rows = (bundle / "golden" / ("texts.tsv" if is_text else "pictures.tsv")).read_text().splitlines()
    assert done.stdout.splitlines() == [f"{len(rows)} of {len(rows)}"]


def _kotlin() -> Path:
    try:
        return KOTLIN.folder() / "node_modules/kotlin-compiler"
    except NotInstallableError as fault:
        pytest.skip(str(fault))


def _decode(bundle: Path, folder: Path) -> None:
    """What Android's decoder gives of each picture: 0xAARRGGBB, and the orientation beside it."""
    for row in (bundle / "golden/pictures.tsv").read_text().splitlines():
        name = row.split("\t")[0]
        with Image.open(bundle / "golden" / name) as picture:
            orientation = picture.getexif().get(0x0112, 1)
            colours = np.asarray(picture.convert("RGB")).astype(">u4")
        argb = 0xFF << 24 | colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]
        shape = np.array([*argb.shape, orientation])
        (folder / f"{name}.argb").write_bytes(shape.astype(">u4").tobytes() + argb.astype(">u4").tobytes())


_PARSE = """
import sys, tree_sitter, tree_sitter_swift
parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_swift.language()))
wrong = [name for name in sys.argv[1:] if parser.parse(open(name, "rb").read()).root_node.has_error]
sys.exit(", ".join(wrong) or 0)
"""


@pytest.mark.slow
@pytest.mark.consumers
def test_swift_follows_its_grammar(bundle: Path) -> None:
    files = sorted(map(str, (bundle / "ios").glob("*.swift")))
    assert len(files) == 4
    done = _run([str(_interpreter(SWIFT_GRAMMAR)), "-c", _PARSE, *files])
    assert done.returncode == 0, done.stderr
