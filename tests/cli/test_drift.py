"""`tfkit drift`, as it is typed: a run of three digits, and pictures that are like its own or not."""

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tfkit.cli.main import main
from tfkit.errors import DataError
from tfkit.monitoring import read_profile


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tfkit

    folder, digits = tmp_path_factory.mktemp("runs"), load_digits()
    known = np.random.default_rng(1).permutation(np.flatnonzero(digits.target < 3))
    for part, chosen in (("train", known[:300]), ("test", known[300:])):
        pixels = (digits.images[chosen] / 16 * 255).astype(np.uint8)
        np.savez(folder / f"{part}.npz", x=pixels, y=digits.target[chosen].astype(np.uint8))
    said = {
        "recipe": "finetune_image",
        "run": {"name": "three", "directory": str(folder)},
        "data": {
            "source": "npz",
            "train": str(folder / "train.npz"),
            "test": str(folder / "test.npz"),
            "image_size": 16,
            "channels": 1,
            "resize": "stretch",
        },
        "model": {"backbone": "resnet8", "weights": "random", "dropout": 0.0},
        "fine_tune": {"epochs": 3, "learning_rate": 3e-3, "batch_norm": "train"},
        "export": {"formats": ["tflite_float32"]},
        "acceptance": {"max_accuracy_drop": 0.5, "min_agreement": 0.5},
    }
    recipe = folder / "three.yaml"
    recipe.write_text(json.dumps(said))
    tfkit.run(recipe)
    return folder / "three"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of pictures: two halves of the same, one of them brighter, and other digits."""
    folder = tmp_path_factory.mktemp("pictures")
    digits = load_digits()
    pixels = (digits.images / 16 * 255).astype(np.uint8)
    known = np.random.default_rng(0).permutation(np.flatnonzero(digits.target < 3))

    def put(name: str, chosen: np.ndarray, way: Callable[[np.ndarray], np.ndarray] = lambda picture: picture) -> None:
        (folder / name).mkdir()
        for place in chosen:
            Image.fromarray(way(pixels[place])).save(folder / name / f"{place}.png")

    put("first", known[:200])
    put("second", known[200:400])
    put("bright", known[200:400], lambda picture: np.minimum(255, picture.astype(int) + 40).astype(np.uint8))
    for number, place in enumerate(known[:200]):  # dusk comes behind the first hundred, in the order of their names
        (folder / "dusk").mkdir(exist_ok=True)
        light = 1.0 if number < 100 else 0.5
        Image.fromarray((pixels[place] * light).astype(np.uint8)).save(folder / "dusk" / f"{number:03}.png")
    put("others", np.flatnonzero(digits.target == 7)[:100])
    return folder


def test_pictures_like_the_reference_raise_no_alarm(run: Path, pictures: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["drift", str(run), str(pictures / "second"), "--reference", str(pictures / "first")]) == 0
    told = capsys.readouterr().out
    assert "no drift found: 200 new images against 200 of" in told and "brightness" in told


def test_brighter_pictures_are_found_and_told_everywhere(
    run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    page, metrics = tmp_path / "drift.html", tmp_path / "drift.prom"
    command = ["drift", str(run), str(pictures / "bright"), "--html", str(page), "--prometheus", str(metrics)]
    assert main([*command, "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["alarm"] and document["compared_with"] == "the run's test split"
    shifts = {shift["name"]: shift for shift in document["shifts"]}
    assert {"brightness", "contrast", "sharpness", "confidence", "answers", "features"} == set(shifts)
    light = shifts["brightness"]
    assert light["alarm"] and light["medians"][1] > light["medians"][0] and light["value"] > light["threshold"]
    assert "brightness" in page.read_text() and "<svg" in page.read_text()
    samples = dict(re.findall(r"^(tfkit_drift_\w+\{.*\}) (\S+)$", metrics.read_text(), re.MULTILINE))
    assert samples['tfkit_drift_alarm{model="three"}'] == "1"
    assert samples['tfkit_drift_differs{model="three",of="brightness"}'] == "1"
    assert samples['tfkit_drift_inputs{model="three"}'] == "200"
    if promtool := shutil.which("promtool"):
        with metrics.open() as file:
            subprocess.run([promtool, "check", "metrics"], stdin=file, check=True, capture_output=True)


def test_a_stream_says_when_it_changed(
    run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    page, first = tmp_path / "drift.html", str(pictures / "second")
    command = ["drift", str(run), "--reference", first, "--stream"]
    assert main([*command, str(pictures / "dusk"), "--html", str(page)]) == 3
    told = " ".join(capsys.readouterr().out.split())
    found = re.search(r"brightness changed at new image (\d+) \('\S+/(\d+)\.png'\): \S+ before, \S+ after", told)
    assert found and 95 <= int(found[1]) <= 110 and int(found[2]) == int(found[1]) - 1
    assert "When it changed" in page.read_text()
    assert main([*command, str(pictures / "first"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["change_points"] == []


def test_digits_that_it_never_saw_are_found(run: Path, pictures: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["drift", str(run), str(pictures / "others"), "--reference", str(pictures / "first")]) == 3
    told = capsys.readouterr().out
    assert re.search(r"drift: .*features", told) and "answers that changed most: " in told


def test_a_profile_stands_for_data_that_are_elsewhere(
    run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    profile = tmp_path / "reference.npz"
    assert main(["drift", str(run), "--save", str(profile), "--reference", str(pictures / "first")]) == 0
    assert read_profile(profile).count == 200
    broken = shutil.copytree(pictures / "second", tmp_path / "new")
    (broken / "a.png").write_bytes(b"no picture")
    capsys.readouterr()
    assert main(["drift", str(run), str(broken), "--reference", str(profile)]) == 0
    told = capsys.readouterr().out
    assert "a.png" in told and "left out" in told and "200 new images" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "there is nothing to compare"),
        (("missing",), "there is no picture 'missing'"),
        (("{few}",), "there are 5 images; at least 20"),
        (("{first}", "--reference", "{text}"), "there is no picture that can be read"),
        (("{first}", "--save", "profile.json"), "a profile is an .npz file"),
        (("{first}", "--alpha", "0"), "alpha is 0"),
    ],
)
def test_what_cannot_be_done_is_told(
    words: tuple[str, ...], told: str, run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    few, text = tmp_path / "few", tmp_path / "note.txt"
    few.mkdir()
    text.write_text("hello")
    for file in sorted((pictures / "first").iterdir())[:5]:
        shutil.copy(file, few)
    said = [word.format(few=few, first=pictures / "first", text=text) for word in words]
    assert main(["drift", str(run), *said]) == 1
    assert told in capsys.readouterr().err


def test_data_that_are_gone_and_changed_runs_are_named(
    run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    shutil.move(run.parent / "test.npz", tmp_path)
    try:
        assert main(["drift", str(run), str(pictures / "first")]) == 1
    finally:
        shutil.move(tmp_path / "test.npz", run.parent)
    told = capsys.readouterr().err
    assert "test.npz" in told and "--reference DATA or PROFILE.npz" in told
    moved = shutil.copytree(run, tmp_path / "three")
    (moved / "recipe.yaml").write_text("recipe: finetune_image")
    assert main(["drift", str(moved), str(pictures / "first")]) == 1
    assert "recipe.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["beside", "elsewhere"])
def test_what_to_label_next_is_a_table_that_a_recipe_reads(
    place: str,
    run: Path,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(pictures)  # whence the pictures are named
    table = (pictures if place == "beside" else tmp_path) / "to_label.csv"
    words = ["label-queue", str(run), "second", "others", "--output", str(table)]
    assert main([*words, "--count", "30"]) == 0
    assert "30 of 300 images are in" in capsys.readouterr().out
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == [""] * 30 and {row["suggested"] for row in rows} <= {"0", "1", "2"}
    unknown = sum("others" in row["path"] for row in rows)
    assert unknown > 10  # a third of the pictures
    assert all(0 <= float(row["confidence"]) <= 1 for row in rows)
    assert main([*words]) == 1
    assert "exists already, and may hold labels" in capsys.readouterr().err

    from tfkit.data import load_image_examples

    with pytest.raises(DataError):  # not filled in yet
        load_image_examples(table, channels=1)
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "label": "seven" if "others" in row["path"] else row["suggested"]} for row in rows)
    read = load_image_examples(table, channels=1)
    assert len(read) == 30 and read.class_counts()["seven"] == unknown
