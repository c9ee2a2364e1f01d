"""What a recipe may say about pruning, quantisation and distillation, and what contradicts itself."""

from pathlib import Path

import pytest

from tfkit.config import dump_recipe, load_recipe
from tfkit.errors import ConfigError

GOOD = """\
recipe: finetune_image
data: {source: digits}
head: {}
fine_tune: {}
"""


def load(sections: str, folder: Path, *overrides: str):
    path = folder / "mine.yaml"
    path.write_text(GOOD + sections + "\n")
    return load_recipe(path, overrides)


def faults_of(sections: str, folder: Path, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(sections, folder, *overrides)
    lines = str(caught.value).splitlines()
    return [line.strip() for line in (lines[1:] if len(lines) > 1 else lines)]


@pytest.mark.parametrize(
    "sections",
    [
        "pruning:\nquantization:\ndistillation:",
        "pruning: {method: magnitude, sparsity: 0.8, scope: global, skip: ['stem_*']}",
        "pruning: {method: magnitude, budgets: {'block_1_*': 0.3}}",
        "pruning: {method: n_of_m, pattern: [1, 4]}",
        "pruning: {method: channels, keep: 0.5, early_stopping: 3}",
        "pruning: {method: channels, max_latency_ms: 1.5, criterion: loss}",
        "quantization: {weight_bits: 4}",
        "quantization: {activation_bits: 16, moving_epochs: 0}",
        "quantization: {engine: tfmot}\nexport: {formats: [tflite_int8]}",
        "quantization: {}\ndistillation: {features: [{student: a, teacher: b}], alpha: 0.0}",
        "distillation: {teacher: runs/large}",
        "pruning: {method: channels, keep: 0.5}\ndistillation: {feature_maps: 1.0}",
    ],
)
def test_a_recipe_that_holds_loads_and_its_resolved_form_loads_to_the_same(sections: str, tmp_path: Path) -> None:
    config = load(sections, tmp_path)
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(dump_recipe(config.model_copy(update={"run": config.run.model_copy(update={"name": "x"})})))
    assert load_recipe(resolved).model_dump(exclude={"run"}) == config.model_dump(exclude={"run"})


@pytest.mark.parametrize(
    ("sections", "fault"),
    [
        ("pruning: {sparsity: 1.2}", "pruning.sparsity must be a number in [0, 1); got 1.2"),
        ("pruning: {sparsty: 0.5}", "pruning.sparsty is not a known key; did you mean sparsity?"),
        ("prunning: {}", "prunning is not a section; did you mean pruning?"),
        ("pruning: {method: chanels}", "pruning.method must be 'magnitude', 'n_of_m' or 'channels'; got 'chanels'"),
        ("pruning: {keep: 0.5}", "pruning.keep is not read by method magnitude, only by channels"),
        (
            "pruning: {method: n_of_m, sparsity: 0.8}",
            "pruning.sparsity is not read by method n_of_m, only by magnitude",
        ),
        (
            "pruning: {method: channels}",
            "pruning by channels needs exactly one of keep, max_parameters, max_multiply_adds, max_latency_ms; "
            "got none",
        ),
        (
            "pruning: {method: channels, keep: 0.5, max_parameters: 9}",
            "pruning by channels needs exactly one of keep, max_parameters, max_multiply_adds, max_latency_ms; "
            "got keep and max_parameters",
        ),
        (
            "pruning: {early_stopping: 3}",
            "pruning.early_stopping cannot go with a schedule of zeros: the best weights may be unpruned ones",
        ),
        (
            "pruning: {scope: global, budgets: {a: 0.5}}",
            "pruning.budgets are for each layer on its own: leave pruning.scope at layer",
        ),
        ("pruning: {method: n_of_m, pattern: [4, 4]}", "pruning.pattern keeps n of m weights, n below m; got [4, 4]"),
        ("quantization: {weight_bits: 2}", "quantization.weight_bits must be 8 or 4; got 2"),
        (
            "quantization: {weight_bits: 4, activation_bits: 16}",
            "quantization.weight_bits 4 cannot go with quantization.activation_bits 16: LiteRT has no such kernels",
        ),
        (
            "quantization: {epochs: 2, moving_epochs: 3}",
            "quantization.moving_epochs 3 is more than quantization.epochs 2",
        ),
        (
            "quantization: {skip: logits}",
            "quantization.skip must be a list of layer names or patterns such as [block_1_*]; got 'logits'",
        ),
        (
            "quantization: {engine: tfmot, ema: 0.99}",
            "quantization.ema is not read by engine tfmot, only by tfkit",
        ),
        (
            "quantization: {}\ndistillation: {alpha: 0}",
            "distillation.alpha is 0 and distillation.features is empty: the teacher would teach nothing",
        ),
        (
            "distillation: {}",
            "distillation: this run's float model would teach nobody: it needs one of pruning:, quantization:",
        ),
        (
            "pruning: {}\ndistillation: {feature_maps: 1.0}",
            "distillation.feature_maps needs pruning.method channels: it compares channels with themselves",
        ),
        (
            "pruning: {method: channels, keep: 0.5}\ndistillation: {feature_maps: 1.0, teacher: x}",
            "distillation.feature_maps needs this run's own float model as the teacher: leave out teacher",
        ),
        (
            "distillation: {features: [{student: a}], teacher: x}",
            "distillation.features must be a list of {student: LAYER, teacher: LAYER, weight: a number above 0}; "
            "got [{'student': 'a'}]",
        ),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_told(sections: str, fault: str, tmp_path: Path) -> None:
    faults = [told.rsplit(" (mine.yaml", 1)[0] for told in faults_of(sections, tmp_path)]
    assert fault in faults


def test_tfmot_makes_the_int8_file_only(tmp_path: Path) -> None:
    told = faults_of("quantization: {engine: tfmot}\nexport: {formats: [saved_model, tflite_int8]}", tmp_path)
    assert told == ["engine tfmot makes the int8 file only: say export.formats: [tflite_int8] (mine.yaml:6)"]
    assert faults_of("quantization: {engine: tfmot}\nexport:", tmp_path)[0].startswith("engine tfmot makes the int8")


def test_all_faults_of_all_sections_are_told_at_once(tmp_path: Path) -> None:
    sections = (
        "pruning: {method: channels}\nquantization: {weight_bits: 4, activation_bits: 16}\ndistillation: {alpha: 2}"
    )
    told = faults_of(sections, tmp_path, "quantization.moving_epochs=9")
    assert len(told) == 4 and any("(command line)" in fault for fault in told)


def test_sections_give_the_library_what_it_takes(tmp_path: Path) -> None:
    import inspect
    from dataclasses import fields

    from tfkit.compression import PruningSettings, QuantizationPolicy, distiller
    from tfkit.stages import prune, quantize
    from tfkit.training import train_on
    from tfkit.training.options import StepOptions

    config = load("pruning:\nquantization:\ndistillation:", tmp_path)
    assert set(config.pruning.pruning_options()) == {field.name for field in fields(PruningSettings)}
    assert set(config.quantization.policy_options()) == {field.name for field in fields(QuantizationPolicy)}
    assert set(config.distillation.distiller_options()) <= set(inspect.signature(distiller).parameters)
    shared = set(inspect.signature(train_on).parameters) | set(StepOptions.__annotations__)
    for section, stage in ((config.pruning, prune), (config.quantization, quantize)):
        assert set(section.learning_options()) <= shared | set(inspect.signature(stage).parameters)
