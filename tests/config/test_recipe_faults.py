import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tfkit.config import EmbeddingRecipeConfig, RecipeConfig, TextRecipeConfig, load_recipe
from tfkit.errors import ConfigError

GOOD = """\
recipe: finetune_image
data: {source: digits}
head:
  epochs: 3
"""


def faults_of(text: str, folder: Path, *overrides: str) -> list[str]:
    path = folder / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_recipe(path, overrides)
    lines = str(caught.value).splitlines()
    return [line.strip() for line in (lines[1:] if len(lines) > 1 else lines)]


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        (
            "run: {name: a/b}",
            "run.name must be a folder name without slashes, line breaks or outer blanks, not '.' or '..'; got 'a/b'",
        ),
        ("run: {seed: -1}", "run.seed must be a whole number in [0, 4294967295]; got -1"),
        ("augmentation: {policy: lite}", "augmentation.policy must be 'none', 'light' or 'rand_augment'; got 'lite'"),
        ("model: {dropout: 1}", "model.dropout must be a number in [0, 1); got 1"),
        ("model: {width: .nan}", "model.width must be a number above 0; got nan"),
        ("fine_tune: {epochs: '3'}", "fine_tune.epochs must be a whole number of 1 or more; got '3'"),
        ("fine_tune: {epochs: 2.5}", "fine_tune.epochs must be a whole number of 1 or more; got 2.5"),
        (
            "fine_tune: {unfreeze: 1.5}",
            "fine_tune.unfreeze must be 'all', a fraction in [0, 1] or a layer's name; got 1.5",
        ),
        (
            "fine_tune: {epochs: 99999999999}",
            "fine_tune.epochs must be a whole number of 1 or more, at most 1,000,000; got 99999999999",
        ),
        (
            "fine_tune: {learning_rate: 1.0e+300}",
            "fine_tune.learning_rate must be a number above 0, at most 3.4e+38; got 1e+300",
        ),
        (
            "fine_tune: {learning_rate: 1.0e-300}",
            "fine_tune.learning_rate must be a number above 0, at least 1.2e-38; got 1e-300",
        ),
        (
            "model: {backbone: ~no-such-user/x}",
            "model.backbone must be a backbone's name, a keras-hub preset, a file or an earlier run's folder; "
            "got '~no-such-user/x'",
        ),
        (
            'model: {weights: "a\\nb"}',
            r"model.weights must be 'imagenet', 'random', a weights file or null; got 'a\nb'",
        ),
        ("fine_tune: {jit: maybe}", "fine_tune.jit must be 'auto', true or false; got 'maybe'"),
        ("fine_tune: {ema: true}", "fine_tune.ema must be a number in (0, 1), or null; got true"),
        (
            "fine_tune: {class_weights: {ants: 0}}",
            "fine_tune.class_weights must be 'balanced', null or {class name: weight above 0, ...}; got {'ants': 0}",
        ),
        (
            "model: 3",
            "model must be a section of keys (backbone, weights, custom_objects, input_range, input_mean, input_std, "
            "input_channels, width, pooling, dropout, l2, decoder_channels); got 3",
        ),
        ("exprt: {}", "exprt is not a section; did you mean export?"),
        ("fine_tune: {optimiser: adam}", "fine_tune.optimiser is not a known key; did you mean optimizer?"),
    ],
)
def test_a_wrong_key_is_told_with_what_it_must_be_and_its_line(section: str, fault: str, tmp_path: Path) -> None:
    assert faults_of(GOOD + section + "\n", tmp_path) == [f"{fault} (mine.yaml:5)"]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD + "model: {dropout: 2, bacbone: x}\nexport: {formats: [tflite]}\nquantisation: {}\n"
    faults = faults_of(text, tmp_path, "head.epochs=0", "data.source=npz", "nonsense")
    assert {fault.split(" ")[0] for fault in faults} == {
        "model.dropout",
        "model.bacbone",
        "export.formats",
        "quantisation",
        "head.epochs",
        "data.train",
        "'nonsense'",
    }


def test_a_fault_of_an_override_says_that_it_came_from_the_command_line(tmp_path: Path) -> None:
    assert faults_of(GOOD, tmp_path, "head.epochs=0") == [
        "head.epochs must be a whole number of 1 or more; got 0 (command line)"
    ]


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("epochs=3", "epochs needs its section: head.epochs (command line)"),
        ("heda.epochs=3", "heda is not a section; did you mean head? (command line)"),
        ("recipe.name=3", "recipe.name cannot be set, because recipe is not a section (command line)"),
        ("head.epochs", "'head.epochs' must be section.key=value, such as head.epochs=3 (command line)"),
        ("head=null", "nothing would be trained: give the recipe a head: or a fine_tune: section (mine.yaml)"),
    ],
)
def test_an_impossible_override_is_told(override: str, fault: str, tmp_path: Path) -> None:
    assert faults_of(GOOD, tmp_path, override) == [fault]


def test_an_override_that_is_no_yaml_is_told(tmp_path: Path) -> None:
    (fault,) = faults_of(GOOD, tmp_path, "data.classes=[a, b")
    assert fault.startswith("data.classes: '[a, b' is not valid YAML") and fault.endswith("(command line)")


def test_a_key_that_stands_twice_is_a_fault(tmp_path: Path) -> None:
    assert faults_of(GOOD + "  epochs: 4\n", tmp_path) == [
        "head.epochs stands twice; first in line 4 (mine.yaml:5)",
    ]


def test_broken_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    (fault,) = faults_of("recipe: finetune_image\ndata: {source: digits\nhead: {}\n", tmp_path)
    assert "not valid YAML" in fault and "mine.yaml:3" in fault


GROWING = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "fault", "most_calls"),
    [
        (GROWING, "more than 10,000 values (mine.yaml:5)", 20_000),
        ("zzz: [" + "x," * 40_000 + "]\n", "more than 10,000 values (mine.yaml:1)", 2_000_000),
        ("zzz: " + "[" * 900 + "]" * 900 + "\n", "more than 16 deep in one another (mine.yaml:1)", 40_000),
        (
            "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 99)),
            "more than 16 deep in one another (mine.yaml:1)",
            100_000,
        ),
    ],
    ids=["aliases of aliases", "a long list", "deep", "deep through aliases"],
)
def test_what_grows_is_refused_before_it_does(text: str, fault: str, most_calls: int, tmp_path: Path) -> None:
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        faults = faults_of(text, tmp_path)
    finally:
        sys.setprofile(None)
    assert any(fault in told for told in faults)
    assert calls < most_calls


@pytest.mark.parametrize("text", ["", "just words\n", "- a\n- b\n"])
def test_a_file_that_is_no_recipe_is_told(text: str, tmp_path: Path) -> None:
    (fault,) = faults_of(text, tmp_path)
    assert "a recipe is made of sections" in fault


def test_python_objects_in_yaml_are_refused(tmp_path: Path) -> None:
    (fault, *_) = faults_of(GOOD + "run: {name: !!python/object/apply:os.getcwd []}\n", tmp_path)
    assert "not valid YAML" in fault


def test_an_alias_inside_its_own_anchor_is_told(tmp_path: Path) -> None:
    faults = faults_of(GOOD + "export: &loop {formats: *loop}\n", tmp_path)
    assert any("alias" in fault for fault in faults)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("{source: image_folder}", "data.directory is missing; source image_folder needs it"),
        ("{source: tfds}", "data.name is missing; source tfds needs it"),
        ("{source: csv}", "data.train is missing; source csv needs it"),
        ("{source: digits, name: beans}", "data.name is not read by source digits, only by tfds"),
        (
            "{source: digits, validation_fraction: 0.6, test_fraction: 0.5}",
            "data.validation_fraction + data.test_fraction must be below 1; got 1.1",
        ),
    ],
)
def test_rules_between_keys_hold(data: str, fault: str, tmp_path: Path) -> None:
    (told,) = faults_of(f"recipe: finetune_image\ndata: {data}\nhead: {{}}\n", tmp_path)
    assert told.startswith(fault)


def test_a_missing_section_is_told(tmp_path: Path) -> None:
    assert faults_of("recipe: finetune_image\nhead: {}\n", tmp_path) == ["the section data: is missing (mine.yaml)"]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the recipe .*No such file"):
        load_recipe(tmp_path / "none.yaml")


def test_a_file_that_is_not_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load_recipe(path)


@pytest.mark.parametrize(
    "text",
    [
        "\x00\n",
        "run: {seed: !!int foo}\n",
        'run: {seed: !!int ""}\n',
        "run: {overwrite: !!bool maybe}\n",
        "run: {name: !!timestamp foo}\n",
        "run: {seed: " + "9" * 5000 + "}\n",
        'zzz: "\\ud800"\n',
        "zzz: " + "[" * 400 + "]" * 400 + "\n",
        "zzz: " + "[" * 3000 + "]" * 3000 + "\n",
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)),
        *(f"run: {{name: {name}}}\n" for name in (".", "..", '"a\\0b"', '"a\\nb"', '" "', "a" * 300)),
    ],
)
def test_what_no_recipe_can_hold_is_told_with_its_file(text, tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"odd\.yaml"):
        load_recipe(path)


def unbounded_numbers(schema: Any, name: str) -> list[str]:
    """Whole numbers of a recipe's JSON schema that may be as large as one likes."""
    if isinstance(schema, list):
        return [found for item in schema for found in unbounded_numbers(item, name)]
    if not isinstance(schema, dict):
        return []
    bounds = {"maximum", "exclusiveMaximum", "enum", "const"}
    own = [name] if schema.get("type") == "integer" and not bounds & set(schema) else []
    return [*own, *(found for key, item in schema.items() for found in unbounded_numbers(item, f"{name}.{key}"))]


@pytest.mark.parametrize("kind", [RecipeConfig, TextRecipeConfig, EmbeddingRecipeConfig])
def test_no_whole_number_of_a_recipe_is_without_end(kind: Any) -> None:
    """Column 1,000,000,000 and as many epochs of moving ranges were taken."""
    assert unbounded_numbers(kind.model_json_schema(), kind.__name__) == []


@pytest.mark.parametrize("number", ["1000000000", "-1"])
def test_a_column_that_no_table_has_is_told(number: str, tmp_path: Path) -> None:
    """They were taken for a column's name."""
    text = f"recipe: finetune_text\ndata: {{source: csv, train: t.csv, label_column: {number}}}\n"
    (fault,) = faults_of(text, tmp_path)
    assert "data.label_column must be a column's name" in fault and f"got {number} (" in fault


def test_an_image_size_that_no_machine_holds_is_told(tmp_path: Path) -> None:
    (fault,) = faults_of(GOOD, tmp_path, "data.image_size=1000000000")
    assert "data.image_size must be" in fault and "got 1000000000" in fault


def test_what_is_no_recipe_file_is_told_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "long.yaml").write_text("a: b\n" * 100_000)
    for name, reason in (("pipe.yaml", "it is a pipe"), ("long.yaml", "it has 500,000 bytes"), (".", "it is a folder")):
        with pytest.raises(ConfigError, match=f"cannot read the recipe .*{reason}"):
            load_recipe(tmp_path / name)


def test_thousands_of_faults_are_cut_short(tmp_path: Path) -> None:
    faults = faults_of(GOOD + "".join(f"key{number}: 1\n" for number in range(2000)), tmp_path)
    assert len(faults) == 21 and faults[-1] == "and 1980 more"
