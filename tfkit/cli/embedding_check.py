"""What `tfkit check` says about a recipe for sentence embeddings."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfkit.cli.display import Display
    from tfkit.config import EmbeddingRecipeConfig


def check_embeddings(config: "EmbeddingRecipeConfig", display: "Display") -> int:
    """Read the texts and answers, open the backbone, and say what would run; nothing is trained or written."""
    from tfkit.artifacts import TextSpec
    from tfkit.cli.check import show_data, show_place
    from tfkit.cli.embedding_planning import build_embedder, search_options
    from tfkit.cli.format_planning import plan_formats
    from tfkit.cli.rehearsal import rehearse_texts
    from tfkit.cli.text_planning import measure_length, open_backbone
    from tfkit.data.text import load_text_splits
    from tfkit.models.text import adapt
    from tfkit.reports.quantities import counted

    section = config.fine_tune
    with display.stage("Data: every text is read") as stage:
        splits = load_text_splits(**config.data.loading_options(), seed=config.run.seed)
        searched = search_options(config, splits.class_names)
        counts = [len(split) for split in (splits.train, splits.validation, splits.test)]
        stage.result("{} train, {} validation, {} test".format(*counts))
    with display.stage("Backbone and tokeniser") as stage:
        backbone, tokenizer = open_backbone(config, splits.train)
        length = measure_length(config, splits.train, tokenizer, backbone)
        model = build_embedder(config, backbone)
        stage.result(f"{model.count_params() / 1e6:.2f} M parameters")
    rehearse_texts(config, model, display, splits.train, tokenizer, sequence_length=length.sequence_length)
    with display.stage("What learns") as stage:
        told = "nothing"
        if section is not None:
            adapted = adapt(model, section.method, layers=section.layers, rank=section.rank, bottleneck=section.rank)
            told = f"{adapted.trainable_parameters:,} parameters, {adapted.share:.1%}"
        stage.result(told)
    plan_formats(config, model, TextSpec(length.sequence_length, Path()), display)
    show_data(display, splits)
    display.note(length.sentence)
    if section is None:
        display.note("fine_tune: nothing; the backbone's own vectors are indexed")
    else:
        size = min(config.data.batch_size, counts[0])
        display.note(
            f"fine_tune: {section.method}, {counted(section.epochs, 'epoch')} of {counts[0] // size} batches of {size} "
            f"pairs, {section.optimizer} at {section.learning_rate:g}"
        )
    indexed = len(splits.class_names) if config.data.labels_are_texts else counts[0]
    told = f"{len(searched['answers'])} answers, {len(searched['out_of_scope'])} out-of-scope texts"
    display.note(f'search: {indexed} texts; "not sure" below {config.search.min_confidence:g}; {told}')
    display.note(f"export: {', '.join(config.export.formats) if config.export else 'nothing'}")
    show_place(display, config.run)
    return 0
