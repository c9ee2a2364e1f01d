"""Fine-tune an image classifier, compress it, export it, and prove every exported file.

`python recipes/finetune_image.py --config FILE key=value` does the same as `tfkit run FILE key=value`.
A copy of this file is a recipe of your own: `tfkit recipes copy finetune_image my_recipe.py --script`, then
`python my_recipe.py --config FILE`.
"""

if __name__ == "__main__":  # before TensorFlow is imported: the command keeps its chatter off the terminal
    import sys

    from tfkit.cli.main import main

    sys.exit(main(["run", __file__, *sys.argv[1:]]))

from functools import partial
from typing import Any

import keras

from tfkit import data, models, reports, stages, training
from tfkit.artifacts import ImageSpec, refuse_existing_run
from tfkit.config import RecipeConfig, dump_recipe
from tfkit.running import Display
from tfkit.running.planning import (
    batch_options,
    build_classifier,
    head_of,
    plan_compression,
    stage_options,
    with_float_head,
)
from tfkit.running.reading import read_data
from tfkit.running.recipe_run import RecipeRun, begin_folder
from tfkit.running.rehearsal import plan_formats, refuse_scores_beyond_memory, rehearse_images

CONFIG = RecipeConfig  # the schema of its YAML files
STAGES = {  # title, what runs it, and the model it leaves in models/
    "head": ("Train the head", training.train_head, "float"),
    "fine_tune": ("Fine-tune", training.fine_tune, "float"),
    "pruning": ("Prune", stages.prune, "pruned"),
    "quantization": ("Train quantisation-aware", stages.quantize, "quantized"),
}


def run(config: RecipeConfig, display: Display) -> reports.RunReport:
    """Run the recipe."""
    display.header(f"{config.run.name}: {config.model.backbone} on {config.data.source}")
    given, folder = config, config.run.directory / config.run.name
    refuse_existing_run(folder, overwrite=config.run.overwrite, recipe=dump_recipe(config))
    image = ImageSpec(*config.data.image_height_width, config.data.channels, config.data.resize)
    with display.stage("Read the images") as stage:
        read = read_data(config)
        splits, earlier = read.splits, read.earlier
        stage.result(f"{len(splits.train)} training, {len(splits.validation)} validation, {len(splits.test)} test")
        if read.drawn:
            stage.note(read.drawn)
    classes = len(splits.class_names)
    config, note = with_float_head(config, classes)
    notes = (*splits.report.notes, *filter(None, [note]))
    log = [reports.StageSummary("data", stage.title, stage.seconds, notes=notes)]

    head, control = head_of(config.task, splits.train.labels), None
    model = earlier.classifier(image.shape) if earlier else build_classifier(config, image, classes, head=head)
    plan = plan_compression(config, model, display, class_names=splits.class_names)
    refuse_scores_beyond_memory(config, splits.test, image)
    rehearse_images(config, model, display, splits.train, image)
    plan_formats(config, model, image, display)
    folder = begin_folder(given, display, splits, splits.report.to_json())
    parts, memory = (splits.train, splits.validation, splits.test), config.data.cache_mb << 20
    if told := data.keep_pixels(parts, image, memory_bytes=memory, folder=folder.path):
        display.note(told)
    answered = earlier.answers(image, config.task) if earlier else None
    job, teacher, channels = RecipeRun(config, display, splits, image, folder, log, answered), plan.teacher, None
    for name, (_, _, kept) in STAGES.items():
        if getattr(config, name) is None:
            continue
        teacher = model if teacher is None and kept != "float" else teacher  # this run's own float model
        model, evaluation, removed = train(job, name, model, teacher)
        channels = removed or channels
        if name == "head" and config.head.random_backbone_control:
            control = train_control(job, evaluation)

    results = job.export_and_prove(model, evaluation)
    ask = partial(reports.map_mistakes, folder, model, evaluation, splits.test, image, config.task.heat_maps)
    heat_maps = job.explain(ask) if results and evaluation.task.of_classes else None
    smaller = reports.describe_compression(model, plan.coverage, channels=channels, teacher=plan.taught_by)
    shown = {"misclassified": reports.shown_of(splits.test, image), "compression": smaller, "control": control}
    shown["heat_maps"] = heat_maps
    shown["predict"] = f"tfkit predict {folder.path} {folder.golden if results else 'PICTURE.jpg'}"
    return job.report(f"image {evaluation.task.title}", model, evaluation, results, **shown)


def train(job: RecipeRun, name: str, model: Any, teacher: Any) -> tuple[Any, reports.Evaluation, Any]:
    """One stage: the model it gives, which is kept; what that answers on the evaluation split; channels it removed."""
    title, train_stage, kept = STAGES[name]
    if (done := job.done_before(name, stages.ChannelPruning)) is not None:
        return done.model, job.evaluate(done.model), done.found
    logs = {"log_directory": job.folder.tensorboard(name), "checkpoint": job.folder.checkpoints / f"{name}.keras"}
    looking = {"suspicious_labels": job.config.data.suspicious_labels}
    logs |= looking if name == "head" else {"state": job.state(name)}
    channels = None
    with job.display.stage(title) as stage:
        options = stage_options(job.config, name, teacher) | logs | {"progress": stage.progress}
        result = train_stage(model, job.splits.train, job.splits.validation, job.spec, **options)
        if isinstance(result, stages.CompressedStage):
            model, channels, result = result.model, result.channels, result.result
        goes_to_models = name != "head" or job.config.fine_tune is None
        if goes_to_models and isinstance(model, keras.Model):  # not the tf-keras twin of the tfmot engine
            models.save_model_file(model, job.folder.kept_model(kept))
        evaluation = job.evaluate(model)
        stage.result(f"{result.summary}, test {evaluation.told}")
    gained = reports.gain_over_head(job.log, result.history, len(job.splits.validation)) if name == "fine_tune" else ""
    batches, step = batch_options(job.config), len(result.history["loss"]) - 1
    folder = job.folder.tensorboard(name)
    reports.write_stage_pictures(folder, job.splits, job.spec, evaluation, step=step, batch_options=batches)
    summary = reports.StageSummary(
        name,
        title,
        stage.seconds,
        result.history,
        (*result.notes, *filter(None, [gained])),
        evaluation.keras,
        trainable_parameters=result.trainable_parameters,
        counted_in=result.counted_in,
        suspicious_labels=result.suspicious_labels,
    )
    job.tell_suspicious_labels(summary)
    for told in filter(None, (summary.cost, gained)):
        job.display.note(f"    {told}")
    job.finish(summary, model, channels)
    return model, evaluation, channels


def train_control(job: RecipeRun, evaluation: reports.Evaluation) -> reports.Control:
    """The same head on a random backbone: what the pretrained features are worth."""
    if (done := job.done_before("control", reports.Control)) is not None:
        return done.found
    splits, image = job.splits, job.spec
    with job.display.stage("Same head, random backbone") as stage:
        head = head_of(job.config.task, splits.train.labels)
        untrained = build_classifier(job.config, image, len(splits.class_names), weights="random", head=head)
        options = stage_options(job.config, "head") | {"progress": stage.progress}
        training.train_head(untrained, splits.train, splits.validation, image, **options)
        control = job.evaluate(untrained)
        stage.result(f"test {control.told}; on the trained backbone {evaluation.told}")
    names = ("head on a frozen random backbone", "head on the frozen trained backbone")
    compared = reports.Control(names[0], control.keras, names[1], evaluation.keras)
    job.finish(reports.StageSummary("control", stage.title, stage.seconds), found=compared)
    return compared
