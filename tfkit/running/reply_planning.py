"""A recipe for generated replies: its tables read, its model opened, known answers found, and the run begun."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfkit import artifacts, reports
from tfkit.config import ReplyRecipeConfig
from tfkit.config.reply_sections import TINY
from tfkit.data import DatasetSplits
from tfkit.data.replies import Conversation, KnownAnswers, ReplyExamples, learn_conversation, load_reply_splits
from tfkit.data.replies.conversation import open_tokenizer
from tfkit.data.sampled_test import with_sampled_test
from tfkit.data.text.normalizing import BUILT_IN_OUT_OF_SCOPE
from tfkit.errors import ConfigError, DataError
from tfkit.files import read_regular_file, write_whole
from tfkit.inputs.text_vectors import vectors_for
from tfkit.running.display import Display
from tfkit.running.recipe_run import RecipeRun, begin_folder

if TYPE_CHECKING:
    from tfkit.models.text.language_model import LanguageModel

FILTERS_NAME = "filters.json"
_SHOWN, _LEAST_ROOM = 10, 8


@dataclass(frozen=True, eq=False)
class ReadReplies:
    """What a recipe for replies learns from, is judged on, and begins with.

    Attributes:
        splits: The questions, with what the model is asked and should say.
        conversation: The tokeniser and what stands around a question.
        known: What the model answers from; None for nothing.
        out_of_scope: Questions that nothing is known about.
        model: The language model, not trained yet.
        notes: What was found, in sentences.
    """

    splits: DatasetSplits[ReplyExamples]
    conversation: Conversation
    known: KnownAnswers | None
    out_of_scope: tuple[str, ...]
    model: "LanguageModel"
    notes: tuple[str, ...]


def open_replies(config: ReplyRecipeConfig, display: Display) -> ReadReplies:
    """Read a recipe's questions and open its model.

    Raises:
        DataError: When they cannot be read, or answers are too long; tells all.
        ConfigError: When template, stop or length do not fit the tokeniser.
        ModelError: When the backbone or the embedder cannot be opened.
    """
    with display.stage("Data: every row is read") as stage:
        splits = load_reply_splits(**config.data.loading_options(), seed=config.run.seed)
        splits, _ = with_sampled_test(splits, config.acceptance.examples, seed=config.run.seed)
        outside = _out_of_scope(config)
        counts = f"{len(splits.train)} train, {len(splits.validation)} validation, {len(splits.test)} test questions"
        stage.result(counts)
    with display.stage("Backbone and tokeniser") as stage:
        conversation = _conversation(config, splits.train)
        model = _model(config, conversation)
        stage.result(f"{model.count_params() / 1e6:.2f} M parameters, {conversation.vocabulary:,} tokens")
    parts, known, notes = _written(config, splits, conversation)
    _refuse_long_answers(parts)
    cut = sum(part.cut for part in parts.values())
    if cut:
        notes.append(f"{cut:,} prompts are longer than model.length allows, and lost their end.")
    report = replace(splits.report, notes=(*splits.report.notes, *notes))
    splits = DatasetSplits(parts["train"], parts["validation"], parts["test"], report)
    return ReadReplies(splits, conversation, known, outside, model, tuple(notes))


def _out_of_scope(config: ReplyRecipeConfig) -> tuple[str, ...]:
    asked = config.grounding
    if asked is None:
        return ()
    file = asked.out_of_scope or (BUILT_IN_OUT_OF_SCOPE if config.data.source == "built_in" else None)
    if file is None:
        return ()
    try:
        text = read_regular_file(file).decode("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(
            f"grounding.out_of_scope: '{file}' cannot be read: {fault}", hint="a text file, UTF-8"
        ) from None
    return tuple(line for line in map(str.strip, text.splitlines()) if line)


def _conversation(config: ReplyRecipeConfig, train: ReplyExamples) -> Conversation:
    asked = config.model
    if asked.backbone == TINY:
        refusal = (config.grounding.refusal,) if config.grounding else ()
        texts = (*train.questions, *train.answers, *refusal)
        said = learn_conversation(
            texts, vocabulary=asked.vocabulary, length=asked.length, answer_length=asked.answer_length
        )
    else:
        assert asked.template is not None and asked.stop is not None  # rules ask for them
        tokenizer = open_tokenizer(Path(asked.backbone))
        if tokenizer.token_to_id(asked.stop) is None:
            raise ConfigError(
                f"model.stop: '{asked.stop}' is no token of '{asked.backbone}'",
                hint="look for eos_token in its tokenizer_config.json",
            )
        said = Conversation(tokenizer, asked.template, asked.stop, asked.length, asked.answer_length)
    around, _ = replace(said, length=said.length + said.answer_length).prompt("")
    if (room := said.length - said.answer_length - len(around)) < _LEAST_ROOM:
        raise ConfigError(
            f"model.length {said.length} leaves {room} tokens for a question, beside {said.answer_length} of an answer "
            f"and {len(around)} of the template",
            hint="raise model.length",
        )
    return said


def _model(config: ReplyRecipeConfig, said: Conversation) -> "LanguageModel":
    import keras

    from tfkit.models.text.language_model import LanguageModel, open_causal_backbone, tiny_llama

    asked = config.model
    keras.utils.set_random_seed(config.run.seed)
    if asked.backbone == TINY:
        sizes = {"layers": asked.layers, "width": asked.width, "heads": asked.heads}
        return LanguageModel(tiny_llama(vocabulary=said.vocabulary, **sizes))
    model = LanguageModel(open_causal_backbone(asked.backbone))
    if model.vocabulary < said.vocabulary:
        raise ConfigError(
            f"the tokeniser of '{asked.backbone}' has {said.vocabulary:,} tokens, its backbone {model.vocabulary:,}",
            hint="bring tokenizer.json and weights of one model",
        )
    return model


def _written(
    config: ReplyRecipeConfig, splits: DatasetSplits[ReplyExamples], said: Conversation
) -> tuple[dict[str, ReplyExamples], KnownAnswers | None, list[str]]:
    """The splits as the model is asked them, and what is known."""
    whole = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    parts = {name: replace(part, conversation=said) for name, part in whole.items()}
    if config.grounding is None:
        return parts, None, []
    asked, train = config.grounding, splits.train
    known = KnownAnswers(train.questions, train.answers, asked.index, asked.passages, -1.0, asked.refusal, asked.oracle)
    vectors = vectors_for(known.index, known.questions, asked="grounding.index")
    indexed, notes = vectors(known.questions), []
    for name, part in parts.items():
        if not len(part):
            continue
        found = known.find(vectors(part.questions), indexed, own=name == "train")
        parts[name] = known.written(part, found)
        if name == "validation":
            similarities = [one.similarity for one in found]
            known = replace(known, threshold=float(np.quantile(similarities, 1 - asked.answered)))
            notes.append(
                f"Questions less alike than {known.threshold:.3f} to every known one are left open: set so that "
                f"{100 * asked.answered:g} % of the validation questions are answered."
            )
        if name != "train":
            share = np.mean([answer in one.passages for answer, one in zip(part.answers, found, strict=True)])
            notes.append(
                f"For {100 * share:.1f} % of the {name} questions the right answer is among those found. "
                f"Likelihoods are judged with it put there for {100 * asked.oracle:g} % of the others, replies are not."
            )
    return parts, known, notes


def _refuse_long_answers(parts: dict[str, ReplyExamples]) -> None:
    faults = []
    for part in parts.values():
        assert part.conversation is not None
        for name, target in zip(part.names, part.wanted, strict=True):
            try:
                part.conversation.answer(target)
            except DataError as fault:
                faults.append((f"  {name}: {fault}", fault.hint))
    if faults:
        more = f"\n  and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        listed = "\n".join(line for line, _ in faults[:_SHOWN])
        raise DataError(f"{len(faults)} answers are too long:\n{listed}{more}", hint=faults[0][1])


def rehearse_replies(config: ReplyRecipeConfig, display: Display, read: ReadReplies) -> None:
    """Make files of a model with one layer and few tokens, of the same architecture.

    Raises:
        ExportError: For what the export would refuse.
    """
    if config.export is None:
        return
    import tempfile

    from tfkit.exporters.language_model import LanguageModelFiles
    from tfkit.models.text.language_model import LanguageModel, another

    with display.stage("Rehearse the export") as stage, tempfile.TemporaryDirectory(prefix="tfkit-") as folder:
        read.conversation.save(Path(folder))
        model = LanguageModel(another(read.model.backbone, num_layers=1, vocabulary_size=64))
        files = LanguageModelFiles(model, artifacts.PromptSpec(config.model.length, config.model.prefill, Path(folder)))
        for name in config.export.formats:
            wanted = artifacts.format_named(name)
            files.write(wanted, Path(folder) / wanted.file)
        stage.result(reports.quantities.counted(len(config.export.formats), "format") + " can be made")


def begin_reply_run(config: ReplyRecipeConfig, display: Display, read: ReadReplies) -> RecipeRun:
    """Create the run's folder with the prompts in it."""
    folder = begin_folder(config, display, read.splits, read.splits.report.to_json())
    folder.prompts.mkdir(parents=True, exist_ok=True)
    read.conversation.save(folder.prompts)
    if read.known is not None:
        read.known.save(folder.prompts)
    write_whole(folder.prompts / FILTERS_NAME, config.filters.model_dump_json(indent=2) + "\n")
    spec = artifacts.PromptSpec(config.model.length, config.model.prefill, folder.prompts)
    log = [reports.StageSummary("data", "Data", 0.0, notes=read.splits.report.notes)]
    return RecipeRun(config, display, read.splits, spec, folder, log)


def planned_options(config: ReplyRecipeConfig) -> dict[str, Any]:
    """What a recipe says of `tfkit.training.replies.train_language_model`."""
    from tfkit.training import Optimization

    assert config.fine_tune is not None
    plan = Optimization(**config.fine_tune.optimization_options())
    given = {"rank": config.fine_tune.rank, "batch_size": config.data.batch_size, "seed": config.run.seed}
    return {"optimization": plan, **given}


def planned_reply_stages(config: ReplyRecipeConfig) -> tuple[tuple[str, str], ...]:
    """For each section of the recipe its name and what it does."""
    model, trained, known, limits = config.model, config.fine_tune, config.grounding, config.acceptance
    learned = "everything learns" if trained is None or trained.rank is None else f"LoRA of rank {trained.rank}"
    speaking = [] if config.filters.toxicity is None else [f"toxicity by {config.filters.toxicity}"]
    speaking += ["personal data written over"] if config.filters.personal_data else []
    stages: tuple[tuple[str, Any], ...] = (
        ("data", config.data.source),
        ("model", f"{model.backbone}, {model.length} tokens, {model.answer_length} of them of a reply"),
        ("grounding", known and f"{known.passages} known answers by {known.index} before each question"),
        ("fine_tune", trained and f"{trained.epochs} epochs, learning rate {trained.learning_rate:g}, {learned}"),
        ("filters", ", ".join(speaking)),
        ("export", config.export and ", ".join(config.export.formats)),
        (
            "acceptance",
            f"log-likelihood of a token at most {limits.max_accuracy_drop:g} below Keras's, "
            f"agreement at least {100 * limits.min_agreement:g} %",
        ),
    )
    return tuple((name, told or "") for name, told in stages)
