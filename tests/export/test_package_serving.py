"""`python export/package_serving.py` does what `tfkit package serving` does."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "export/package_serving.py"


@pytest.mark.slow
def test_the_script_tells_a_missing_run(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, SCRIPT, tmp_path / "none"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is no finished run" in done.stderr
