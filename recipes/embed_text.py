"""Train sentence embeddings, index texts with them, export the embedder, and prove every exported file.

`python recipes/embed_text.py --config FILE key=value` does the same as `tfkit run FILE key=value`.
"""

if __name__ == "__main__":  # before TensorFlow is imported: the command keeps its chatter off the terminal
    import sys

    from tfkit.cli.main import main

    sys.exit(main(["run", *sys.argv[1:]]))

from dataclasses import asdict, dataclass
from typing import Any

from tfkit import exporters, models, reports, verification
from tfkit.artifacts import RunDirectory, TextSpec, create_run_directory, refuse_existing_run
from tfkit.cli.display import Display
from tfkit.cli.embedding_planning import build_embedder, contrastive_options, search_options
from tfkit.cli.text_planning import measure_length, open_backbone
from tfkit.config import EmbeddingRecipeConfig, dump_recipe
from tfkit.data import DatasetSplits
from tfkit.data.text import Tokenizer, load_text_splits
from tfkit.stages.search_index import BuiltIndex, build_search_index
from tfkit.training import PeakMemory
from tfkit.training.contrastive import train_embedder

REFUSED = 3


@dataclass
class Job:
    """What every stage needs, and what it adds to."""

    config: EmbeddingRecipeConfig
    display: Display
    splits: DatasetSplits
    tokenizer: Tokenizer
    text: TextSpec
    folder: RunDirectory
    log: list[reports.StageSummary]


def run(config: EmbeddingRecipeConfig, display: Display) -> int:
    """Run the recipe: 0 when every exported file was accepted, 3 when one was refused."""
    display.header(f"{config.run.name}: {config.model.backbone} on {config.data.source}")
    refuse_existing_run(config.run.directory / config.run.name, overwrite=config.run.overwrite)
    with display.stage("Read the texts") as stage:
        splits = load_text_splits(**config.data.loading_options(), seed=config.run.seed)
        searched = search_options(config, splits.class_names)
        stage.result(f"{len(splits.train)} training, {len(splits.validation)} validation, {len(splits.test)} test")
    log = [reports.StageSummary("data", stage.title, stage.seconds, notes=splits.report.notes)]
    with display.stage("Backbone and tokeniser") as stage:
        backbone, tokenizer = open_backbone(config, splits.train)
        length = measure_length(config, splits.train, tokenizer, backbone)
        stage.result(length.sentence)
    log.append(reports.StageSummary("tokenizer", stage.title, stage.seconds, notes=(length.sentence,)))

    folder = create_run_directory(config.run.directory / config.run.name, overwrite=config.run.overwrite)
    folder.record(recipe=dump_recipe(config), data_report=splits.report.to_json() | {"token_lengths": length.to_json()})
    tokenizer.save(folder.tokenizer)
    job = Job(config, display, splits, tokenizer, TextSpec(length.sequence_length, folder.tokenizer), folder, log)
    model = train(job, build_embedder(config, backbone))
    models.save_model_file(model, folder.float_model)
    built, evaluation = index(job, model, searched)
    policy = verification.AcceptancePolicy(**config.limits())
    results = export_and_prove(job, model, built, evaluation, policy)

    report = reports.RunReport(
        config.run.name,
        "sentence embeddings",
        recipe_yaml=dump_recipe(config),
        input=job.text,
        backbone=config.model.backbone,
        stages=tuple(log),
        data=splits.report.to_json(),
        evaluation=evaluation,
        control=None,
        artifacts=results,
        policy=asdict(policy),
        parameters=reports.parameters_of(model),
        search=built.result,
    )
    reports.write_run_report(report, folder, misclassified=reports.texts_of(splits.test))
    display.table(reports.result_table(report))
    predict = f"tfkit predict {folder.path} '{splits.test.texts[0]}'"
    display.next_steps(folder.report, f"{predict} --nearest", f"tensorboard --logdir {folder.path / 'tensorboard'}")
    return 0 if report.accepted else REFUSED


def train(job: Job, model: Any) -> Any:
    """The embedder after contrastive training; as it came when the recipe trains nothing."""
    if job.config.fine_tune is None:
        return model
    with job.display.stage("Train on pairs") as stage:
        options = contrastive_options(job.config, job.splits.train) | {"progress": stage.progress}
        options |= {
            "sequence_length": job.text.sequence_length,
            "checkpoint": job.folder.checkpoints / "fine_tune.keras",
        }
        options |= {"log_directory": job.folder.tensorboard("fine_tune")}
        memory = PeakMemory()
        trained = train_embedder(model, job.splits.train, job.splits.validation, job.tokenizer, **options)
        stage.result(trained.result.summary)
    summary = {"history": trained.result.history, "notes": trained.result.notes}
    summary |= {"trainable_parameters": trained.result.trainable_parameters, "peak_memory_bytes": memory.bytes}
    job.log.append(reports.StageSummary("fine_tune", stage.title, stage.seconds, **summary))
    job.display.note(f"    {job.log[-1].cost}")
    return trained.model


def index(job: Job, model: Any, searched: dict[str, Any]) -> tuple[BuiltIndex, reports.Evaluation]:
    """The texts to be found, and what the Keras model answers on the evaluation split."""
    with job.display.stage("Index, and calibrate") as stage:
        built = build_search_index(model, job.splits, job.text, **searched)
        built.index.save(job.folder.search_index)
        test = job.splits.test
        scores = built.index.probabilities(built.test_vectors)
        evaluation = reports.Evaluation(test.class_names, test.labels, scores, test.names)
        stage.result(f"the nearest text has the right label for {evaluation.keras:.1%} of the test texts")
        stage.note(built.result.sentence)
    summary = {"notes": built.notes, "accuracy": evaluation.keras}
    job.log.append(reports.StageSummary("index", stage.title, stage.seconds, **summary))
    return built, evaluation


def export_and_prove(job: Job, model: Any, built: BuiltIndex, evaluation: reports.Evaluation, policy: Any):
    """Every exported file is run over the whole test split in its own runtime, timed and judged."""
    export, folder = job.config.export, job.folder
    if export is None:
        return ()
    with job.display.stage("Export") as stage:
        described = {"spec": job.text, "class_names": (), "progress": stage.progress}
        artifacts = exporters.export_formats(model, export.formats, folder.artifacts, **described)
        stage.result(f"{len(artifacts)} files")
    job.log.append(reports.StageSummary("export", stage.title, stage.seconds))
    with job.display.stage("Prove every file") as stage:
        options = {"policy": policy, "threads": job.config.acceptance.latency_threads, "progress": stage.progress}
        options |= {"index": built.index, "reference": built.test_vectors}
        results = reports.prove_artifacts(artifacts, job.splits.test, evaluation, folder, **options)
        stage.result(f"{sum(result.accepted for result in results)} of {len(results)} accepted")
    job.log.append(reports.StageSummary("verify", stage.title, stage.seconds))
    return results
