"""Train sentence embeddings, index texts with them, export the embedder, and prove every exported file.

`python recipes/embed_text.py --config FILE key=value` does the same as `tfkit run FILE key=value`.
A copy of this file is a recipe of your own: `tfkit recipes copy embed_text my_recipe.py --script`, then
`python my_recipe.py --config FILE`.
"""

if __name__ == "__main__":  # before TensorFlow is imported: the command keeps its chatter off the terminal
    import sys

    from tfkit.cli.main import main

    sys.exit(main(["run", __file__, *sys.argv[1:]]))

from typing import Any

from tfkit import models, reports
from tfkit.config import EmbeddingRecipeConfig
from tfkit.data.text import Tokenizer
from tfkit.running import Display
from tfkit.running.recipe_run import RecipeRun
from tfkit.running.rehearsal import plan_formats, rehearse_texts
from tfkit.running.text_planning import begin_text_run, build_embedder, contrastive_options, read_texts, search_options
from tfkit.stages.search_index import BuiltIndex, build_search_index
from tfkit.tasks import EMBEDDING, Decision
from tfkit.training import PeakMemory
from tfkit.training.contrastive import train_embedder

CONFIG = EmbeddingRecipeConfig  # the schema of its YAML files


def run(config: EmbeddingRecipeConfig, display: Display) -> reports.RunReport:
    """Run the recipe."""
    read = read_texts(config, display)
    searched = search_options(config, read.splits.class_names)
    model = build_embedder(config, read.backbone)
    length = read.length.sequence_length
    rehearse_texts(config, model, display, read.splits.train, read.tokenizer, sequence_length=length)
    plan_formats(config, model, read.planned_spec, display)
    job = begin_text_run(config, display, read)
    if config.fine_tune is not None:
        model = train(job, model, read.tokenizer)
    models.save_model_file(model, job.folder.float_model)
    built, evaluation = index(job, model, searched)
    results = job.export_and_prove(model, evaluation)
    shown = {"misclassified": reports.shown_of(job.splits.test, job.spec), "search": built.result}
    shown["predict"] = f"tfkit predict {job.folder.path} '{job.splits.test.texts[0]}' --nearest"
    return job.report(evaluation.task.title, model, evaluation, results, **shown)


def train(job: RecipeRun, model: Any, tokenizer: Tokenizer) -> Any:
    """The embedder after contrastive training."""
    if (done := job.done_before("fine_tune", type(None))) is not None:
        return done.model
    with job.display.stage("Train on pairs") as stage:
        options = contrastive_options(job.config, job.splits.train) | {"progress": stage.progress}
        options |= {
            "sequence_length": job.spec.sequence_length,
            "checkpoint": job.folder.checkpoints / "fine_tune.keras",
        }
        options |= {"log_directory": job.folder.tensorboard("fine_tune"), "state": job.state("fine_tune")}
        memory = PeakMemory()
        trained = train_embedder(model, job.splits.train, job.splits.validation, tokenizer, **options)
        stage.result(trained.result.summary)
    summary = {"history": trained.result.history, "notes": trained.result.notes}
    summary |= {"trainable_parameters": trained.result.trainable_parameters, "peak_memory_bytes": memory.bytes}
    job.finish(reports.StageSummary("fine_tune", stage.title, stage.seconds, **summary), trained.model)
    job.display.note(f"    {job.log[-1].cost}")
    return trained.model


def index(job: RecipeRun, model: Any, searched: dict[str, Any]) -> tuple[BuiltIndex, reports.Evaluation]:
    """The texts to be found, and what the Keras model answers on the evaluation split."""
    with job.display.stage("Index, and calibrate") as stage:
        built = build_search_index(model, job.splits, job.spec, **searched)
        built.index.save(job.folder.search_index)
        test = job.splits.test
        found = Decision(index=built.index)
        evaluation = reports.Evaluation(test.class_names, test.labels, built.test_vectors, test.names, found, EMBEDDING)
        stage.result(f"the nearest text has the right label for {evaluation.keras:.1%} of the test texts")
        stage.note(built.result.sentence)
    summary = {"notes": built.notes, "quality": evaluation.keras}
    job.log.append(reports.StageSummary("index", stage.title, stage.seconds, **summary))
    return built, evaluation
