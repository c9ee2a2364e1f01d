"""A sweep learns, compares on validation examples alone, survives what happens to it, and leaves the best recipe."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import tfkit
from tfkit.config import load_recipe, load_tuned_recipe
from tfkit.errors import ConfigError, RunError, TrainingError
from tfkit.running import SilentDisplay
from tfkit.tuning.examples import ExamplesOfTrials

Write = Callable[..., Path]
COMMAND = [sys.executable, "-m", "tfkit.cli.main", "tune"]


@pytest.fixture(scope="module")
def swept(write_recipe: Write, tmp_path_factory: pytest.TempPathFactory):
    """The recipe's four trials, run in this process by nobody disturbed."""
    return tfkit.tune(write_recipe(tmp_path_factory.mktemp("swept")))


def rows(folder: Path) -> list[dict[str, str]]:
    """The table of trials without their times."""
    with (folder / "trials.csv").open(newline="") as table:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(table)]


def test_trials_are_given_nothing_of_the_test_split(write_recipe: Write, tmp_path: Path) -> None:
    given = []
    for name, shift in (("one", 0), ("other", 1)):
        config = load_recipe(write_recipe(tmp_path / name, test_shift=shift))
        given.append(ExamplesOfTrials(SilentDisplay()).of(config))
    one, other = given
    assert one.digest == other.digest and not hasattr(one, "test")
    assert len(one.train) + len(one.validation) == 240 and one.chosen_on == "72 validation images"


def test_without_a_validation_split_a_share_of_training_is_held_out(write_recipe: Write, tmp_path: Path) -> None:
    config = load_recipe(write_recipe(tmp_path), ["data.validation_fraction=0.0"])
    examples = ExamplesOfTrials(SilentDisplay()).of(config)
    assert examples.chosen_on == "48 training images held out"
    assert not set(examples.train.names) & set(examples.validation.names)


def test_what_decides_is_the_tasks_own_figure(write_recipe: Write, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tune.metric must be accuracy.*got f1"):
        tfkit.tune(write_recipe(tmp_path), tune={"metric": "f1"})


def test_a_script_without_stages_is_refused(write_recipe: Write, tmp_path: Path) -> None:
    script = tmp_path / "own.py"
    script.write_text("from tfkit.config import RecipeConfig\nCONFIG = RecipeConfig\ndef run(config, display): ...\n")
    with pytest.raises(ConfigError, match="does not know the stages"):
        tfkit.tune(write_recipe(tmp_path / "data"), script=script)


QUICK = """\
import time
from tfkit.config import RecipeConfig
from tfkit.training import StageResult
from tfkit._recipes.finetune_image import run
CONFIG = RecipeConfig

def untrained(model, train, validation, image, *, optimization, callbacks, **options):
    if optimization.learning_rate > 0.5:
        raise MemoryError
    callbacks[0].set_model(model)
    for epoch in range(optimization.epochs):  # the smaller the learning rate, the better it seems
        callbacks[0].on_epoch_end(epoch, {{"val_accuracy": 1 - optimization.learning_rate}})
        time.sleep({seconds})
    return StageResult("fine_tune", 0.0, {{"loss": [1.0]}}, ())

STAGES = {{"fine_tune": ("Fine-tune", untrained, "float")}}
"""


def quick_script(folder: Path, *, seconds: float = 0.0) -> Path:
    """A script whose stage trains nothing."""
    path = folder / "quick.py"
    path.write_text(QUICK.format(seconds=seconds))
    return path


@pytest.mark.slow
def test_trials_out_of_memory_fail_and_hopeless_ones_are_stopped(write_recipe: Write, tmp_path: Path) -> None:
    recipe, script = write_recipe(tmp_path), quick_script(tmp_path)
    space = {"fine_tune.learning_rate": [1e-3, 2e-3, 3e-3, 0.4, 0.6]}
    found = tfkit.tune(recipe, script=script, tune={"trials": 14, "space": space}, data={"batch_size": 32})
    ended = {trial.values["fine_tune.learning_rate"]: (trial.state, trial.reason) for trial in found.trials[5:]}
    assert ended[0.6] == ("failed", "out of memory")
    assert ended[0.4] == ("stopped", "stopped after epoch 2: others were better by then")
    assert len(found.trials) == 14 and found.ended == "14 trials are over, of 14 asked for"


def test_a_sweep_ends_when_its_first_three_trials_fail(write_recipe: Write, tmp_path: Path) -> None:
    space = {"fine_tune.learning_rate": [0.6, 0.7]}
    with pytest.raises(TrainingError, match=r"the first 3 trials failed:\n  out of memory"):
        tfkit.tune(
            write_recipe(tmp_path),
            script=quick_script(tmp_path),
            tune={"space": space},
            fine_tune={"learning_rate": 0.6},
        )
    assert [row["state"] for row in rows(tmp_path / "runs" / "mine-tune")] == ["failed"] * 3


def test_no_trial_is_begun_when_the_minutes_are_over(write_recipe: Write, tmp_path: Path) -> None:
    found = tfkit.tune(write_recipe(tmp_path), script=quick_script(tmp_path), tune={"max_minutes": 1e-5})
    assert not found.trials and found.best is None and "minutes are over" in found.ended


@pytest.mark.slow
def test_three_processes_share_a_sweep(write_recipe: Write, tmp_path: Path) -> None:
    recipe, script = write_recipe(tmp_path), quick_script(tmp_path, seconds=0.5)
    words = [*COMMAND, str(recipe), f"recipe='{script}'", "tune.trials=16"]
    # They begin together: who comes second must not take the same trial, of those put in and of those proposed.
    together = [subprocess.Popen(words, env=os.environ) for _ in range(3)]
    assert [process.wait(timeout=300) for process in together] == [0, 0, 0]
    recipe_rows = rows(tmp_path / "runs" / "mine-tune")
    assert len(recipe_rows) == 16 and {row["state"] for row in recipe_rows} <= {"finished", "stopped"}
    told = json.loads((tmp_path / "runs" / "mine-tune" / "report.json").read_text())
    assert len(told["trials"]) == len(recipe_rows)


@pytest.mark.slow
def test_a_sweep_leaves_its_table_its_report_and_the_best_recipe(swept) -> None:
    folder = swept.folder
    assert folder.name == "mine-tune" and len(swept.trials) == 4
    assert [row["trial"] for row in rows(folder)] == ["0", "1", "2", "3"]
    assert swept.recipe is swept.trials[0]
    assert dict(swept.recipe.values) == {"fine_tune.learning_rate": 1e-3, "data.batch_size": 32}
    assert swept.best.figure == max(trial.figure for trial in swept.finished) >= swept.recipe.figure
    document = json.loads((folder / "report.json").read_text())
    assert document["best_figure"] == swept.best.figure and document["recipe_figure"] == swept.recipe.figure
    assert document["metric"] == "validation_accuracy" and len(document["trials"]) == 4
    assert sum(swept.importance.values()) == pytest.approx(1) and set(swept.importance) == set(swept.keys)
    page = (folder / "report.html").read_text()
    assert "The recipe as it is" in page and "How much each key matters" in page and "http" not in page
    best = load_recipe(folder / "best.yaml")
    assert best.run.name == "mine-best" and "tune" not in yaml.safe_load((folder / "best.yaml").read_text())
    assert best.fine_tune.learning_rate == swept.best.values["fine_tune.learning_rate"]
    assert best.export is not None


@pytest.mark.slow
def test_tensorboard_shows_the_values_of_each_trial(swept) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(swept.folder / "tensorboard" / "trial_001"), size_guidance={"tensors": 0})
    events.Reload()
    assert "validation_accuracy" in events.Tags()["tensors"]
    assert events.PluginTagToContent("hparams")


@pytest.mark.slow
def test_the_same_sweep_is_over_and_one_with_more_trials_goes_on(swept) -> None:
    recipe = swept.folder.parents[1] / "mine.yaml"
    assert [trial.figure for trial in tfkit.tune(recipe).trials] == [trial.figure for trial in swept.trials]
    with pytest.raises(RunError, match=r"fine_tune.epochs was 2 and is 3"):
        tfkit.tune(recipe, fine_tune={"epochs": 3})


@pytest.mark.slow
def test_no_figure_depends_on_the_test_split(swept, write_recipe: Write, tmp_path: Path) -> None:
    other = tfkit.tune(write_recipe(tmp_path, test_shift=1), tune={"trials": 2})
    assert [trial.figure for trial in other.trials] == [trial.figure for trial in swept.trials[:2]]


@pytest.mark.slow
@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_a_sweep_that_is_stopped_and_killed_ends_as_if_it_had_not_been(
    swept, write_recipe: Write, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path)
    folder = tmp_path / "runs" / "mine-tune"
    for number, trials in ((signal.SIGINT, 1), (signal.SIGKILL, 2)):
        running = subprocess.Popen([*COMMAND, str(recipe)], stderr=subprocess.PIPE, text=True, env=os.environ)
        until = time.monotonic() + 240
        while time.monotonic() < until and running.poll() is None and trials_over(folder) < trials:
            time.sleep(0.1)
        time.sleep(1)  # into the next trial
        running.send_signal(number)
        _, told = running.communicate(timeout=120)
        assert running.returncode == (130 if number == signal.SIGINT else -number), told
        if number == signal.SIGINT:
            assert f"to go on from here: tfkit tune {recipe}" in told
    assert subprocess.run([*COMMAND, str(recipe)], env=os.environ, timeout=300, check=False).returncode == 0
    assert rows(folder) == rows(swept.folder)
    assert load_recipe(folder / "best.yaml").fine_tune == load_recipe(swept.best_recipe).fine_tune


def trials_over(folder: Path) -> int:
    return len(rows(folder)) if (folder / "trials.csv").is_file() else 0


@pytest.mark.slow
def test_trials_whose_loss_is_no_number_fail_and_the_sweep_goes_on(write_recipe: Write, tmp_path: Path) -> None:
    tune = {"trials": 3, "space": {"fine_tune.learning_rate": [1e-3, 1e38]}}
    found = tfkit.tune(write_recipe(tmp_path / "one"), tune=tune, fine_tune={"learning_rate": 1e38})
    assert found.trials[0].state == "failed" and "no finite number" in found.trials[0].reason
    assert len(found.trials) == 3 and found.recipe is None
    with pytest.raises(TrainingError, match="the first 3 trials failed"):
        tune["space"]["fine_tune.learning_rate"] = [1e37, 2e37, 1e38]
        tfkit.tune(write_recipe(tmp_path / "other"), tune=tune, fine_tune={"learning_rate": 1e38})


@pytest.mark.slow
def test_compression_runs_in_trials_where_something_of_it_is_tried(write_recipe: Write, tmp_path: Path) -> None:
    recipe, display = write_recipe(tmp_path), Told()
    changes = {"quantization": {"epochs": 1}, "fine_tune": {"epochs": 1}}
    space = {"quantization.learning_rate": [1e-5, 1e-4]}
    found = tfkit.tune(recipe, display=display, tune={"trials": 2, "space": space}, **changes)
    assert found.compresses and "Train quantisation-aware" in display.seen
    assert not (found.folder / "artifacts").exists()
    assert not load_tuned_recipe(recipe).config.quantization


class Told(SilentDisplay):
    """Remembers what was told on the way."""

    def __init__(self) -> None:
        self.seen = ""

    def stage(self, title: str):
        told = self

        class Stage:
            seconds = 0.0

            def __init__(self) -> None:
                self.title = title

            def __enter__(self):
                return self

            def __exit__(self, *fault: object) -> None: ...

            def progress(self, done: int, total: int, text: str = "") -> None:
                told.seen += text

            def result(self, text: str) -> None: ...

            def note(self, text: str) -> None: ...

        return Stage()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "method"), [("intents_small", "head"), ("faq_small", "bitfit")])
def test_texts_and_embeddings_are_tuned_too(name: str, method: str, tmp_path: Path) -> None:
    space = {"fine_tune.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "model.pooling": ["mean", "cls"]}
    found = tfkit.tune(
        name,
        run={"directory": str(tmp_path)},
        fine_tune={"epochs": 2, "method": method},
        tune={"trials": 3, "space": space},
    )
    assert [trial.state for trial in found.trials] == ["finished"] * 3 and found.task.metric == "accuracy"
    assert load_recipe(found.best_recipe).fine_tune.method == method
