"""Every config that comes with tfkit loads, and opens with what its reader needs to know."""

import inspect
import re
from pathlib import Path

import pytest
import tfkit._recipes
import yaml

from tfkit.config import RecipeConfig, TextRecipeConfig, dump_recipe, load_recipe
from tfkit.config.faults import section_types

CONFIGS = sorted((Path(tfkit._recipes.__file__).parent / "configs").glob("*/*.yaml"))
WHOLE = [path for path in CONFIGS if "recipe: continue" not in path.read_text()]  # those that need no earlier run


def test_the_promised_configs_are_there() -> None:
    names = {path.stem for path in CONFIGS}
    assert names >= {
        "digits_base",
        "digits",
        "digits_continue",
        "image_folder",
        "hymenoptera",
        "oxford_flowers",
        "cifar10_resnet8",
        "cifar10_resnet8_int8",
        "hymenoptera_int8",
        "oxford_flowers_small",
        "beans",
        "tf_flowers",
        "text_table",
        "image_labels",
        "image_numbers",
        "segment_shapes",
        "segment_folder",
        "text_labels",
        "text_numbers",
    }


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_config_loads_and_its_resolved_form_loads_to_the_same(path: Path, tmp_path: Path) -> None:
    config = load_recipe(path)
    resolved = tmp_path / "recipe.yaml"
    resolved.write_text(dump_recipe(config))
    assert load_recipe(resolved) == config.model_copy(update={"tune": None})


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_opens_with_what_it_is_how_to_run_it_and_what_it_costs(path: Path) -> None:
    lines = path.read_text().splitlines()
    opening = "\n".join(
        line
        for line in lines[: next(place for place, line in enumerate(lines) if line.startswith("recipe: "))]
        if line.startswith("#")
    )
    assert lines[0].startswith("# ") and len(lines[0]) <= 66, "one line, for tfkit recipes list"
    assert f"tfkit run {path.stem}" in opening or f"tfkit recipes copy {path.stem}" in opening
    assert re.search(r"Cost: ", opening) and re.search(r"\bexpect\b", opening)
    assert max(len(line) for line in lines) <= 120


def test_plain_yaml_readers_understand_the_configs_too() -> None:
    for path in WHOLE:
        config = load_recipe(path)
        rate = yaml.safe_load(path.read_text()).get("fine_tune", {}).get("learning_rate", 0.0)
        assert isinstance(rate, float), f"{path.name}: write 1.0e-3, which YAML 1.1 reads as a number too"
        fine_tune = getattr(config, "fine_tune", None)
        assert fine_tune is None or fine_tune.learning_rate == rate


@pytest.mark.parametrize(("template", "kind"), [("image_folder", RecipeConfig), ("text_table", TextRecipeConfig)])
def test_the_configs_to_copy_explain_every_key(
    template: str, kind: type[RecipeConfig] | type[TextRecipeConfig]
) -> None:
    (path,) = (path for path in CONFIGS if path.stem == template)
    # Only other sources' keys are left out of the images': their own configs show them.
    other_sources = {"data.name", "data.train", "data.validation", "data.test"} if kind is RecipeConfig else set()
    text = path.read_text()
    missing = []
    for name, section in section_types(kind).items():
        (begin,) = (found.end() for found in re.finditer(rf"^(?:# )?{name}:", text, re.MULTILINE))
        block = re.split(r"\n(?:# )?[a-z_]+:", text[begin:], maxsplit=1)[0]
        missing += [f"{name}.{key}" for key in section.model_fields if f"{key}:" not in block]
    assert set(missing) <= other_sources


@pytest.mark.parametrize("template", ["image_folder", "text_table"])
def test_the_defaults_shown_behind_a_sign_are_the_defaults(template: str) -> None:
    (path,) = (path for path in CONFIGS if path.stem == template)
    kind = type(load_recipe(path))
    examples = {
        "classes",
        "input_mean",
        "input_range",
        "input_std",
        "labels_per_class",
        "name",
        "run",
        "space",
        "synonyms",
        "weights",
    }  # what has no default to show, or shows a use
    wrong = []
    section = ""
    for line in path.read_text().splitlines():
        if found := re.match(r"(?:# )?([a-z_]+):(?: |$)", line):
            section = found[1]
        elif (found := re.match(r"#?  +(?:# )?([a-z_]+): ([^#]*)", line)) and line.lstrip().startswith("#"):
            field = section_types(kind)[section].model_fields[found[1]]
            default = field.get_default()
            shown = yaml.safe_load(found[2])
            if found[1] not in examples and str(default) != str(shown) and list(default or ()) != list(shown or ()):
                wrong.append(f"{section}.{found[1]}: {shown}, but the default is {default}")
    assert not wrong


def test_the_data_section_gives_the_loader_what_it_takes() -> None:
    from tfkit.data import load_image_splits
    from tfkit.data.text import load_text_splits

    # A table's column that says which split a row is of has no key: recipes name a file for each split.
    for name, load in (("digits", load_image_splits), ("intents_small", load_text_splits)):
        config = load_recipe(next(path for path in CONFIGS if path.stem == name))
        taken = set(inspect.signature(load).parameters)
        others = {"seed", "progress", "targets", "split_column", "least_classes"}
        assert set(config.data.loading_options()) == taken - others
