"""What is shipped keeps the house's rules: short scripts, and a README whose commands work."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import setuptools

import tfkit

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
GUIDES = sorted((ROOT / "docs/guides").glob("*.md"))


def commands(block_mark: str, *pages: Path) -> list[str]:
    """The command lines of the pages' blocks that open with this mark."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    blocks = re.findall(rf"^```{block_mark}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


def test_scripts_stay_within_150_lines() -> None:
    lengths = {
        script.name: len(script.read_text().splitlines())
        for folder in ("recipes", "export")
        for script in (ROOT / folder).glob("*.py")
    }
    assert all(length <= 150 for length in lengths.values()), lengths


def test_every_package_and_the_version_are_in_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    distribution = setuptools.Distribution()
    distribution.parse_config_files()
    distribution.set_defaults()
    rooms = {".".join(file.parent.relative_to(ROOT).parts) for file in (ROOT / "tfkit").rglob("__init__.py")}
    assert rooms | {"tfkit._recipes", "tfkit._export"} <= set(distribution.packages)
    assert distribution.get_version() == tfkit.__version__


def test_the_readme_names_only_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {line.split()[1] for line in commands("bash", README) if line.startswith("make ")}
    assert {"quickstart", "test"} <= named <= targets


def quickstart() -> list[str]:
    """What `make quickstart` runs once its environment is there."""
    lines = (ROOT / "Makefile").read_text().splitlines()
    start = lines.index("quickstart: install") + 1
    return [line.strip().removeprefix("$(BIN)/") for line in lines[start:] if line.startswith("\t$(BIN)/tfkit")]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_command_of_readme_and_guides_that_needs_no_network_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In their order, once each, in one folder; `make test` is what runs this, so of make only the quickstart.

    Runs are processes of their own; other commands share this one, which has TensorFlow started.
    """
    from tfkit.cli.main import main

    executables = Path(sys.executable).parent
    lines = [line for line in dict.fromkeys(commands("bash", README, *GUIDES)) if not line.startswith("make ")]
    assert len(quickstart()) == 2
    assert len(lines) >= 5
    monkeypatch.chdir(tmp_path)
    for line in [*quickstart(), *lines]:
        words = shlex.split(line)
        if words[0] == "tfkit" and words[1] != "run":
            assert main(words[1:]) == 0, f"{line}\n{capsys.readouterr()}"
            continue
        done = subprocess.run(
            [str(executables / words[0]), *words[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    control = json.loads((tmp_path / "runs/digits/report.json").read_text())["control"]
    assert control["counterpart_accuracy"] >= control["accuracy"] + 0.10


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [README, *(ROOT / f"docs/guides/own_{name}.md" for name in ("backbone", "input", "recipe", "task"))],
    ids=lambda page: page.stem,
)
def test_the_python_of_readme_and_guides_works(page: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    code = "\n".join(blocks)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_commands_that_need_a_network_are_marked_and_still_name_real_commands() -> None:
    from tfkit.cli.main import main

    for line in commands("bash needs-network", README, *GUIDES):
        words = shlex.split(line)
        assert words[0] == "tfkit"
        assert main([words[1], "--help"]) == 0
