"""`tfkit check`: read a recipe and its data, and say what would run, before anything is trained."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfkit.errors import printable

if TYPE_CHECKING:
    from tfkit.artifacts import ImageSpec
    from tfkit.cli.display import Display
    from tfkit.config import DataSection, RecipeConfig, RunSection


def check(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or a YAML file.", metavar="RECIPE")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Values to change, such as head.epochs=3.", metavar="KEY=VALUE")
    ] = None,
) -> int:
    """Check a recipe and its data; nothing is trained or written."""
    from tfkit.cli.coverage import show_coverage
    from tfkit.cli.display import Display
    from tfkit.cli.format_planning import plan_formats
    from tfkit.cli.planning import find_teacher, plan_compression
    from tfkit.cli.quiet import tensorflow_started
    from tfkit.cli.recipes import find_recipe
    from tfkit.cli.rehearsal import rehearse_images
    from tfkit.cli.run import find_script
    from tfkit.config import EmbeddingRecipeConfig, TextRecipeConfig, load_recipe

    path = find_recipe(recipe)
    config = load_recipe(path, overrides or [])
    find_script(config.recipe)
    display = Display()
    display.header(f"{config.run.name}: {path}")
    if isinstance(config, TextRecipeConfig):
        from tfkit.cli.text_check import check_texts

        with tensorflow_started():
            return check_texts(config, display)
    if isinstance(config, EmbeddingRecipeConfig):
        from tfkit.cli.embedding_check import check_embeddings

        with tensorflow_started():
            return check_embeddings(config, display)
    with tensorflow_started():
        with display.stage("Backbone: weights and image size") as stage:
            model = _build(config, classes=2)
            stage.result(f"{config.model.backbone}, {_backbone_parameters(model) / 1e6:.2f} M parameters")
        plan = plan_compression(config, model, display, teacher_too=False)
        plan_formats(config, model, _image(config), display)
        with display.stage("Data: every image is read") as stage:
            splits = _load_splits(config, stage.progress)
            counts = [len(split) for split in (splits.train, splits.validation, splits.test)]
            stage.result("{} train, {} validation, {} test".format(*counts))
        if config.distillation:
            find_teacher(config, _build(config, classes=len(splits.class_names)))
        rehearse_images(config, model, display, splits.train, _image(config))
    show_coverage(display, plan.coverage)
    show_data(display, splits)
    _show_plan(display, config, counts[0])
    return 0


def _load_splits(config: "RecipeConfig", progress: Any) -> Any:
    from tfkit.data import load_image_splits

    return load_image_splits(**config.data.loading_options(), seed=config.run.seed, progress=progress)


def _build(config: "RecipeConfig", *, classes: int) -> Any:
    from tfkit.cli.planning import build_classifier

    return build_classifier(config, _image(config), classes)


def _image(config: "RecipeConfig") -> "ImageSpec":
    from tfkit.artifacts import ImageSpec

    data = config.data
    return ImageSpec(*data.image_height_width, channels=data.channels, resize=data.resize)


def _backbone_parameters(model: Any) -> int:
    from tfkit.models import backbone_layers

    return sum(layer.count_params() for layer in backbone_layers(model))


def show_data(display: "Display", splits: Any) -> None:
    """Show the classes, what was left out, and what is there twice."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    report = splits.report
    names = [name for name, counts in report.kept.items() if sum(counts.values())]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", pad_edge=False)
    table.add_column("class")
    for name in names:
        table.add_column(name, justify="right")
    for kind in splits.class_names:
        table.add_row(Text(printable(kind)), *(str(report.kept[name].get(kind, 0)) for name in names))
    table.add_section()
    table.add_row("all", *(str(sum(report.kept[name].values())) for name in names), style="bold")
    display.table(table)
    for note in report.notes:
        display.note(note)
    for title, rows in (
        ("left out", [f"{item.name}: {item.reason}" for item in report.left_out]),
        ("same content twice", [" = ".join(group) for group in report.duplicates]),
        ("same content in two splits, so its score is not earned", [" = ".join(group) for group in report.leakage]),
    ):
        if rows:
            more = f", and {len(rows) - 3} more" if len(rows) > 3 else ""
            display.note(f"{len(rows)} {title}: {'; '.join(rows[:3])}{more}")


def _show_plan(display: "Display", config: "RecipeConfig", examples: int) -> None:
    from rich.table import Table
    from rich.text import Text

    plan = Table.grid(padding=(0, 3))
    for name, text in _plan(config, examples):
        plan.add_row(
            Text(name, style="bold" if text else "dim"), Text(text or "does not run", style="" if text else "dim")
        )
    display.table(plan)
    show_place(display, config.run)


def show_place(display: "Display", section: "RunSection") -> None:
    """Say when the run's folder is taken."""
    run = section.directory / section.name
    occupied = run.is_dir() and any(run.iterdir())
    if occupied and section.overwrite:
        display.note(f"{run} exists and will be set aside")
    elif occupied:
        display.note(f"{run} exists already: add run.name=NAME, or run.overwrite=true to set it aside")


def _plan(config: "RecipeConfig", examples: int) -> list[tuple[str, str]]:
    from tfkit.reports.quantities import counted

    data, head, tune, export, limits = config.data, config.head, config.fine_tune, config.export, config.acceptance
    mixing = config.augmentation.mixing if config.augmentation else None
    return [
        ("data", f"{_size(data)}, batches of {data.batch_size}"),
        (
            "augmentation",
            f"{config.augmentation.policy}{f' with {mixing}' if mixing else ''}" if config.augmentation else "",
        ),
        ("head", f"{counted(head.epochs, 'epoch')}, {head.optimizer} at {head.learning_rate:g}" if head else ""),
        (
            "fine_tune",
            f"{counted(tune.epochs, 'epoch')} of {counted(-(-examples // data.batch_size), 'step')}, "
            f"{tune.optimizer} at {tune.learning_rate:g}, unfreeze {tune.unfreeze}"
            if tune
            else "",
        ),
        ("pruning", _pruning(config)),
        ("quantization", _quantization(config)),
        ("distillation", _distillation(config)),
        ("export", ", ".join(export.formats) if export else ""),
        (
            "acceptance",
            f"accuracy at most {100 * limits.max_accuracy_drop:g} % points below Keras, "
            f"agreement {100 * limits.min_agreement:g} % or more"
            if limits
            else "",
        ),
    ]


def _pruning(config: "RecipeConfig") -> str:
    from tfkit.reports.quantities import counted

    pruning = config.pruning
    if pruning is None:
        return ""
    budgets = {
        name: getattr(pruning, name) for name in ("keep", "max_parameters", "max_multiply_adds", "max_latency_ms")
    }
    asked = {
        "magnitude": f"{pruning.sparsity:.0%} zeros by magnitude",
        "n_of_m": "{} of {} weights kept".format(*pruning.pattern),
        "channels": "channels by "
        + pruning.criterion
        + "".join(f", {k} {v}" for k, v in budgets.items() if v is not None),
    }
    return f"{asked[pruning.method]}, {counted(pruning.epochs, 'epoch')} at {pruning.learning_rate:g}"


def _quantization(config: "RecipeConfig") -> str:
    from tfkit.reports.quantities import counted

    told = config.quantization
    if told is None:
        return ""
    bits = f"int{told.weight_bits} weights, int{told.activation_bits} activations"
    return f"{bits}, {counted(told.epochs, 'epoch')} at {told.learning_rate:g}" + (
        ", by tfmot" if told.engine == "tfmot" else ""
    )


def _distillation(config: "RecipeConfig") -> str:
    told = config.distillation
    if told is None:
        return ""
    return (
        f"from {told.teacher or 'the float model of this run'}, temperature {told.temperature:g}, alpha {told.alpha:g}"
    )


def _size(data: "DataSection") -> str:
    height, width = data.image_height_width
    return f"{height}x{width} pixels, {'grey' if data.channels == 1 else 'RGB'}, {data.resize}"
