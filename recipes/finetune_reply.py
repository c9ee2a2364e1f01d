"""Fine-tune a language model on questions and answers, export it with a cache, and prove every exported file.

`python recipes/finetune_reply.py --config FILE key=value` does the same as `tfkit run FILE key=value`.
A copy of this file is a recipe of your own: `tfkit recipes copy finetune_reply my_recipe.py --script`, then
`python my_recipe.py --config FILE`.
"""

if __name__ == "__main__":  # before TensorFlow is imported: the command keeps its chatter off the terminal
    import sys

    from tfkit.cli.main import main

    sys.exit(main(["run", __file__, *sys.argv[1:]]))

from typing import Any

from tfkit import models, reports
from tfkit.config import ReplyRecipeConfig
from tfkit.running import Display
from tfkit.running.recipe_run import RecipeRun
from tfkit.running.reply_planning import begin_reply_run, open_replies, planned_options, rehearse_replies
from tfkit.running.replying import answer_test_questions, evaluate_language_model
from tfkit.training import PeakMemory
from tfkit.training.replies import train_language_model

CONFIG = ReplyRecipeConfig  # the schema of its YAML files


def run(config: ReplyRecipeConfig, display: Display) -> reports.RunReport:
    """Run the recipe."""
    read = open_replies(config, display)
    rehearse_replies(config, display, read)
    job = begin_reply_run(config, display, read)
    model, shown = read.model, {}
    if config.fine_tune is not None:
        before = evaluate_language_model(model, read.splits.test, job.spec)
        model = train(job, model)
        evaluation = evaluate_language_model(model, read.splits.test, job.spec)
        compared = before.keras, "Keras model", evaluation.keras
        shown["control"] = reports.Control("the model before training", *compared, "Gained by training")
    else:
        evaluation = evaluate_language_model(model, read.splits.test, job.spec)
    models.save_model_file(model, job.folder.float_model)
    display.note(f"    {evaluation.told}, perplexity {evaluation.quality.figures['perplexity']:.3f}")
    results = job.export_and_prove(model, evaluation)
    shown["replies"] = answer_test_questions(job, read, results)
    shown["misclassified"] = reports.shown_of(read.splits.test, job.spec)
    shown["predict"] = f"tfkit predict {job.folder.path} '{read.splits.test.questions[0]}'"
    return job.report(evaluation.task.title, model, evaluation, results, **shown)


def train(job: RecipeRun, model: Any) -> Any:
    """The model after training."""
    if (done := job.done_before("fine_tune", type(None))) is not None:
        return done.model
    with job.display.stage("Train on answers") as stage:
        options = planned_options(job.config) | {"progress": stage.progress, "state": job.state("fine_tune")}
        options |= {"checkpoint": job.folder.checkpoints / "fine_tune.keras"}
        options |= {"log_directory": job.folder.tensorboard("fine_tune")}
        memory = PeakMemory()
        trained = train_language_model(model, job.splits.train, job.splits.validation, **options)
        stage.result(trained.result.summary)
    summary = {"history": trained.result.history, "notes": trained.result.notes, "peak_memory_bytes": memory.bytes}
    summary["trainable_parameters"] = trained.result.trainable_parameters
    job.finish(reports.StageSummary("fine_tune", stage.title, stage.seconds, **summary), trained.model)
    job.display.note(f"    {job.log[-1].cost}")
    return trained.model
