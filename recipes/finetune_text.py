"""Fine-tune a text classifier, export it, and prove every exported file.

`python recipes/finetune_text.py --config FILE key=value` does the same as `tfkit run FILE key=value`.
A copy of this file is a recipe of your own: `tfkit recipes copy finetune_text my_recipe.py --script`, then
`python my_recipe.py --config FILE`.
"""

if __name__ == "__main__":  # before TensorFlow is imported: the command keeps its chatter off the terminal
    import sys

    from tfkit.cli.main import main

    sys.exit(main(["run", __file__, *sys.argv[1:]]))

from functools import partial
from typing import Any

from tfkit import models, reports
from tfkit.config import TextRecipeConfig
from tfkit.data.text import Tokenizer
from tfkit.running import Display
from tfkit.running.planning import head_of
from tfkit.running.recipe_run import RecipeRun
from tfkit.running.rehearsal import plan_formats, rehearse_texts
from tfkit.running.teachers import find_text_teacher, taught_by
from tfkit.running.text_planning import (
    begin_text_run,
    build_classifier,
    plan_text_compression,
    read_texts,
    stage_options,
)
from tfkit.stages import CompressedStage, TransformerPruning, prune_text, quantize_text
from tfkit.training import PeakMemory
from tfkit.training.fine_tune_text import fine_tune_text

CONFIG = TextRecipeConfig  # the schema of its YAML files
STAGES = {  # title, what runs it, and the model it leaves in models/
    "fine_tune": ("Fine-tune", fine_tune_text, "float"),
    "pruning": ("Make it smaller", prune_text, "pruned"),
    "quantization": ("Train quantisation-aware", quantize_text, "quantized"),
}


def run(config: TextRecipeConfig, display: Display) -> reports.RunReport:
    """Run the recipe."""
    read = read_texts(config, display)
    head = head_of(config.task, read.splits.train.labels)
    model = read.backbone  # of the run that it goes on from the whole classifier
    if read.earlier is None:
        model = build_classifier(config, model, len(read.splits.class_names), head)
    length = read.length.sequence_length
    teacher = find_text_teacher(config, model, read.tokenizer, read.splits.train, sequence_length=length)
    coverage = plan_text_compression(config, model, display)
    rehearse_texts(config, model, display, read.splits.train, read.tokenizer, sequence_length=length)
    plan_formats(config, model, read.planned_spec, display)
    job = begin_text_run(config, display, read)
    splits, tokenizer = job.splits, read.tokenizer
    whole, cut = None, None  # the float model, before anything was taken from it; and what was
    for name in STAGES:
        if getattr(config, name) is not None:
            model, evaluation, removed = train(job, name, model, tokenizer, teacher or whole)
            whole, cut = model if name == "fine_tune" else whole, removed or cut

    results = job.export_and_prove(model, evaluation)
    explanations = job.explain(partial(reports.explain_mistakes, job.folder, evaluation, splits.test, job.spec))
    smaller = reports.describe_compression(model, coverage, transformer=cut, teacher=taught_by(config))
    shown = {
        "misclassified": reports.shown_of(splits.test, job.spec),
        "compression": smaller,
        "explanations": explanations,
    }
    shown["predict"] = f"tfkit predict {job.folder.path} '{splits.test.texts[0]}'"
    return job.report(f"text {evaluation.task.title}", model, evaluation, results, **shown)


def train(
    job: RecipeRun, name: str, model: Any, tokenizer: Tokenizer, teacher: Any
) -> tuple[Any, reports.Evaluation, TransformerPruning | None]:
    """One stage: the model it gives, which is kept; what that answers on the evaluation split; what it cut."""
    title, train_stage, kept = STAGES[name]
    if (done := job.done_before(name, TransformerPruning)) is not None:
        return done.model, job.evaluate(done.model), done.found
    splits, logs = job.splits, job.folder.tensorboard(name)
    with job.display.stage(title) as stage:
        options = stage_options(job.config, name, teacher) | {"log_directory": logs, "progress": stage.progress}
        options |= {"sequence_length": job.spec.sequence_length, "checkpoint": job.folder.checkpoints / f"{name}.keras"}
        options |= {"state": job.state(name)}
        if name == "fine_tune":
            options["suspicious_labels"] = job.config.data.suspicious_labels
        memory = PeakMemory()
        trained = train_stage(model, splits.train, splits.validation, tokenizer, **options)
        spent = {"trainable_parameters": trained.result.trainable_parameters, "peak_memory_bytes": memory.bytes}
        models.save_model_file(trained.model, job.folder.kept_model(kept))
        evaluation = job.evaluate(trained.model)
        stage.result(f"{trained.result.summary}, test {evaluation.told}")
    history, notes = trained.result.history, trained.result.notes
    shown = {
        "evaluation": evaluation,
        "misclassified": reports.shown_of(splits.test, job.spec),
        "step": len(history["loss"]) - 1,
    }
    reports.write_tensorboard_texts(logs, **shown)
    spent |= {"counted_in": trained.result.counted_in, "suspicious_labels": trained.result.suspicious_labels}
    summary = reports.StageSummary(name, title, stage.seconds, history, notes, quality=evaluation.keras, **spent)
    job.tell_suspicious_labels(summary)
    job.display.note(f"    {summary.cost}")
    removed = trained.transformer if isinstance(trained, CompressedStage) else None
    job.finish(summary, trained.model, removed)
    return trained.model, evaluation, removed
