"""A bundle for browsers in a real Chromium: it answers as the proof says; pictures and texts are as in training."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tfkit
from tests.consumers.consumers import LITERT_JS
from tests.consumers.environments import NotInstallableError
from tfkit.artifacts import ImageSpec, TextSpec, read_manifest
from tfkit.cli.main import main
from tfkit.data import picture_pixels
from tfkit.data.text import open_tokenizer
from tfkit.deployment.web import LITERT_JS as PINNED
from tfkit.runtimes import open_runtime

pytestmark = pytest.mark.slow
CLIENT = Path(__file__).with_name("web_client.mjs")


@pytest.fixture(scope="module")
def run(colour_run: Path) -> Path:
    return colour_run


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of odd sizes, larger and smaller than the model's, grey and in colour; and one that is none."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    shapes = {"wide": (50, 97, 3), "tall": (131, 37, 3), "small": (9, 11, 3), "grey": (40, 33), "fitting": (16, 24, 3)}
    files = []
    for name, shape in shapes.items():
        files.append(folder / f"{name}.png")
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(files[-1])
    smooth = np.linspace(0, 255, 64 * 80 * 3).reshape(64, 80, 3).astype(np.uint8)
    files.append(folder / "photo.jpg")
    Image.fromarray(smooth).save(files[-1], quality=92)
    (folder / "none.png").write_bytes(b"no picture")
    return [*files, folder / "none.png"]


def test_a_bundle_is_verified_and_knows_what_npm_adds(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "web"
    assert main(["package", "web", str(run), "--output", str(folder)]) == 0
    assert "not checked: no browser" in capsys.readouterr().out
    (folder / "node_modules/some").mkdir(parents=True)
    (folder / "node_modules/some/file.js").write_text("")
    (folder / "package-lock.json").write_text("{}")
    assert main(["verify", str(folder)]) == 0
    about = json.loads((folder / "model.json").read_text())
    assert about["file"] == "model_int8.tflite" and len(about["golden"]) > 0
    for name in ("pixels.js", "model_int8.tflite", "golden/image_0.png", "model.json"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert main(["verify", str(folder)]) == 1
        assert name in capsys.readouterr().err
        (folder / name).write_bytes(content)


def test_what_no_page_can_show_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "web"
    for words, told in (
        (["--file", "model_float16.tflite"], "has no file 'model_float16.tflite'"),
        (["--title", "a<b>"], "quotes or markup"),
        (["--name", "Not A Name"], "small letters, digits and dashes"),
    ):
        assert main(["package", "web", str(run), "--output", str(folder), *words]) == 1
        assert told in capsys.readouterr().err
        assert not folder.exists()


def test_the_client_that_is_tested_is_the_one_that_is_pinned() -> None:
    assert f"@litertjs/core@{PINNED}" in LITERT_JS.environment.packages


def in_a_browser(folder: Path, given: dict[str, Any], picture: Path) -> dict[str, Any]:
    """What the page of a bundle says and answers; `picture` becomes a screenshot of it."""
    try:
        packages = LITERT_JS.environment.folder()
    except NotInstallableError as fault:
        pytest.skip(str(fault))
    asked = picture.with_suffix(".json")
    asked.write_text(json.dumps(given))
    words = ["node", str(CLIENT), str(packages), str(folder), str(picture), str(asked)]
    environment = {**os.environ, "CHROMIUM": shutil.which("chromium") or ""}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    faults = [line for line in told["complaints"] if not line.startswith(("INFO", "WARNING"))]
    assert faults == []  # its Content-Security-Policy lets everything in that it needs
    assert picture.stat().st_size > 5000
    return told


@pytest.mark.consumers
@pytest.mark.parametrize("file", ["model_int8.tflite", "model_float32.tflite"])
def test_a_browser_answers_as_python(file: str, run: Path, pictures: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "web"
    assert main(["package", "web", str(run), "--output", str(folder), "--file", file]) == 0
    specs = [ImageSpec(16, 24, channels, how) for channels in (1, 3) for how in ("crop", "pad", "stretch")]
    fits = [(one, spec) for one in pictures[:-1] for spec in specs]
    names = ("height", "width", "channels", "resize")
    wanted = [{"file": str(one), "image": {name: getattr(spec, name) for name in names}} for one, spec in fits]
    given = {"pictures": [str(one) for one in pictures], "fits": wanted}
    told = in_a_browser(folder, given, tmp_path / "page.png")
    samples = len(json.loads((folder / "model.json").read_text())["golden"])
    assert told["status"] == f"{samples} of {samples} samples are answered as in the model's proof"
    assert told["camera"] == 3
    for (one, spec), pixels in zip(fits, told["pixels"], strict=True):
        mine = picture_pixels(one.read_bytes(), spec).astype(int).ravel()
        apart = np.abs(mine - np.array(pixels)).max()
        assert apart <= (1 if one.suffix == ".jpg" else 0), (one.name, spec, apart)
    artifact = next(one for one in read_manifest(run / "artifacts") if one.path.name == file)
    assert isinstance(artifact.input, ImageSpec)
    with open_runtime(artifact) as runtime:
        for one, answer in zip(pictures, told["answers"], strict=True):
            if one.name == "none.png":
                assert answer["scores"] is None and "cannot be read as a picture" in answer["told"]
                continue
            scores = runtime.scores(picture_pixels(one.read_bytes(), artifact.input)[None])[0]
            near = 1e-6 if file == "model_int8.tflite" and one.suffix == ".png" else 1e-2
            np.testing.assert_allclose(answer["scores"], scores, atol=near)
            assert answer["first"] == artifact.class_names[int(scores.argmax())]


@pytest.fixture(scope="module")
def integers_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of texts of three intents, to an int8 file."""
    folder = tmp_path_factory.mktemp("runs")
    said = {
        "recipe": "finetune_text",
        "run": {"name": "Three_intents", "directory": str(folder)},
        "data": {
            "source": "built_in",
            "label_column": "intent",
            "test_fraction": 0.25,
            "classes": ["cancel_order", "talk_to_human", "product_availability"],
            "sequence_length": 16,
        },
        "model": {"backbone": "bert_tiny", "vocabulary_size": 1000, "pooling": "mean"},
        "fine_tune": {"method": "all", "epochs": 4, "learning_rate": 1e-3},
        "quantization": {"target": "int8", "epochs": 1},
        "export": {"formats": ["tflite_int8"]},
        "acceptance": {"max_accuracy_drop": 0.9, "min_agreement": 0.1},
    }
    (folder / "intents.yaml").write_text(json.dumps(said))
    tfkit.run(folder / "intents.yaml")
    return folder / "Three_intents"


TEXTS = ("Where is my parcel?", "please CANCEL the order, it's late", "漢字 cafe\u0301 ΣΑΣ", "word " * 40)


@pytest.mark.consumers
@pytest.mark.parametrize("fixture", ["integers_run", "texts_run"])
def test_a_browser_answers_texts_as_python(fixture: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    run, folder = request.getfixturevalue(fixture), tmp_path / "web"
    assert main(["package", "web", str(run), "--output", str(folder), "--title", "What do you want?"]) == 0
    about = json.loads((folder / "model.json").read_text())
    told = in_a_browser(folder, {"texts": TEXTS}, tmp_path / "page.png")
    samples, cut = len(about["golden"]), len(json.loads((folder / "golden/texts.json").read_text()))
    assert samples > 3 and cut > 300
    assert told["status"] == (
        f"{samples} of {samples} samples are answered as in the model's proof; "
        f"{cut} of {cut} texts are cut into tokens as in training"
    )
    artifact = next(one for one in read_manifest(run / "artifacts") if one.path.name == about["file"])
    assert isinstance(artifact.input, TextSpec)
    tokens = open_tokenizer(artifact.input.tokenizer)(TEXTS, sequence_length=artifact.input.sequence_length)
    with open_runtime(artifact) as runtime:
        for place, answer in enumerate(told["answers"]):
            scores = runtime.scores({name: rows[place : place + 1] for name, rows in tokens.items()})[0]
            near = 1e-6 if fixture == "integers_run" else 1e-4
            np.testing.assert_allclose(answer["scores"], scores, atol=near)
            assert answer["first"] == artifact.class_names[int(scores.argmax())]
    assert f"{about['text']['sequence_length']} tokens; what is longer is cut" in told["answers"][-1]["told"]
    assert main(["verify", str(folder)]) == 0
