"""What a new file format costs: its module, and at most three places of tfkit, here done to a copy of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tfkit

MODULE = '''
"""A made-up format: the Keras file itself."""

from pathlib import Path

from tfkit.artifacts import Artifact
from tfkit.models import load_model_file, save_model_file
from tfkit.runtimes.keras_runtime import KerasRuntime


def export(job, wanted, path):
    save_model_file(job.model, path)
    signature = KerasRuntime(job.model).signature
    return Artifact(path, "keras", "none", signature, job.spec, job.class_names, "a test", job.task, job.thresholds)


def open_file(model, path, threads, scaling):
    return KerasRuntime(load_model_file(path))
'''
PLACES = {  # file: what is written in the place of what
    "artifacts/format.py": (
        ('Literal["saved_model", "tflite", "onnx"]', 'Literal["saved_model", "tflite", "onnx", "keras"]'),
        ("\n)\nFORMAT_NAMES", '\n    Format("keras", "Keras", "model.keras", "keras"),\n)\nFORMAT_NAMES'),
    ),
    "exporters/formats.py": (
        ('"tflite": _tflite,', '"tflite": _tflite, "keras": keras_format.export,'),
        ("from tfkit.errors import", "from tfkit import keras_format\nfrom tfkit.errors import"),
    ),
    "runtimes/opening.py": (
        ('"tflite": _tflite,', '"tflite": _tflite, "keras": _keras,'),
        ("_Opener = ", "def _keras(*given):\n    from tfkit.keras_format import open_file\n\n"
         "    return open_file(*given)\n\n\n_Opener = "),
    ),
}  # fmt: skip
SCRIPT = """
import sys
import numpy as np
import tfkit
from tfkit.artifacts import ImageSpec, format_label, read_manifest
from tfkit.config import find_recipe, load_recipe
from tfkit.data import load_image_splits
from tfkit.exporters import export_formats
from tfkit.models import build_backbone, build_classifier
from tfkit.verification import reference_scores, verify_artifact
from pathlib import Path

assert str(tfkit.__file__).startswith(sys.argv[1]), tfkit.__file__
load_recipe(find_recipe("digits"), ["export.formats=[keras, tflite_float32]"])
splits = load_image_splits(source="digits", channels=1)
image = ImageSpec(8, 8, channels=1)
model = build_classifier(build_backbone("resnet8", image=image), classes=10)
folder = Path(sys.argv[1]) / "artifacts"
export_formats(model, ["keras", "tflite_float32"], folder, spec=image, class_names=splits.class_names)
test = splits.test.select(np.arange(32))
reference = reference_scores(model, test, image)
for artifact in read_manifest(folder):
    proved = verify_artifact(artifact, test, reference=reference)
    print(format_label(artifact.format, artifact.quantization), proved.agreement)
"""


@pytest.mark.slow
def test_a_new_format_costs_its_module_and_three_places(tmp_path: Path) -> None:
    house = Path(tfkit.__file__).parent
    copy = tmp_path / "tfkit"
    shutil.copytree(house, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "keras_format.py").write_text(MODULE)
    for name, changes in PLACES.items():
        text = (copy / name).read_text()
        for before, after in changes:
            assert text.count(before) == 1, (name, before)
            text = text.replace(before, after)
        (copy / name).write_text(text)
    assert len(PLACES) <= 3
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == ["Keras 1.0", "TFLite float32 1.0"]
