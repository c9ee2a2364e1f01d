"""What every recipe does alike: exporting, proving and reporting what was trained."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from tfkit import artifacts, exporters, reports, verification
from tfkit.config import EmbeddingRecipeConfig, RecipeConfig, TextRecipeConfig, dump_recipe
from tfkit.data import DatasetSplits
from tfkit.reports.quantities import counted
from tfkit.running.display import Display
from tfkit.tasks import Decision, task_of


@dataclass
class RecipeRun:
    """One run of a recipe: what its stages need, and what they add to.

    Attributes:
        config: The recipe.
        display: Where progress is shown.
        splits: The data.
        spec: What the model takes.
        folder: Where files go.
        log: What the stages so far have done.
    """

    config: RecipeConfig | TextRecipeConfig | EmbeddingRecipeConfig
    display: Display
    splits: DatasetSplits[Any]
    spec: artifacts.ImageSpec | artifacts.TextSpec
    folder: artifacts.RunDirectory
    log: list[reports.StageSummary]

    @property
    def policy(self) -> verification.AcceptancePolicy:
        """What the exported files must keep to."""
        return verification.AcceptancePolicy(**self.config.limits())

    def evaluate(self, model: Any) -> reports.Evaluation:
        """A model's answers on the test split; thresholds, where the task has some, come from the validation split."""
        assert not isinstance(self.config, EmbeddingRecipeConfig)  # its answers need an index: `recipes/embed_text.py`
        asked, validation = self.config.task, self.splits.validation
        task, thresholds = task_of(validation.labels), tuple[float, ...]()
        if len(validation) and (task.always_thresholds or asked.operating_point is not None):
            scores = reports.evaluate(model, validation, self.spec).scores
            thresholds = task.thresholds(validation.labels, scores, asked.operating_point)
        return reports.evaluate(model, self.splits.test, self.spec, decision=Decision(thresholds, asked.tolerance))

    def export_and_prove(
        self,
        model: Any,
        evaluation: reports.Evaluation,
        *,
        calibration: Callable[[], Any] | None = None,
    ) -> tuple[reports.ArtifactResult, ...]:
        """Export a model; every file is run over the whole test split in its own runtime, timed and judged.

        Args:
            model: The trained model.
            evaluation: What it answers on the test split.
            calibration: Gives the inputs that ranges are measured on; called when something is exported.

        Returns:
            One result for each file; none when the recipe exports nothing.
        """
        export = self.config.export
        if export is None:
            return ()
        with self.display.stage("Export") as stage:
            named = evaluation.class_names if evaluation.task.has_names else ()
            files = exporters.export_formats(
                model,
                export.formats,
                self.folder.artifacts,
                spec=self.spec,
                class_names=named,
                calibration=None if calibration is None else calibration(),
                allow_float=getattr(export, "allow_float", ()),  # files of embedders have no such key
                task=evaluation.task.name,
                thresholds=evaluation.decision.thresholds,
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
            )
            whole = reports.float_accuracy(self.log)
            before = "" if whole is None else f"; {evaluation.task.told(whole)} before compression"
            stage.result(f"{sum(result.accepted for result in results)} of {len(results)} accepted{before}")
        self.log.append(reports.StageSummary("verify", stage.title, stage.seconds))
        return results

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
        data = self.splits.report
        if self.splits.losses is not None and (lost := self.splits.losses.note):
            self.display.note(lost)
            data = replace(data, notes=(*data.notes, lost))
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
            **parts,
        )
        reports.write_run_report(report, self.folder, misclassified=misclassified)
        self.folder.seal()
        self.display.table(reports.result_table(report))
        tensorboard = f"tensorboard --logdir {self.folder.path / 'tensorboard'}"
        self.display.next_steps(self.folder.report, predict, tensorboard)
        return report
