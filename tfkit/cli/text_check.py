"""What `tfkit check` says about a recipe for texts."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfkit.cli.display import Display
    from tfkit.config import TextRecipeConfig


def check_texts(config: "TextRecipeConfig", display: "Display") -> int:
    """Read the texts, open the backbone, and say what would run; nothing is trained or written."""
    from tfkit.artifacts import TextSpec
    from tfkit.cli.check import show_data, show_place
    from tfkit.cli.format_planning import plan_formats
    from tfkit.cli.rehearsal import rehearse_texts
    from tfkit.cli.text_compression import plan_text_compression
    from tfkit.cli.text_planning import build_classifier, measure_length, open_backbone
    from tfkit.data.text import load_text_splits
    from tfkit.models import logits_model
    from tfkit.models.text import adapt
    from tfkit.reports.quantities import counted
    from tfkit.training import TextObjectives

    section = config.fine_tune
    with display.stage("Data: every text is read") as stage:
        splits = load_text_splits(**config.data.loading_options(), seed=config.run.seed)
        counts = [len(split) for split in (splits.train, splits.validation, splits.test)]
        stage.result("{} train, {} validation, {} test".format(*counts))
    with display.stage("Backbone and tokeniser") as stage:
        backbone, tokenizer = open_backbone(config, splits.train)
        length = measure_length(config, splits.train, tokenizer, backbone)
        model = build_classifier(config, backbone, len(splits.class_names))
        stage.result(f"{model.count_params() / 1e6:.2f} M parameters")
    plan_text_compression(config, model, display)
    rehearse_texts(config, model, display, splits.train, tokenizer, sequence_length=length.sequence_length)
    plan_formats(config, model, TextSpec(length.sequence_length, Path()), display)
    with display.stage("What learns") as stage:
        adaptation = adapt(model, section.method, layers=section.layers, rank=section.rank, bottleneck=section.rank)
        objectives = TextObjectives(**section.objective_options())
        objectives.around(logits_model(adaptation.model))  # what the model has no place for is told now
        stage.result(f"{adaptation.trainable_parameters:,} parameters, {adaptation.share:.1%}")
    show_data(display, splits)
    display.note(length.sentence)
    steps = -(-counts[0] // config.data.batch_size)
    display.note(
        f"fine_tune: {section.method}, {counted(section.epochs, 'epoch')} of {steps} steps, {section.optimizer} at "
        f"{section.learning_rate:g}" + "".join(f"; {note}" for note in objectives.notes)
    )
    if section.average_runs > 1:
        display.note(f"fine_tune: {section.average_runs} times with other seeds; the weights are averaged")
    if config.pruning is not None:
        display.note(
            f"pruning: {counted(config.pruning.epochs, 'epoch')}" + (", distilled" if config.distillation else "")
        )
    display.note(f"export: {', '.join(config.export.formats) if config.export else 'nothing'}")
    show_place(display, config.run)
    return 0
