"""Solve for a recommender, export it, and prove every exported file.

`python recipes/recommend.py --config FILE key=value` does the same as `tfkit run FILE key=value`.
A copy of this file is a recipe of your own: `tfkit recipes copy recommend my_recipe.py --script`, then
`python my_recipe.py --config FILE`.
"""

if __name__ == "__main__":  # before TensorFlow is imported: the command keeps its chatter off the terminal
    import sys

    from tfkit.cli.main import main

    sys.exit(main(["run", __file__, *sys.argv[1:]]))

from typing import Any

from tfkit import models, reports
from tfkit.config import RecommendRecipeConfig
from tfkit.running import Display
from tfkit.running.history_planning import begin_history_run, item_vectors, read_histories, rehearse_recommender
from tfkit.running.recipe_run import RecipeRun
from tfkit.running.recommending import evaluate_lists, measure_new_items, popular_items
from tfkit.training import PeakMemory, fit_item_weights

CONFIG = RecommendRecipeConfig  # the schema of its YAML files


def run(config: RecommendRecipeConfig, display: Display) -> reports.RunReport:
    """Run the recipe."""
    splits = read_histories(config, display)
    rehearse_recommender(config, display, splits)
    job = begin_history_run(config, display, splits)
    model = job.done_before("fit", type(None))
    model = fit(job) if model is None else model.model
    models.save_model_file(model, job.folder.float_model)
    evaluation = evaluate_lists(model, splits.test, job.spec)
    display.note(f"    {evaluation.told} on {len(splits.test)} test users")
    results = job.export_and_prove(model, evaluation)
    shown = {"misclassified": reports.shown_of(splits.test, job.spec), "control": popular_items(splits, evaluation)}
    shown["predict"] = f"tfkit predict {job.folder.path} '{splits.test.texts[0]}'"
    return job.report(evaluation.task.title, model, evaluation, results, **shown)


def fit(job: RecipeRun) -> Any:
    """The model of the best weights, and how well they find items that nobody took yet."""
    asked, splits = job.config.model, job.splits
    memory, texts = PeakMemory(), item_vectors(job.config, job.splits.train.catalogue)
    with job.display.stage("Solve for the weights") as stage:
        settings = {"regularization": asked.regularization, "text_weight": asked.text_weight}
        judged = splits.validation.latest(asked.history_length)
        found = fit_item_weights(splits.train, judged, texts, progress=stage.progress, **settings)
        stage.result(found.note)
    notes = [found.note]
    if texts is not None and found.text_weight and asked.new_items:
        with job.display.stage("Hide items, to find them by their texts") as hiding:
            told = measure_new_items(splits, texts, found, share=asked.new_items, seed=job.config.run.seed)
            hiding.result(told.sentence)
        notes.append(told.sentence)
    model = models.build_recommender(found.weights, length=asked.history_length)
    spent = {"peak_memory_bytes": memory.bytes, "trainable_parameters": found.weights.size}
    job.finish(reports.StageSummary("fit", stage.title, stage.seconds, notes=tuple(notes), **spent), model)
    return model
