"""A run that was killed, and the same command again: the files are those of a run that nobody disturbed, to the bit.

`tests/benchmarks/killed_runs.py` kills at random moments, embedders too; here are one kill in training and one behind
it.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

pytestmark = pytest.mark.slow

IMAGES = """\
recipe: finetune_image
data: {source: image_folder, directory: photos, test_fraction: 0.3, image_size: 32, resize: stretch, cache_mb: 1}
augmentation: {policy: light, flip: false}
model: {backbone: resnet8, weights: random}
head: {solver: lbfgs}
fine_tune: {epochs: 2, learning_rate: 3.0e-3, batch_norm: train}
pruning: {sparsity: 0.6, epochs: 1, learning_rate: 1.0e-3}
quantization: {epochs: 1, learning_rate: 3.0e-4}
distillation: {}
export: {formats: [tflite_int8]}
acceptance: {max_accuracy_drop: 1.0, min_agreement: 0.0, examples: 30}
"""
TEXTS = """\
recipe: finetune_text
data: {source: built_in, label_column: intent, sequence_length: 16, test_fraction: 0.5}
model: {backbone: bert_tiny, vocabulary_size: 400}
fine_tune: {epochs: 4, learning_rate: 1.0e-3}
quantization: {epochs: 1}
export: {formats: [tflite_dynamic_int8]}
acceptance: {max_accuracy_drop: 1.0, min_agreement: 0.0, examples: 30}
"""
EMBEDDINGS = """\
recipe: embed_text
data: {source: built_in, label_column: intent, sequence_length: 16, validation_fraction: 0.3, test_fraction: 0.5}
model: {backbone: bert_tiny, vocabulary_size: 400}
fine_tune: {epochs: 4, learning_rate: 1.0e-3}
search: {min_confidence: 0.0}
export: {formats: [tflite_dynamic_int8]}
acceptance: {max_accuracy_drop: 1.0, min_agreement: 0.0, examples: 30}
"""


def write_photos() -> None:
    """More pictures than `cache_mb` holds, so that they are kept on disk; every fortieth lies in a wrong folder."""
    digits = load_digits(n_class=3)
    for number, (pixels, digit) in enumerate(zip(digits.images[:500], digits.target, strict=False)):
        folder = Path(f"photos/{(digit + (number % 40 == 7)) % 3}")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15.9).astype(np.uint8)).save(folder / f"{number}.png")


def killed(name: str, when: str) -> None:
    """Start `tfkit run`, and kill it with all its children once there is such a file in its folder."""
    words = [sys.executable, "-m", "tfkit.cli.main", "run", "mine.yaml", f"run.name={name}"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        while not (Path("runs") / name / when).exists():
            assert process.poll() is None, "it ended before"
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("recipe", "last"),
    [(IMAGES, "pruning.done.json"), (TEXTS, "quantization.state.npz"), (EMBEDDINGS, "fine_tune.done.json")],
    ids=["images", "texts", "embeddings"],
)
def test_a_killed_run_gives_the_same_files(recipe, last, tmp_path: Path, monkeypatch, capsys) -> None:
    from tfkit.cli.main import main

    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(recipe)
    if recipe is IMAGES:
        write_photos()
    killed("one", "checkpoints/fine_tune.state.npz")
    killed("one", f"checkpoints/{last}")
    Path("runs/one/checkpoints/fine_tune.state.npz").write_bytes(b"as if killed right behind the stage's record")
    assert main(["run", "mine.yaml", "run.name=one"]) == 0
    told = capsys.readouterr().out
    assert "done before the stop" in told and ("kept on the disk" in told) == (recipe is IMAGES)
    assert main(["run", "mine.yaml", "run.name=whole"]) == 0
    assert "judged on 30 of" in told and "judged on 30 of" in Path("runs/one/report.html").read_text()
    files = [path.name for path in Path("runs/whole/artifacts").glob("*.tflite")]
    one, whole = ([Path(f"runs/{name}/artifacts/{file}").read_bytes() for file in files] for name in ("one", "whole"))
    assert files and one == whole
    doubts = [Path(f"runs/{name}/suspicious_labels.csv") for name in ("one", "whole")]
    assert [path.is_file() for path in doubts] == [recipe is IMAGES] * 2
    assert recipe is not IMAGES or len({path.read_bytes() for path in doubts}) == 1
    pages = [Path(f"runs/{name}/report.html").read_text() for name in ("one", "whole")]
    assert [page.count("looks like <span") > 2 for page in pages] == [recipe is IMAGES] * 2
    assert not list(Path("runs/one").rglob("*.state.npz"))
