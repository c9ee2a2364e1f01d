"""A bundle for browsers in a real Chromium: it answers as the run's proof says, and fits pictures as training did."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.consumers.consumers import LITERT_JS
from tests.consumers.environments import NotInstallableError
from tfkit.artifacts import ImageSpec, read_manifest
from tfkit.cli.main import main
from tfkit.data import picture_pixels
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


@pytest.mark.consumers
@pytest.mark.parametrize("file", ["model_int8.tflite", "model_float32.tflite"])
def test_a_browser_answers_as_python(file: str, run: Path, pictures: list[Path], tmp_path: Path) -> None:
    try:
        packages = LITERT_JS.environment.folder()
    except NotInstallableError as fault:
        pytest.skip(str(fault))
    folder, picture, asked = tmp_path / "web", tmp_path / "page.png", tmp_path / "asked.json"
    assert main(["package", "web", str(run), "--output", str(folder), "--file", file]) == 0
    specs = [ImageSpec(16, 24, channels, how) for channels in (1, 3) for how in ("crop", "pad", "stretch")]
    fits = [(one, spec) for one in pictures[:-1] for spec in specs]
    names = ("height", "width", "channels", "resize")
    wanted = [{"file": str(one), "image": {name: getattr(spec, name) for name in names}} for one, spec in fits]
    asked.write_text(json.dumps({"pictures": [str(one) for one in pictures], "fits": wanted}))
    words = ["node", str(CLIENT), str(packages), str(folder), str(picture), str(asked)]
    environment = {**os.environ, "CHROMIUM": shutil.which("chromium") or ""}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    samples = len(json.loads((folder / "model.json").read_text())["golden"])
    assert told["status"] == f"{samples} of {samples} samples are answered as in the model's proof"
    faults = [line for line in told["complaints"] if not line.startswith(("INFO", "WARNING"))]
    assert faults == []  # its Content-Security-Policy lets everything in that it needs
    assert told["camera"] == 3 and picture.stat().st_size > 5000
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
