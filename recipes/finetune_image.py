"""Fine-tune an image classifier, export it, and prove every exported file.

    python recipes/finetune_image.py --config recipes/configs/image/digits.yaml head.epochs=10

does the same as `tfkit run digits head.epochs=10`.
"""

import json
import sys
from datetime import UTC, datetime
from typing import Any

import keras
import numpy as np

import tfkit
from tfkit import benchmarking, data, exporters, models, reports, training, verification
from tfkit.artifacts import ImageSpec, RunDirectory, create_run_directory
from tfkit.cli.display import Display
from tfkit.config import AcceptanceSection, AugmentationSection, RecipeConfig, dump_recipe
from tfkit.reports import StageSummary

REFUSED = 3


def run(config: RecipeConfig, display: Display) -> int:
    """Run the recipe: 0 when every exported file was accepted, 3 when one was refused."""
    display.header(f"{config.run.name}: {config.model.backbone} on {config.data.source}")
    folder = create_run_directory(config.run.directory / config.run.name, overwrite=config.run.overwrite)
    image = ImageSpec(*config.data.image_height_width, config.data.channels, config.data.resize)
    with display.stage("Read the images") as stage:
        splits = data.load_image_splits(**config.data.loading_options(), seed=config.run.seed)
        stage.result(f"{len(splits.train)} training, {len(splits.validation)} validation, {len(splits.test)} test")
    folder.recipe.write_text(dump_recipe(config), encoding="utf-8")
    folder.data_report.write_text(json.dumps(splits.report.to_json(), indent=2) + "\n", encoding="utf-8")
    stages = [StageSummary("data", stage.title, stage.seconds, notes=splits.report.notes)]

    model, control, trained = train(config, display, folder, image, splits)
    models.save_model_file(model, folder.float_model)
    with display.stage("Evaluate the Keras model") as stage:
        evaluation = evaluate(model, splits.test, image)
        stage.result(f"test accuracy {evaluation.keras:.1%}")
    stages += [*trained, StageSummary("evaluate", stage.title, stage.seconds)]
    results, proved = export_and_prove(config, display, folder, image, splits, model, evaluation)

    report = reports.RunReport(
        name=config.run.name,
        task="image classification",
        recipe_yaml=dump_recipe(config),
        image=image,
        backbone=config.model.backbone,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        stages=(*stages, *proved),
        data=splits.report.to_json(),
        evaluation=evaluation,
        control=control,
        artifacts=results,
        accepted=all(result.accepted for result in results),
        host=benchmarking.describe_host(),
        policy=(config.acceptance or AcceptanceSection()).model_dump(),
        parameters=model.count_params(),
        tfkit_version=tfkit.__version__,
    )
    write_reports(config, folder, image, splits, report)
    display.table(reports.result_table(report))
    display.next_steps(folder.report, f"tensorboard --logdir {folder.path / 'tensorboard'}")
    return 0 if report.accepted else REFUSED


def train(config: RecipeConfig, display: Display, folder: RunDirectory, image: ImageSpec, splits: data.DatasetSplits):
    """The head on a frozen backbone, beside it the control where asked for, then fine-tuning."""
    model = build(config, image, splits, weights=config.model.weights)
    control, stages = None, []
    if section := config.head:
        options = {"cached_views": section.cached_views, "batch_size": section.batch_size or config.data.batch_size}
        with display.stage("Train the head") as stage:
            options |= stage_options(config, section, folder, "head") | {"progress": stage.progress}
            result = training.train_head(model, splits.train, splits.validation, image, **options)
            stage.result(result.summary)
        stages.append(StageSummary("head", stage.title, result.seconds, result.history, result.notes))
        if section.random_backbone_control:
            with display.stage("Same head, random backbone") as stage:
                untrained = build(config, image, splits, weights="random")
                options |= {"progress": stage.progress, "log_directory": None, "checkpoint": None}
                training.train_head(untrained, splits.train, splits.validation, image, **options)
                ours, theirs = (evaluate(each, splits.test, image).keras for each in (model, untrained))
                stage.result(f"test accuracy {theirs:.1%}; on the trained backbone {ours:.1%}")
            control = reports.Control(f"same head on a random backbone ({ours:.1%} on the trained one)", theirs)
    if section := config.fine_tune:
        with display.stage("Fine-tune") as stage:
            options = stage_options(config, section, folder, "fine_tune") | section.learning_options()
            options |= {"cache_bytes": config.data.cache_mb << 20, "progress": stage.progress}
            result = training.fine_tune(model, splits.train, splits.validation, image, **options)
            stage.result(result.summary)
        stages.append(StageSummary("fine_tune", stage.title, result.seconds, result.history, result.notes))
    return model, control, stages


def build(config: RecipeConfig, image: ImageSpec, splits: data.DatasetSplits, *, weights: str | None) -> keras.Model:
    chosen = config.model
    keras.utils.set_random_seed(config.run.seed)
    backbone = models.build_backbone(chosen.backbone, image=image, weights=weights, width=chosen.width)
    options = {"pooling": chosen.pooling, "dropout": chosen.dropout, "l2": chosen.l2}
    return models.build_classifier(backbone, classes=len(splits.class_names), **options)


def stage_options(config: RecipeConfig, section: Any, folder: RunDirectory, name: str) -> dict[str, Any]:
    augmentation = config.augmentation or AugmentationSection(policy="none")
    return {
        "optimization": training.Optimization(**section.optimization_options()),
        "augmentation": data.Augmentation(**augmentation.model_dump()),
        "seed": config.run.seed,
        "log_directory": folder.tensorboard(name),
        "checkpoint": folder.checkpoints / f"{name}.keras",
    }


def evaluate(model: keras.Model, test: data.ImageExamples, image: ImageSpec) -> reports.Evaluation:
    scores = verification.reference_scores(model, test, image)
    accuracy = float(np.mean(scores.argmax(axis=1) == test.labels))
    return reports.Evaluation(len(test), "accuracy", accuracy, test.class_names, test.labels, scores, test.names)


def export_and_prove(config, display, folder, image, splits, model, evaluation):
    """Every exported file is run over the whole test split in its own runtime, timed and judged."""
    if config.export is None:
        return (), []
    acceptance = config.acceptance or AcceptanceSection()
    with display.stage("Export") as stage:
        pixels = data.calibration_pixels(splits.train, image, count=config.export.calibration_examples)
        options = {"image": image, "class_names": splits.class_names, "calibration": pixels, "progress": stage.progress}
        artifacts = exporters.export_formats(model, config.export.formats, folder.artifacts, **options)
        stage.result(", ".join(config.export.formats))
    stages, results = [StageSummary("export", stage.title, stage.seconds)], []
    policy = verification.AcceptancePolicy(**acceptance.limits())
    with display.stage("Prove every file") as stage:
        for artifact in artifacts:
            result = reports.prove_artifact(
                artifact, splits.test, evaluation, policy=policy, threads=acceptance.latency_threads,
                directory=folder.path, progress=stage.progress,
            )  # fmt: skip
            results.append(result)
        verification.write_golden_samples(folder.golden, artifacts, splits.test, image)
        stage.result(f"{sum(result.accepted for result in results)} of {len(results)} accepted")
    return tuple(results), [*stages, StageSummary("verify", stage.title, stage.seconds)]


def write_reports(config, folder, image, splits, report: reports.RunReport) -> None:
    def pixels_of(positions):
        return next(data.pixel_batches(splits.test.select(positions), image, batch_size=len(positions)))

    reports.write_run_report(report, folder, misclassified_pixels=pixels_of)
    augmentation = data.Augmentation(**(config.augmentation or AugmentationSection(policy="none")).model_dump())
    batches = data.training_batches(splits.train, image, batch_size=16, augmentation=augmentation, cache_bytes=0)
    seen, targets = next(iter(batches))
    labels = [splits.class_names[index] for index in np.argmax(targets, axis=1)]
    for stage in (each for each in report.stages if each.history):
        reports.write_tensorboard_images(
            folder.tensorboard(stage.name), seen=np.asarray(seen), seen_labels=labels, evaluation=report.evaluation,
            misclassified_pixels=pixels_of, step=len(stage.history["loss"]) - 1,
        )  # fmt: skip


if __name__ == "__main__":
    from tfkit.cli.main import main

    sys.exit(main(["run", *sys.argv[1:]]))
