"""A run in a team's MLflow: its recipe, figures, histories and files."""

import contextlib
import logging
import math
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tfkit.artifacts import Lineage, RunDirectory, read_lineage
from tfkit.deployment.sharing import Shared
from tfkit.errors import ExportError, printable

_INSTALL = "pip install 'tfkit[mlflow]'"
_BATCH = 100  # parameters, metrics and tags that a tracking server takes at once
_LONGEST = 500  # characters of a value: servers of before MLflow 2.8 take no more
_MEASURED = ("bytes", "agreement", "max_difference", "latency_ms_p50", "latency_ms_p95")


@dataclass(frozen=True)
class MlflowRun:
    """A run as MLflow knows it.

    Attributes:
        store: The tracking server's address, or the database.
        experiment: The experiment's name.
        run_id: The run's.
    """

    store: str
    experiment: str
    run_id: str


def log_run(run: RunDirectory, folder: Path, shared: Shared, *, experiment: str) -> MlflowRun:
    """Log a finished run: parameters, metrics, tags and files.

    Parameters are the recipe's keys (`fine_tune.epochs`). Metrics are the figures on the test split, of each file
    and of the Keras model, and each stage's history with its epochs as steps. Tags say where the files come from.

    Args:
        run: The run.
        folder: What `share_run` wrote of it; the report's page and the model card go with it.
        shared: What the folder holds.
        experiment: The experiment, made when it is not there. The store is MLflow's own choice: `MLFLOW_TRACKING_URI`,
            or a database in the working folder.

    Returns:
        Where it was logged.

    Raises:
        ExportError: Without the package `mlflow-skinny`, or when the store cannot be written.

    Example:
        >>> log_run(run, folder, shared, experiment="ants").store  # doctest: +SKIP
        'sqlite:////home/me/mlflow.db'
    """
    for file in (run.path / "MODEL_CARD.md", run.report):
        shutil.copyfile(file, folder / file.name)
    recipe = yaml.safe_load(run.recipe.read_text(encoding="utf-8"))
    with _faults(), _client() as client:
        found = client.get_experiment_by_name(experiment)
        place = client.create_experiment(experiment) if found is None else found.experiment_id
        logged = client.create_run(
            place, run_name=shared.report["name"], tags=_tags(shared, read_lineage(run.artifacts))
        )
        identity = logged.info.run_id
        try:
            _log(client, identity, params=dict(_flat(recipe)), metrics=list(_metrics(shared)))
            client.log_artifacts(identity, str(folder))
        except BaseException:
            client.set_terminated(identity, status="FAILED")
            raise
        client.set_terminated(identity)
        return MlflowRun(client.tracking_uri, experiment, identity)


def _log(client: Any, identity: str, *, params: Mapping[str, str], metrics: Sequence[tuple[str, float, int]]) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    names = list(params)
    for first in range(0, len(names), _BATCH):
        client.log_batch(identity, params=[Param(name, params[name]) for name in names[first : first + _BATCH]])
    for first in range(0, len(metrics), _BATCH):
        some = [Metric(_named(name), value, now, step) for name, value, step in metrics[first : first + _BATCH]]
        client.log_batch(identity, metrics=some)


def _metrics(shared: Shared) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of everything that was measured; what is no number is not known and left out."""
    evaluation = shared.report["evaluation"]
    for name, value in {evaluation["metric"]: evaluation["keras"], **evaluation["figures"]}.items():
        yield from _known(f"keras/{name}", value)
    for result in shared.accepted:
        figures = {evaluation["metric"]: result["quality"], **result["figures"]}
        figures |= {name: result[name] for name in _MEASURED}
        for name, value in figures.items():
            yield from _known(f"{result['file']}/{name}", value)
    for stage in shared.report["stages"]:
        yield from _known(f"{stage['name']}/seconds", stage["seconds"])
        for name, values in stage["history"].items():
            for step, value in enumerate(values, start=1):
                yield from _known(f"{stage['name']}/{name}", value, step)


def _known(name: str, value: float | None, step: int = 0) -> Iterator[tuple[str, float, int]]:
    if value is not None and math.isfinite(value):
        yield name, float(value), step


def _named(name: str) -> str:
    """A name with what MLflow takes in one."""
    return re.sub(r"[^\w./ :-]", "_", name)


def _flat(said: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """The keys of a recipe as overrides name them, and their values."""
    for key, value in said.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            told = str(value)
            yield f"{before}{key}", told if len(told) <= _LONGEST else f"{told[: _LONGEST - 20]}... (recipe.yaml)"


def _tags(shared: Shared, lineage: Lineage | None) -> dict[str, str]:
    tags = {"tfkit.task": shared.report["task"], "tfkit.refused": ", ".join(shared.refused) or "none"}
    if lineage is None:
        return tags
    for name, digest in (("recipe_sha256", lineage.recipe_sha256), ("data_sha256", lineage.data_sha256)):
        if digest is not None:
            tags[f"tfkit.{name}"] = digest
    tags |= {f"tfkit.version.{name}": version for name, version in lineage.versions.items()}
    for parent in lineage.parents:
        digest = "" if parent.sha256 is None else f" sha256 {parent.sha256}"
        tags[f"tfkit.parent.{parent.role}"] = f"{parent.name}{digest}"
    return tags


@contextlib.contextmanager
def _client() -> Iterator[Any]:
    # MLflow reports to its makers whatever uses it, unless this is set; and its database says that it is made.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        from mlflow import MlflowClient
    except ImportError as fault:
        raise ExportError(f"MLflow is not installed ({fault})", hint=_INSTALL) from None
    chatter = logging.getLogger("mlflow"), logging.getLogger("alembic")
    before = [logger.level for logger in chatter]
    for logger in chatter:
        logger.setLevel(logging.WARNING)
    try:
        yield MlflowClient()
    finally:
        for logger, level in zip(chatter, before, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    """Tell what a server or a database says as a user reads it; its kinds of errors are those of many libraries."""
    try:
        yield
    except ExportError:
        raise
    except Exception as fault:
        told = printable(" ".join(str(fault).split())[:300]) or type(fault).__name__
        hint = (
            "MLFLOW_TRACKING_URI is the tracking server's address, such as http://127.0.0.1:5000 or sqlite:///mlflow.db"
        )
        raise ExportError(f"MLflow did not take the run: {told}", hint=hint) from None
