"""Fine-tune a text classifier, export it, and prove every exported file.

`python recipes/finetune_text.py --config FILE key=value` does the same as `tfkit run FILE key=value`.
"""

if __name__ == "__main__":  # before TensorFlow is imported: the command keeps its chatter off the terminal
    import sys

    from tfkit.cli.main import main

    sys.exit(main(["run", *sys.argv[1:]]))

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfkit import exporters, models, reports, verification
from tfkit.artifacts import RunDirectory, TextSpec, create_run_directory, refuse_existing_run
from tfkit.cli.display import Display
from tfkit.cli.text_compression import plan_text_compression, taught_by
from tfkit.cli.text_planning import build_classifier, measure_length, open_backbone, stage_options
from tfkit.config import TextRecipeConfig, dump_recipe
from tfkit.data import DatasetSplits
from tfkit.data.text import Tokenizer, load_text_splits, token_arrays
from tfkit.stages import CompressedStage, TransformerPruning, prune_text, quantize_text
from tfkit.training import PeakMemory
from tfkit.training.fine_tune_text import fine_tune_text

REFUSED = 3
STAGES = {  # title, what runs it, and the model it leaves in models/
    "fine_tune": ("Fine-tune", fine_tune_text, "float"),
    "pruning": ("Make it smaller", prune_text, "pruned"),
    "quantization": ("Train quantisation-aware", quantize_text, "quantized"),
}


@dataclass
class Job:
    """What every stage needs, and what it adds to."""

    config: TextRecipeConfig
    display: Display
    splits: DatasetSplits
    tokenizer: Tokenizer
    text: TextSpec
    folder: RunDirectory
    log: list[reports.StageSummary]
    whole: Any = None  # the float model, before anything was taken from it
    pruned: TransformerPruning | None = None


def run(config: TextRecipeConfig, display: Display) -> int:
    """Run the recipe: 0 when every exported file was accepted, 3 when one was refused."""
    display.header(f"{config.run.name}: {config.model.backbone} on {config.data.source}")
    refuse_existing_run(config.run.directory / config.run.name, overwrite=config.run.overwrite)
    with display.stage("Read the texts") as stage:
        splits = load_text_splits(**config.data.loading_options(), seed=config.run.seed)
        stage.result(f"{len(splits.train)} training, {len(splits.validation)} validation, {len(splits.test)} test")
    log = [reports.StageSummary("data", stage.title, stage.seconds, notes=splits.report.notes)]
    with display.stage("Backbone and tokeniser") as stage:
        backbone, tokenizer = open_backbone(config, splits.train)
        length = measure_length(config, splits.train, tokenizer, backbone)
        stage.result(length.sentence)
    log.append(reports.StageSummary("tokenizer", stage.title, stage.seconds, notes=(length.sentence,)))
    model = build_classifier(config, backbone, len(splits.class_names))
    coverage = plan_text_compression(config, model, display)

    folder = create_run_directory(config.run.directory / config.run.name, overwrite=config.run.overwrite)
    folder.record(recipe=dump_recipe(config), data_report=splits.report.to_json() | {"token_lengths": length.to_json()})
    tokenizer.save(folder.tokenizer)
    text = TextSpec(length.sequence_length, folder.tokenizer)
    job = Job(config, display, splits, tokenizer, text, folder, log)
    for name in STAGES:
        if getattr(config, name) is not None:
            model, evaluation = train(job, name, model)
    policy = verification.AcceptancePolicy(**config.limits())
    results = export_and_prove(job, model, evaluation, policy)

    with display.stage("Explain the mistakes") as stage:
        explanations = reports.explain_mistakes(folder, evaluation, splits.test, text, progress=stage.progress)
        stage.result(explanations.summary)
    log.append(reports.StageSummary("explain", stage.title, stage.seconds, notes=explanations.notes))

    report = reports.RunReport(
        config.run.name,
        "text classification",
        recipe_yaml=dump_recipe(config),
        input=text,
        backbone=config.model.backbone,
        stages=tuple(log),
        data=splits.report.to_json(),
        evaluation=evaluation,
        control=None,
        artifacts=results,
        policy=asdict(policy),
        parameters=reports.parameters_of(model),
        compression=reports.describe_compression(model, coverage, transformer=job.pruned, teacher=taught_by(config)),
        explanations=explanations,
    )
    reports.write_run_report(report, folder, misclassified=reports.texts_of(splits.test))
    display.table(reports.result_table(report))
    predict = f"tfkit predict {folder.path} '{splits.test.texts[0]}'"
    display.next_steps(folder.report, predict, f"tensorboard --logdir {folder.path / 'tensorboard'}")
    return 0 if report.accepted else REFUSED


def train(job: Job, name: str, model: Any) -> tuple[Any, reports.Evaluation]:
    """One stage: the model it gives, which is kept, and what that answers on the evaluation split."""
    title, train_stage, kept = STAGES[name]
    splits, logs = job.splits, job.folder.tensorboard(name)
    with job.display.stage(title) as stage:
        options = stage_options(job.config, name, job.whole) | {"log_directory": logs, "progress": stage.progress}
        options |= {"sequence_length": job.text.sequence_length, "checkpoint": job.folder.checkpoints / f"{name}.keras"}
        memory = PeakMemory()
        trained = train_stage(model, splits.train, splits.validation, job.tokenizer, **options)
        spent = {"trainable_parameters": trained.result.trainable_parameters, "peak_memory_bytes": memory.bytes}
        models.save_model_file(trained.model, job.folder.kept_model(kept))
        evaluation = reports.evaluate(trained.model, splits.test, job.text)
        stage.result(f"{trained.result.summary}, test {evaluation.keras:.1%}")
    history, notes = trained.result.history, trained.result.notes
    shown = {"evaluation": evaluation, "misclassified": reports.texts_of(splits.test), "step": len(history["loss"]) - 1}
    reports.write_tensorboard_texts(logs, **shown)
    summary = reports.StageSummary(name, title, stage.seconds, history, notes, accuracy=evaluation.keras, **spent)
    job.display.note(f"    {summary.cost}")
    job.log.append(summary)
    job.whole = trained.model if kept == "float" else job.whole
    if isinstance(trained, CompressedStage):
        job.pruned = trained.transformer or job.pruned
    return trained.model, evaluation


def export_and_prove(job: Job, model: Any, evaluation: reports.Evaluation, policy: verification.AcceptancePolicy):
    """Every exported file is run over the whole test split in its own runtime, timed and judged."""
    export, splits, folder = job.config.export, job.splits, job.folder
    if export is None:
        return ()
    with job.display.stage("Export") as stage:
        described = {"spec": job.text, "class_names": splits.class_names, "progress": stage.progress}
        seen = splits.train.select(np.arange(min(len(splits.train), export.calibration_examples)))
        described["calibration"] = token_arrays(seen, job.tokenizer, sequence_length=job.text.sequence_length)
        artifacts = exporters.export_formats(model, export.formats, folder.artifacts, **described)
        stage.result(f"{len(artifacts)} files")
    job.log.append(reports.StageSummary("export", stage.title, stage.seconds))
    with job.display.stage("Prove every file") as stage:
        options = {"policy": policy, "threads": job.config.acceptance.latency_threads, "progress": stage.progress}
        results = reports.prove_artifacts(artifacts, splits.test, evaluation, folder, **options)
        stage.result(f"{sum(result.accepted for result in results)} of {len(results)} accepted")
    job.log.append(reports.StageSummary("verify", stage.title, stage.seconds))
    return results
