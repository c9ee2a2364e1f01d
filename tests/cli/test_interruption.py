"""Ctrl-C inside libraries that swallow it, or make another error of it."""

import os
import signal
import subprocess
import sys
import threading

import pytest
import typer

from tfkit.cli import main as command_line
from tfkit.errors import ExportError
from tfkit.terminal.display import Display
from tfkit.terminal.interruption import (
    InterruptedRunError,
    ctrl_c_remembered,
    interrupted_status,
    kept_work_noted,
    stop_if_interrupted,
    was_interrupted,
)

pytestmark = pytest.mark.usefixtures("ctrl_c_is_heard")


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()


def test_a_swallowed_interruption_ends_the_work_at_its_next_sign_of_progress():
    with ctrl_c_remembered():
        with Display().stage("Export") as stage:
            stage.progress(1, 2)
        with pytest.raises(KeyboardInterrupt), Display().stage("Prove") as stage:
            swallowed()
            stage.progress(1, 2)
        with pytest.raises(KeyboardInterrupt), Display().stage("A stage without progress"):
            pass


class _CollectedWhileCtrlCIsPressed:
    def __del__(self) -> None:
        press_ctrl_c()


class _CollectedWithAFault:
    def __del__(self) -> None:
        raise ValueError("of the library")


def test_ctrl_c_inside_code_given_as_text_ends_with_the_status_of_a_shell(tmp_path):
    (tmp_path / "interrupted.py").write_text(
        "import sys\n"
        "from tfkit.terminal.interruption import ctrl_c_remembered\n"
        "with ctrl_c_remembered():\n"
        "    try:\n"
        "        exec('raise KeyboardInterrupt')\n"
        "    except KeyboardInterrupt:\n"
        "        status = 130\n"
        "sys.exit(status)\n"
    )
    command = [sys.executable, "-m", "interrupted"]
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=False).returncode == 130


def test_an_interruption_that_cannot_travel_on_prints_nothing_and_is_not_lost(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_type))
    with ctrl_c_remembered():
        _CollectedWhileCtrlCIsPressed()
        assert not told and was_interrupted()
        with pytest.raises(KeyboardInterrupt):
            stop_if_interrupted()
        _CollectedWithAFault()
        assert told == [ValueError]
    _CollectedWhileCtrlCIsPressed()
    assert told == [ValueError, KeyboardInterrupt]


def test_an_error_after_ctrl_c_is_the_interruption(tmp_path):
    with ctrl_c_remembered(), pytest.raises(InterruptedRunError), kept_work_noted(tmp_path):
        swallowed()
        raise ExportError("the TFLite converter refused the model: RuntimeError")


def test_the_next_command_starts_afresh():
    with ctrl_c_remembered():
        swallowed()
        assert was_interrupted()
    with ctrl_c_remembered():
        stop_if_interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_thread_leaves_the_signal_alone():
    found = []

    def command() -> None:
        with ctrl_c_remembered():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=command)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


@pytest.mark.parametrize("fault", [ExportError("refused"), RuntimeError("mlir"), KeyboardInterrupt()])
def test_a_command_ends_with_the_status_of_ctrl_c(fault, monkeypatch, capsys):
    app = typer.Typer()

    @app.command()
    def busy() -> None:
        swallowed()
        raise fault

    monkeypatch.setattr(command_line, "app", app)
    assert command_line.main(["--"]) == command_line.INTERRUPTED
    assert capsys.readouterr().err == "error: interrupted\n"


@pytest.mark.parametrize(("sent", "status"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_other_endings_are_taken_as_ctrl_c_is(sent: str, status: int) -> None:
    number = getattr(signal, sent)
    outside = signal.signal(number, signal.SIG_DFL)  # under nohup hanging up is ignored, and stays so
    try:
        with ctrl_c_remembered():
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
            assert was_interrupted()
            assert interrupted_status() == status
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, outside)
