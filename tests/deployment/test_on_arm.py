"""On aarch64 an int8 file answers to the bit as here, and the Python sample finds its golden files right."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.consumers.arm import PROCESSORS, QEMU, ArmEnvironment
from tests.consumers.consumers import CLIENTS
from tests.consumers.environments import NotInstallableError
from tfkit.cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.consumers]
ARM = ArmEnvironment(
    "arm64",
    ("ai-edge-litert==2.3.0", "numpy", "pillow", "simplejpeg"),
    commands=(QEMU, "apt-get", "dpkg-deb", "uv"),
)
# Floats are added in another order on another processor.
LARGEST_DIFFERENCE = {"model_int8.tflite": 0, "model_float32.tflite": 1e-5}


def _installed() -> None:
    try:
        ARM.folder()
    except NotInstallableError as fault:
        pytest.skip(str(fault))


@pytest.fixture(scope="module", params=LARGEST_DIFFERENCE)
def bundle(request: pytest.FixtureRequest, colour_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    _installed()
    folder = tmp_path_factory.mktemp("bundles") / "mobile"
    assert main(["package", "mobile", str(colour_run), "--output", str(folder), "--file", request.param]) == 0
    return folder


@pytest.mark.parametrize("processor", PROCESSORS)
def test_arm_answers_as_this_machine(bundle: Path, processor: str, tmp_path: Path) -> None:
    done = ARM.run(CLIENTS / "raw_answers.py", str(bundle), str(tmp_path / "answers.npz"), processor=processor)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "answers.npz") as read:
        answers, machine = read["answers"], str(read["machine"])
    assert machine == "aarch64"
    expected = np.fromfile(bundle / "golden/expected.bin", "<f4").reshape(answers.shape)
    if answers.dtype == np.uint8:
        np.testing.assert_array_equal(answers * np.float32(1 / 256), expected)
    else:
        np.testing.assert_allclose(answers, expected, atol=LARGEST_DIFFERENCE["model_float32.tflite"])


def test_the_python_sample_finds_its_golden_files_right_on_arm(bundle: Path) -> None:
    done = ARM.run(bundle / "linux/classifier.py", "--check", processor="cortex-a76")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "OK"


def test_two_processors_run_at_once(tmp_path: Path) -> None:
    """Tests run beside each other; with one /proc/cpuinfo for all, LiteRT chose kernels the other could not run."""
    _installed()
    script = tmp_path / "late.py"
    script.write_text("import time\ntime.sleep(1)\nprint(open('/proc/cpuinfo').read())\n")
    with ThreadPoolExecutor() as threads:
        done = dict(zip(PROCESSORS, threads.map(lambda name: ARM.run(script, processor=name), PROCESSORS), strict=True))
    assert {name: one.stdout.strip() for name, one in done.items()} == {
        name: told.strip() for name, told in PROCESSORS.items()
    }
