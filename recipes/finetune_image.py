"""Fine-tune an image classifier, export it, and prove every exported file.

`python recipes/finetune_image.py --config FILE key=value` does the same as `tfkit run FILE key=value`.
"""

if __name__ == "__main__":  # before TensorFlow is imported: the command keeps its chatter off the terminal
    import sys

    from tfkit.cli.main import main

    sys.exit(main(["run", *sys.argv[1:]]))

from dataclasses import asdict
from typing import Any

import keras
import numpy as np

from tfkit import data, exporters, models, reports, training, verification
from tfkit.artifacts import ImageSpec, RunDirectory, create_run_directory, refuse_existing_run
from tfkit.cli.display import Display
from tfkit.config import RecipeConfig, dump_recipe

REFUSED = 3
STAGES = {"head": ("Train the head", training.train_head), "fine_tune": ("Fine-tune", training.fine_tune)}


def run(config: RecipeConfig, display: Display) -> int:
    """Run the recipe: 0 when every exported file was accepted, 3 when one was refused."""
    display.header(f"{config.run.name}: {config.model.backbone} on {config.data.source}")
    refuse_existing_run(config.run.directory / config.run.name, overwrite=config.run.overwrite)
    image = ImageSpec(*config.data.image_height_width, config.data.channels, config.data.resize)
    with display.stage("Read the images") as stage:
        splits = data.load_image_splits(**config.data.loading_options(), seed=config.run.seed)
        stage.result(f"{len(splits.train)} training, {len(splits.validation)} validation, {len(splits.test)} test")
    log = [reports.StageSummary("data", stage.title, stage.seconds, notes=splits.report.notes)]

    model, control = build(config, image, splits, weights=config.model.weights), None
    folder = create_run_directory(config.run.directory / config.run.name, overwrite=config.run.overwrite)
    folder.record(recipe=dump_recipe(config), data_report=splits.report.to_json())
    for name in STAGES:
        if getattr(config, name) is not None:
            evaluation, summary = train(name, model, config, display, folder, image, splits)
            log.append(summary)
        if name == "head" and config.head and config.head.random_backbone_control:
            control, summary = train_control(config, display, image, splits, evaluation)
            log.append(summary)
    models.save_model_file(model, folder.float_model)
    policy = verification.AcceptancePolicy(**config.acceptance.limits())
    results = export_and_prove(config, display, folder, image, splits, model, evaluation, policy, log)

    report = reports.RunReport(
        name=config.run.name,
        task="image classification",
        recipe_yaml=dump_recipe(config),
        image=image,
        backbone=config.model.backbone,
        stages=tuple(log),
        data=splits.report.to_json(),
        evaluation=evaluation,
        control=control,
        artifacts=results,
        policy=asdict(policy),
        parameters=model.count_params(),
    )
    reports.write_run_report(report, folder, misclassified_pixels=pixels_of(splits.test, image))
    display.table(reports.result_table(report))
    predict = f"tfkit predict {folder.path} {folder.golden if results else 'PICTURE.jpg'}"
    display.next_steps(folder.report, predict, f"tensorboard --logdir {folder.path / 'tensorboard'}")
    return 0 if report.accepted else REFUSED


def build(config: RecipeConfig, image: ImageSpec, splits: data.DatasetSplits, *, weights: str | None) -> keras.Model:
    chosen = config.model
    keras.utils.set_random_seed(config.run.seed)
    backbone = models.build_backbone(chosen.backbone, image=image, weights=weights, width=chosen.width)
    return models.build_classifier(backbone, classes=len(splits.class_names), **chosen.classifier_options())


def batch_options(config: RecipeConfig) -> dict[str, Any]:
    sizes = {"batch_size": config.data.batch_size, "cache_bytes": config.data.cache_mb << 20}
    return config.augmentation.batch_options() | sizes | {"seed": config.run.seed}


def stage_options(config: RecipeConfig, name: str) -> dict[str, Any]:
    section = getattr(config, name)
    optimization = training.Optimization(**section.optimization_options())
    return batch_options(config) | {"optimization": optimization} | section.learning_options()


def train(name: str, model, config, display, folder: RunDirectory, image, splits):
    """One stage of training: the model's weights move, and TensorBoard gets its scalars and pictures."""
    title, train_stage = STAGES[name]
    logs = {"log_directory": folder.tensorboard(name), "checkpoint": folder.checkpoints / f"{name}.keras"}
    with display.stage(title) as stage:
        options = stage_options(config, name) | logs | {"progress": stage.progress}
        result = train_stage(model, splits.train, splits.validation, image, **options)
        models.save_model_file(model, logs["checkpoint"])
        evaluation = evaluate(model, splits.test, image)
        stage.result(f"{result.summary}, test accuracy {evaluation.keras:.1%}")
    seen, targets = next(iter(data.training_batches(splits.train, image, **batch_options(config))))
    reports.write_tensorboard_images(
        folder.tensorboard(name),
        seen=np.asarray(seen),
        seen_labels=[splits.class_names[index] for index in np.argmax(targets, axis=1)],
        evaluation=evaluation,
        misclassified_pixels=pixels_of(splits.test, image),
        step=len(result.history["loss"]) - 1,
    )
    return evaluation, reports.StageSummary(name, title, stage.seconds, result.history, result.notes)


def train_control(config, display, image, splits, evaluation: reports.Evaluation):
    """The same head on a random backbone: what the pretrained features are worth."""
    with display.stage("Same head, random backbone") as stage:
        untrained = build(config, image, splits, weights="random")
        options = stage_options(config, "head")
        training.train_head(untrained, splits.train, splits.validation, image, progress=stage.progress, **options)
        accuracy = evaluate(untrained, splits.test, image).keras
        stage.result(f"test accuracy {accuracy:.1%}; on the trained backbone {evaluation.keras:.1%}")
    names = ("head on a frozen random backbone", "head on the frozen trained backbone")
    control = reports.Control(names[0], accuracy, names[1], evaluation.keras)
    return control, reports.StageSummary("control", stage.title, stage.seconds)


def evaluate(model: keras.Model, test: data.ImageExamples, image: ImageSpec) -> reports.Evaluation:
    scores = verification.reference_scores(model, test, image)
    return reports.Evaluation(test.class_names, test.labels, scores, test.names)


def export_and_prove(config, display, folder, image, splits, model, evaluation, policy, log):
    """Every exported file is run over the whole test split in its own runtime, timed and judged."""
    if config.export is None:
        return ()
    with display.stage("Export") as stage:
        pixels = data.calibration_pixels(splits.train, image, count=config.export.calibration_examples)
        options = {"image": image, "class_names": splits.class_names, "calibration": pixels, "progress": stage.progress}
        artifacts = exporters.export_formats(model, config.export.formats, folder.artifacts, **options)
        stage.result(f"{len(artifacts)} files")
    log.append(reports.StageSummary("export", stage.title, stage.seconds))
    with display.stage("Prove every file") as stage:
        options = {"policy": policy, "threads": config.acceptance.latency_threads, "progress": stage.progress}
        results = reports.prove_artifacts(artifacts, splits.test, evaluation, folder, **options)
        stage.result(f"{sum(result.accepted for result in results)} of {len(results)} accepted")
    log.append(reports.StageSummary("verify", stage.title, stage.seconds))
    return results


def pixels_of(examples: data.ImageExamples, image: ImageSpec):
    return lambda chosen: next(data.pixel_batches(examples.select(chosen), image, batch_size=max(1, len(chosen))))
