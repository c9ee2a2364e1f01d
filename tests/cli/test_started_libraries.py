"""What needs no TensorFlow does not start it: its import alone costs seconds and most of a gigabyte."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUN = """
import sys
from tfkit.cli.main import main
status = main(sys.argv[1:])
loaded = [name for name in ("tensorflow", "keras", "jax", "sklearn", "matplotlib", "jinja2") if name in sys.modules]
sys.exit(f"status {status}, loaded {loaded}" if status or loaded else 0)
"""


@pytest.mark.parametrize("command", [["verify"], ["benchmark", "--seconds", "0", "--runs", "2"]])
@pytest.mark.parametrize("file", ["model_int8.tflite", "model_float32.tflite"])
def test_exported_files_are_described_and_timed_without_tensorflow(
    exported: Path, command: list[str], file: str
) -> None:
    words = [command[0], str(exported / file), *command[1:]]

    process = subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True, timeout=120)

    assert process.returncode == 0, process.stderr


def test_pictures_are_shown_to_an_exported_file_without_tensorflow(exported: Path, pictures: Path) -> None:
    words = ["predict", str(exported / "model_int8.tflite"), str(pictures), "--json"]

    process = subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True, timeout=120)

    assert process.returncode == 0, process.stderr
    assert process.stdout.count('"red"') >= 6


def test_labelled_pictures_are_proved_without_tensorflow(exported: Path, pictures: Path) -> None:
    words = ["verify", str(exported / "model_int8.tflite"), "--data", str(pictures), "--json"]

    process = subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True, timeout=120)

    assert process.returncode == 0, process.stderr
    assert '"accuracy": 1.0' in process.stdout


def test_a_saved_model_gives_the_right_labels_without_tensorflow(exported: Path, pictures: Path) -> None:
    names = ("red", "green", "blue")
    images = [str(pictures / name / "0.png") for name in names]
    words = ["predict", str(exported / "saved_model"), *images, "--top", "2", "--json"]

    process = subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True, timeout=500)

    assert process.returncode == 0, process.stderr
    answers = [image["top"] for image in json.loads(process.stdout)["images"]]
    assert [top[0]["label"] for top in answers] == list(names)
    assert all(len(top) == 2 and top[0]["score"] > 0.8 for top in answers)


@pytest.fixture(scope="module")
def text_files(small_text_classifier: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifacts folder of a small model of texts, with its tokeniser."""
    from tfkit.artifacts import TextSpec
    from tfkit.data.text import learn_word_pieces
    from tfkit.exporters import export_formats

    folder = tmp_path_factory.mktemp("texts") / "artifacts"
    letters = "abcdefghijklmnopqrstuvwxyz?"
    tokenizer = learn_word_pieces([f"{letters} {' '.join(letters)} where is my parcel"] * 3, size=100)
    tokenizer.save(folder / "tokenizer")
    spec = TextSpec(8, folder / "tokenizer")
    labels = ("a", "b", "c")
    export_formats(small_text_classifier, ["tflite_dynamic_int8"], folder, spec=spec, class_names=labels)
    return folder / "model_dynamic_int8.tflite"


@pytest.mark.slow
def test_texts_are_shown_to_an_exported_file_without_tensorflow(text_files: Path) -> None:
    asked = ["Where is my parcel?", "caf\u00e9"]
    words = ["predict", str(text_files), *asked, "--json"]

    process = subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True, timeout=120)
    # A picture among the letters is for TF Text to part.
    with_more = subprocess.run(
        [sys.executable, "-m", "tfkit.cli.main", *words, "\U0001f600"], capture_output=True, text=True, timeout=120
    )

    assert process.returncode == 0, process.stderr
    assert with_more.returncode == 0, with_more.stderr
    assert json.loads(process.stdout)["texts"] == json.loads(with_more.stdout)["texts"][:2]
