import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfkit import diagnosis
from tfkit.cli import doctor
from tfkit.cli.main import main
from tfkit.diagnosis import Finding


def test_this_machine_passes_the_quick_checks(tmp_path: Path) -> None:
    findings = [
        diagnosis.check_python(),
        *diagnosis.check_packages(),
        *diagnosis.check_processor(),
        diagnosis.check_disk(tmp_path),
    ]
    assert "fail" not in {finding.level for finding in findings}
    assert all(finding.mend for finding in findings if finding.level != "ok")


def test_a_package_that_is_missing_or_of_another_version_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["numpy<1", "no-such-package>=2", "pydantic>=2", 'only-elsewhere; python_version < "3"']
    monkeypatch.setattr(diagnosis.metadata, "requires", lambda name: asked)
    findings = diagnosis.check_packages()
    assert [(finding.level, finding.subject) for finding in findings] == [
        ("fail", "numpy"),
        ("fail", "no-such-package"),
        ("ok", "packages"),
    ]
    assert findings[1].mend == "pip install 'no-such-package>=2'"


def test_little_memory_and_little_disk_are_warned_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = diagnosis.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(diagnosis.shutil, "disk_usage", lambda folder: usage._replace(free=2**29))
    assert diagnosis.check_disk(tmp_path).level == "warn"


def test_a_failed_check_exits_with_1_and_is_told_with_its_mending(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = Finding("fail", "Keras", "stands on jax; tfkit needs TensorFlow", "unset KERAS_BACKEND")
    monkeypatch.setattr(doctor, "_checks", lambda: (("keras", lambda: [finding]),))
    assert main(["doctor"]) == 1
    told = capsys.readouterr().out
    assert "fail" in told and "→ unset KERAS_BACKEND" in told and "1 to mend" in told
    assert main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["subject"] == "Keras"


@pytest.mark.slow
def test_the_doctor_starts_tensorflow(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    subjects = [finding["subject"] for finding in json.loads(capsys.readouterr().out)]
    assert {"Python", "packages", "processor", "memory", "disk", "TensorFlow", "GPU", "oneDNN"} <= set(subjects)


@pytest.mark.slow
def test_what_tensorflow_says_while_it_starts_is_not_shown() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", "from tfkit.cli.main import main; raise SystemExit(main(['doctor']))"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0 and "ready" in done.stdout
    assert done.stderr == ""
