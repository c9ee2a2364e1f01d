"""What a trained language model answers: its figures on the test split, and the replies of the file that ships."""

from pathlib import Path
from typing import Any

from tfkit import reports
from tfkit.artifacts import Artifact, PromptSpec, best_artifact
from tfkit.config import ReplyRecipeConfig
from tfkit.config.reply_sections import FilterSection
from tfkit.data.replies import ReplyExamples, read_conversation, read_known_answers
from tfkit.errors import ModelError
from tfkit.inputs.text_vectors import vectors_for
from tfkit.running.recipe_run import RecipeRun
from tfkit.running.reply_planning import FILTERS_NAME, ReadReplies
from tfkit.runtimes import LanguageModelRuntime
from tfkit.stages.reply_filters import refuses_by_run
from tfkit.stages.replying import Responder, measure_replies
from tfkit.tasks import GENERATION
from tfkit.verification import reference_scores

_BATCH = 8


def evaluate_language_model(model: Any, test: ReplyExamples, spec: PromptSpec) -> reports.Evaluation:
    """How likely a language model finds the wanted answers to questions."""
    scores = reference_scores(model, test, spec, batch_size=_BATCH)
    return reports.Evaluation((), test.labels, scores, test.names, asked=GENERATION)


def shipped_file(files: tuple[Artifact, ...]) -> Artifact:
    """Of a language model's files the one that ships: with int8 weights where there is one."""
    return next((one for one in files if one.quantization == "dynamic_int8"), best_artifact(files))


def open_responder(runtime: LanguageModelRuntime, spec: PromptSpec) -> Responder:
    """What answers questions as a run's recipe says.

    Raises:
        ConfigError: When a filter needs what is not installed.
        ModelError: When the folder of prompts is damaged, or a run that it names is missing.
    """
    from tfkit.data.text.redacting import Redactor

    filters = _filters(spec.folder)
    return Responder(
        runtime,
        read_conversation(spec.folder),
        known=read_known_answers(spec.folder),
        redactor=Redactor(region=filters.region) if filters.personal_data else None,
        refuses=None if filters.toxicity is None else refuses_by_run(filters.toxicity, filters.toxic),
    )


def _filters(folder: Path) -> FilterSection:
    """The filters that a run keeps beside its prompts, wherever its files are taken.

    Raises:
        ModelError: When they are not there, or damaged: a model without its filters would answer what it must not.
    """
    try:
        return FilterSection.model_validate_json((folder / FILTERS_NAME).read_bytes())
    except (OSError, ValueError) as fault:
        raise ModelError(
            f"'{folder / FILTERS_NAME}' cannot be read: {fault}",
            hint="bring the whole folder of prompts with the files",
        ) from None


def answer_test_questions(
    job: RecipeRun, read: ReadReplies, results: tuple[reports.ArtifactResult, ...]
) -> reports.Replies | None:
    """Let the file that ships answer all test questions, and those that nothing is known about.

    Returns:
        What it said; None where nothing was exported.
    """
    from tfkit.artifacts import read_manifest

    if not results:
        return None
    file, test, config = shipped_file(read_manifest(job.folder.artifacts)), read.splits.test, job.config
    assert isinstance(config, ReplyRecipeConfig)
    with job.display.stage("Answer the test questions") as stage:
        with LanguageModelRuntime(file.path, threads=config.acceptance.latency_threads) as runtime:
            responder = open_responder(runtime, job.spec)
            replies = responder.replies(test.questions, progress=lambda done, total: stage.progress(done, total, ""))
            outside = responder.replies(read.out_of_scope)
        known = read.known
        index = "words" if known is None else known.index
        vectors = vectors_for(index, read.splits.train.answers, asked="grounding.index")
        refusal = None if known is None else known.refusal
        measured = measure_replies(replies, test, vectors, refusal=refusal, out_of_scope=outside)
        found = reports.Replies(
            file.file_name, measured, tuple(zip(replies, test.answers, strict=True)), tuple(outside)
        )
        stage.result(found.sentence)
    job.log.append(reports.StageSummary("reply", stage.title, stage.seconds, notes=(found.sentence,)))
    return found
