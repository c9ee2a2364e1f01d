"""Ctrl-C while a run is busy: it ends at once, says what it kept, and what it kept is good."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("ctrl_c_is_heard")


def interrupted(recipe: Path, *words: str, when: Callable[[], bool], sent: int = signal.SIGINT) -> tuple[int, str, str]:
    """Start `tfkit run`, press Ctrl-C once `when` comes true; status, output and errors of the process."""
    command = [sys.executable, "-m", "tfkit.cli.main", "run", str(recipe), *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}  # where a library ends the process is worth knowing
    # A session of its own: on a terminal Ctrl-C goes to every process of the group.
    with subprocess.Popen(command, **pipes, env=environment, start_new_session=True) as process:
        try:
            deadline = time.monotonic() + 400  # on a busy machine a run takes minutes
            while not when():
                assert process.poll() is None and time.monotonic() < deadline, process.communicate()
                time.sleep(0.05)
            os.killpg(process.pid, sent)
            out, err = process.communicate(timeout=150)
        finally:
            process.kill()
    return process.returncode, out, err


@pytest.mark.slow
def test_fine_tuning_keeps_the_model(recipe, only_our_lines):
    from tfkit.models import load_model_file

    checkpoint = Path("runs/mine/checkpoints/fine_tune.keras")
    status, out, err = interrupted(recipe, "fine_tune.epochs=1000", when=checkpoint.is_file)
    only_our_lines(err)
    assert status == 130 and "Traceback" not in out
    assert err.startswith("error: interrupted\n") and f"kept: '{checkpoint}'" in err
    assert load_model_file(checkpoint).output_shape == (None, 3)
    assert not [path.name for path in Path("runs").rglob("*") if "unfinished" in path.name]


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_the_hint_is_the_command_that_goes_on(recipe, tfkit, sent):
    checkpoint = Path("runs/mine/checkpoints/fine_tune.keras")
    words = ("fine_tune.epochs=12", "export=null")
    _, _, err = interrupted(recipe, *words, when=checkpoint.is_file, sent=sent)
    hinted = re.search(r"^hint: to go on from here: tfkit (run \S+ (.*))$", err, re.MULTILINE)
    assert hinted and hinted[2] == " ".join(words)
    told = tfkit(*shlex.split(hinted[1]))
    assert (told.status, told.err) == (0, "")
    assert "Train the head: done before the stop" in told.out


@pytest.mark.slow
def test_training_the_head_keeps_the_model(recipe, only_our_lines):
    from tfkit.models import load_model_file

    events = Path("runs/mine/tensorboard/head/train")
    status, _, err = interrupted(recipe, "head.epochs=100000", when=events.is_dir)
    only_our_lines(err)
    assert status == 130 and "kept: 'runs/mine/checkpoints/head.keras'" in err
    assert load_model_file(Path("runs/mine/checkpoints/head.keras")).output_shape == (None, 3)


@pytest.mark.slow
@pytest.mark.parametrize("sign", ["data_report.json", "artifacts", "artifacts/manifest.json"])
def test_any_moment_ends_without_a_traceback(recipe, only_our_lines, sign):
    status, out, err = interrupted(recipe, when=(Path("runs/mine") / sign).exists)
    only_our_lines(err)
    assert status == 130 and err.startswith("error: interrupted\n") and "Traceback" not in out
    assert not [path.name for path in Path("runs").rglob("*") if "unfinished" in path.name]


@pytest.mark.slow
def test_starting_up_ends_without_a_traceback(recipe, only_our_lines):
    began = time.monotonic()
    status, out, err = interrupted(recipe, when=lambda: time.monotonic() > began + 2)
    only_our_lines(err)
    # How far it came in two seconds is the machine's affair: what it says then must be ours.
    assert status == 130 and err.startswith("error: interrupted\n") and "Traceback" not in out
