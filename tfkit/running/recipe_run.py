"""What every recipe does alike: exporting, proving and reporting what was trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import keras
import numpy as np

from tfkit import artifacts, exporters, reports, verification
from tfkit.artifacts.manifest import file_sha256
from tfkit.benchmarking import describe_host
from tfkit.config import (
    AnyRecipe,
    AnyTaskSection,
    EmbeddingRecipeConfig,
    RecommendRecipeConfig,
    ReplyRecipeConfig,
    dump_recipe,
)
from tfkit.data import DatasetSplits
from tfkit.inputs import calibration_inputs
from tfkit.reports.quantities import counted
from tfkit.running.display import Display
from tfkit.running.stage_records import DoneStage, FoundT, fingerprint, keep_stage, read_stage
from tfkit.runtimes import Feed
from tfkit.tasks import Decision, task_of

# Their answers are judged by an index, as lists, or as texts: their recipes do that themselves.
_JUDGED_APART = (EmbeddingRecipeConfig, RecommendRecipeConfig, ReplyRecipeConfig)

if TYPE_CHECKING:  # a report's section is loaded when it is made
    ExplainedT = TypeVar("ExplainedT", reports.Explanations, reports.HeatMaps)


def begin_folder(
    config: AnyRecipe, display: Display, splits: DatasetSplits[Any], described: Mapping[str, Any]
) -> artifacts.RunDirectory:
    """Create a run's folder with the recipe and what was read in it, or go on with one that was stopped.

    Args:
        config: The recipe, as it was given.
        display: Where it is told that the run goes on.
        splits: The data.
        described: The account of them.

    Returns:
        The folder.

    Raises:
        RunError: When it cannot be created, or holds another run.
    """
    said, recipe = config.run, dump_recipe(config)
    folder = artifacts.create_run_directory(said.directory / said.name, overwrite=said.overwrite, recipe=recipe)
    if folder.goes_on:
        display.note(f"the run in '{folder.path}' was stopped, and goes on")
    folder.record(recipe=recipe, data_report=described, data=fingerprint(splits))
    return folder


def decision_on(model: Any, validation: Any, spec: artifacts.InputSpec, asked: AnyTaskSection) -> Decision:
    """What turns a model's scores into answers; thresholds, where the task has some, come from the validation split.

    Args:
        model: A classifier.
        validation: The split; may be empty.
        spec: What the model takes.
        asked: What the recipe says of its task.
    """
    task, thresholds = task_of(validation.labels), tuple[float, ...]()
    if len(validation) and (task.always_thresholds or asked.operating_point is not None):
        scores = reports.evaluate(model, validation, spec).scores
        thresholds = task.thresholds(validation.labels, scores, asked.operating_point)
    return Decision(thresholds, asked.tolerance)


@dataclass
class RecipeRun:
    """One run of a recipe: what its stages need, and what they add to.

    Attributes:
        config: The recipe.
        display: Where progress is shown.
        splits: The data.
        spec: What the model takes: an `InputSpec`.
        folder: Where files go.
        log: What the stages so far have done.
        earlier: What the run that this one goes on from answers; None for none.
    """

    config: AnyRecipe
    display: Display
    splits: DatasetSplits[Any]
    spec: Any
    folder: artifacts.RunDirectory
    log: list[reports.StageSummary]
    earlier: reports.EarlierAnswers | None = None

    def state(self, name: str) -> Path:
        """Where a stage keeps the state of its training until it is done."""
        return self.folder.checkpoints / f"{name}.state.npz"

    def done_before(self, name: str, found: type[FoundT]) -> DoneStage[FoundT] | None:
        """What an earlier process of this run has done of a stage, which is then logged; None when it is to be done.

        Args:
            name: The stage.
            found: What `finish` was given beside the model.
        """
        keras.utils.set_random_seed(self.config.run.seed)  # a stage draws the same whatever went before it
        done = read_stage(self.folder, name, found, seed=self.config.run.seed) if self.folder.goes_on else None
        if done is not None:
            self.display.note(f"{done.summary.title}: done before the stop")
            self.log.append(done.summary)
            self._forget_state(name)  # it may have been killed after the record and before this
        return done

    def finish(self, summary: reports.StageSummary, model: Any = None, found: object = None) -> None:
        """Log a stage that is done, and record it, so that a run that is stopped later does not do it again.

        Args:
            summary: What it did.
            model: The Keras model that it gave; None for none. What is no Keras model is not recorded.
            found: A dataclass of plain values, for the report.
        """
        self.log.append(summary)
        if model is None or isinstance(model, keras.Model):
            keep_stage(self.folder, summary, model, found, seed=self.config.run.seed)
        self._forget_state(summary.name)

    def tell_suspicious_labels(self, summary: reports.StageSummary) -> None:
        """Tell the training examples whose class is likely wrong, where a stage looked for them, and list them.

        Args:
            summary: The stage; before it is recorded, so that a run that goes on has the list too.
        """
        if (looked := summary.suspicious_labels) is not None:
            for line in reports.suspicious_labels_told(looked, self.folder.suspicious_labels.name):
                self.display.note(line)
            reports.write_suspicious_labels(looked, self.folder.suspicious_labels, self.splits.train)

    def _forget_state(self, name: str) -> None:
        for state in self.folder.checkpoints.glob(f"{name}*.state*.npz"):
            state.unlink()

    @property
    def policy(self) -> verification.AcceptancePolicy:
        """What the exported files must keep to."""
        return verification.AcceptancePolicy(**self.config.limits())

    def evaluate(self, model: Any) -> reports.Evaluation:
        """A model's answers on the test split; thresholds, where the task has some, come from the validation split."""
        assert not isinstance(self.config, _JUDGED_APART)
        decision = decision_on(model, self.splits.validation, self.spec, self.config.task)
        return reports.evaluate(model, self.splits.test, self.spec, decision=decision)

    def export_and_prove(self, model: Any, evaluation: reports.Evaluation) -> tuple[reports.ArtifactResult, ...]:
        """Export a model; every file is run over the whole test split in its own runtime, timed and judged.

        Args:
            model: The trained model.
            evaluation: What it answers on the test split.

        Returns:
            One result for each file; none when the recipe exports nothing.
        """
        export = self.config.export
        if export is None:
            return ()
        keras.utils.set_random_seed(self.config.run.seed)  # a SavedModel holds what dropout would draw from
        with self.display.stage("Export") as stage:
            named = evaluation.class_names if evaluation.task.has_names else ()
            files = exporters.export_formats(
                model,
                export.formats,
                self.folder.artifacts,
                spec=self.spec,
                class_names=named,
                calibration=self._calibration(),
                allow_float=getattr(export, "allow_float", ()),  # files of embedders have no such key
                task=evaluation.task.name,
                thresholds=evaluation.decision.thresholds,
                lineage=self._lineage(evaluation),
                progress=stage.progress,
            )
            stage.result(counted(len(files), "file"))
        self.log.append(reports.StageSummary("export", stage.title, stage.seconds))
        with self.display.stage("Prove every file") as stage:
            results = reports.prove_artifacts(
                files,
                self.splits.test,
                evaluation,
                self.folder,
                policy=self.policy,
                threads=self.config.acceptance.latency_threads,
                progress=stage.progress,
                float_accuracy=reports.float_accuracy(self.log),
                earlier=self.earlier,
            )
            whole = reports.float_accuracy(self.log)
            before = "" if whole is None else f"; {evaluation.task.told(whole)} before compression"
            stage.result(f"{sum(result.accepted for result in results)} of {len(results)} accepted{before}")
        self.log.append(reports.StageSummary("verify", stage.title, stage.seconds))
        return results

    def explain(self, ask: Callable[..., ExplainedT]) -> ExplainedT:
        """Find out why the model made its most confident mistakes.

        Args:
            ask: Finds it out; called with `progress`.

        Returns:
            What it found.
        """
        with self.display.stage("Explain the mistakes") as stage:
            explained = ask(progress=stage.progress)
            stage.result(explained.summary)
        self.log.append(reports.StageSummary("explain", stage.title, stage.seconds, notes=explained.notes))
        return explained

    def _trust(self, model: Any, evaluation: reports.Evaluation) -> reports.Trust | None:
        """How far the figures can be trusted; of classifiers alone."""
        if isinstance(self.config, _JUDGED_APART) or not evaluation.task.of_classes:
            return None
        asked, validation = self.config.task, self.splits.validation
        seen = reports.evaluate(model, validation, self.spec) if len(validation) else None
        seed = self.config.run.seed
        return reports.trust_in(evaluation, seen, coverage=asked.coverage, groups=asked.groups, seed=seed)

    def _lineage(self, evaluation: reports.Evaluation) -> artifacts.Lineage:
        """Where the exported files come from, for their manifest."""
        config, parents = self.config, []
        given: tuple[tuple[artifacts.Role, object], ...] = (
            ("earlier", getattr(getattr(config, "earlier", None), "run", None)),
            ("backbone", config.model.backbone),
            ("backbone", getattr(config.model, "embedder", None)),
            ("backbone", getattr(getattr(config, "grounding", None), "embedder", None)),
            ("weights", getattr(config.model, "weights", None)),
            ("teacher", getattr(getattr(config, "distillation", None), "teacher", None)),
        )
        for role, name in given:
            if name is not None:
                parents.append(artifacts.parent_of(role, str(name)))
        judged = evaluation.task.judged(evaluation.labels, evaluation.scores, evaluation.decision)
        figures = {} if judged is None else judged.figures
        return artifacts.Lineage(
            run=config.run.name,
            recipe_sha256=file_sha256(self.folder.recipe),
            data_sha256=self.folder.began_with("data"),
            examples={name: len(getattr(self.splits, name)) for name in ("train", "validation", "test")},
            versions=describe_host().versions,
            figures={name: float(value) for name, value in figures.items() if np.isfinite(value)},
            parents=tuple(parents),
        )

    def _calibration(self) -> Feed | None:
        """What ranges are measured on, where a file of integers is asked for; the others have none."""
        export = None if isinstance(self.config, _JUDGED_APART) else self.config.export
        if export is None or not any(artifacts.format_named(name).is_integer for name in export.formats):
            return None
        given = {"count": export.calibration_examples, "seed": self.config.run.seed}
        return calibration_inputs(self.splits.train, self.spec, **given)

    def report(
        self,
        task: str,
        model: Any,
        evaluation: reports.Evaluation,
        results: tuple[reports.ArtifactResult, ...],
        *,
        misclassified: Any,
        predict: str,
        **parts: Any,
    ) -> reports.RunReport:
        """Write the run's report and tell its result.

        Args:
            task: What the model does, in a few words.
            model: The trained model.
            evaluation: What it answers on the test split.
            results: What `export_and_prove` gave.
            misclassified: Shows mistakes; see `tfkit.reports.write_run_report`.
            predict: A `tfkit predict` command for this run.
            **parts: Further attributes of `tfkit.reports.RunReport`.

        Returns:
            The report.
        """
        forgetting = self.earlier.forgetting(evaluation) if self.earlier else None
        if forgetting is not None:
            self.display.note(forgetting.told(evaluation.task))
        data = self.splits.report
        if self.splits.losses is not None and (lost := self.splits.losses.note):
            self.display.note(lost)
            data = replace(data, notes=(*data.notes, lost))
        looked = next((stage.suspicious_labels for stage in self.log if stage.suspicious_labels), None)
        report = reports.RunReport(
            self.config.run.name,
            task,
            recipe_yaml=dump_recipe(self.config),
            input=self.spec,
            backbone=self.config.model.backbone,
            stages=tuple(self.log),
            data=data.to_json(),
            evaluation=evaluation,
            artifacts=results,
            policy=asdict(self.policy),
            parameters=reports.parameters_of(model),
            data_gallery=reports.data_gallery(self.splits, self.spec, looked),
            forgetting=forgetting,
            trust=self._trust(model, evaluation),
            **parts,
        )
        reports.write_run_report(report, self.folder, misclassified=misclassified)
        self.folder.seal()
        self.display.table(reports.result_table(report))
        tensorboard = f"tensorboard --logdir {self.folder.path / 'tensorboard'}"
        self.display.next_steps(self.folder.report, predict, tensorboard)
        return report
