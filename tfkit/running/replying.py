"""What a trained language model answers: its figures on the test split, and the replies of the file that ships."""

from typing import Any

from tfkit import reports
from tfkit.artifacts import Artifact, PromptSpec, RunDirectory, best_artifact
from tfkit.config import ReplyRecipeConfig, load_recipe
from tfkit.config.reply_sections import FilterSection
from tfkit.data.replies import ReplyExamples, read_conversation, read_known_answers
from tfkit.inputs.text_vectors import vectors_for
from tfkit.running.recipe_run import RecipeRun
from tfkit.running.reply_planning import ReadReplies
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


def open_responder(runtime: LanguageModelRuntime, spec: PromptSpec, filters: FilterSection) -> Responder:
    """What answers questions as a run's recipe says.

    Raises:
        ConfigError: When a filter needs what is not installed.
        ModelError: When the folder of prompts is damaged, or a run that it names is missing.
    """
    from tfkit.data.text.redacting import Redactor

    return Responder(
        runtime,
        read_conversation(spec.folder),
        known=read_known_answers(spec.folder),
        redactor=Redactor(region=filters.region) if filters.personal_data else None,
        refuses=None if filters.toxicity is None else refuses_by_run(filters.toxicity, filters.toxic),
    )


def filters_of_run(folder: RunDirectory) -> FilterSection:
    """The filters of a run's recipe; none outside of a run."""
    if not folder.recipe.is_file():
        return FilterSection()
    config = load_recipe(folder.recipe, may_run=False)
    return config.filters if isinstance(config, ReplyRecipeConfig) else FilterSection()


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
            responder = open_responder(runtime, job.spec, config.filters)
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
