"""Rules between keys of a recipe, which a single key's type cannot tell."""

import json
from collections.abc import Mapping

from tfkit.config.compression_sections import (
    CHANNEL_BUDGETS,
    NOT_OF_TFMOT,
    PRUNING_KEYS,
    PruningSection,
    QuantizationSection,
)
from tfkit.config.faults import Places
from tfkit.config.task_section import broken_task_rules
from tfkit.config.text_sections import STUDENT_KEYS, TextFineTuneSection
from tfkit.config.training_sections import GRADIENT_KEYS, GRADIENT_KEYS_OF_HEAD, HeadSection, Section
from tfkit.config.yaml_document import KeyPath, Plain, Tree


def broken_compression_rules(tree: Tree, at_fault: set[KeyPath], places: Places) -> list[str]:
    """Sentences for every rule about compression that the recipe breaks; arguments as of `broken_rules`."""
    rules = (_pruning_rules, _quantization_rules, _tfmot_rules, _distillation_rules)
    return [
        f"{sentence} {places.of(path)}"
        for rule in rules
        for path, sentence in rule(tree)
        if path not in at_fault and path[:1] not in at_fault
    ]


def _pruning_rules(tree: Tree) -> list[tuple[KeyPath, str]]:
    pruning = _section(tree, "pruning")
    if pruning is None:
        return []
    method = str(pruning.get("method", "magnitude"))
    broken: list[tuple[KeyPath, str]] = [
        (("pruning", name), f"pruning.{name} is not read by method {method}, only by {', '.join(methods)}")
        for name, methods in PRUNING_KEYS.items()
        if method not in methods and _is_set(pruning, PruningSection, name)
    ]
    if method == "channels":
        given = [name for name in CHANNEL_BUDGETS if pruning.get(name) is not None]
        if len(given) != 1:
            said = f"got {' and '.join(given)}" if given else "got none"
            broken.append(
                (("pruning",), f"pruning by channels needs exactly one of {', '.join(CHANNEL_BUDGETS)}; {said}")
            )
    elif pruning.get("early_stopping") is not None:
        sentence = "pruning.early_stopping cannot go with a schedule of zeros: the best weights may be unpruned ones"
        broken.append((("pruning", "early_stopping"), sentence))
    if method == "magnitude" and pruning.get("scope") == "global" and pruning.get("budgets") is not None:
        broken.append(
            (("pruning", "budgets"), "pruning.budgets are for each layer on its own: leave pruning.scope at layer")
        )
    pattern = pruning.get("pattern")
    pair = _pair_of_numbers(pattern)
    if method == "n_of_m" and pair is not None and pair[0] >= pair[1]:
        broken.append((("pruning", "pattern"), f"pruning.pattern keeps n of m weights, n below m; got {pattern}"))
    return broken


def _quantization_rules(tree: Tree) -> list[tuple[KeyPath, str]]:
    quantization = _section(tree, "quantization")
    if quantization is None:
        return []
    broken: list[tuple[KeyPath, str]] = []
    if quantization.get("weight_bits") == 4 and quantization.get("activation_bits") == 16:
        sentence = (
            "quantization.weight_bits 4 cannot go with quantization.activation_bits 16: LiteRT has no such kernels"
        )
        broken.append((("quantization", "weight_bits"), sentence))
    moving, epochs = quantization.get("moving_epochs"), quantization.get("epochs", 3)
    if isinstance(moving, int) and isinstance(epochs, int) and moving > epochs:
        sentence = f"quantization.moving_epochs {moving} is more than quantization.epochs {epochs}"
        broken.append((("quantization", "moving_epochs"), sentence))
    return broken


def _tfmot_rules(tree: Tree) -> list[tuple[KeyPath, str]]:
    quantization = _section(tree, "quantization")
    if quantization is None or quantization.get("engine") != "tfmot":
        return []
    broken: list[tuple[KeyPath, str]] = [
        (("quantization", name), f"quantization.{name} is not read by engine tfmot, only by tfkit")
        for name in NOT_OF_TFMOT
        if _is_set(quantization, QuantizationSection, name)
    ]
    formats = (_section(tree, "export") or {}).get("formats", ["tflite_int8"] if tree.get("export") is None else None)
    if formats != ["tflite_int8"]:
        sentence = "engine tfmot makes the int8 file only: say export.formats: [tflite_int8]"
        broken.append((("export", "formats"), sentence))
    if _section(tree, "distillation") is not None and _section(tree, "pruning") is None:
        broken.append((("distillation",), "distillation: is not read by engine tfmot"))
    return broken


def _distillation_rules(tree: Tree) -> list[tuple[KeyPath, str]]:
    distillation = _section(tree, "distillation")
    if distillation is None:
        return []
    broken: list[tuple[KeyPath, str]] = []
    stages = (
        ["pruning", "quantization"] if distillation.get("teacher") is None else ["fine_tune", "pruning", "quantization"]
    )
    if all(tree.get(name) is None for name in stages):
        teacher = "this run's float model" if distillation.get("teacher") is None else "the teacher"
        needed = ", ".join(f"{name}:" for name in stages)
        broken.append((("distillation",), f"distillation: {teacher} would teach nobody: it needs one of {needed}"))
    if distillation.get("alpha") == 0 and not distillation.get("features"):
        sentence = "distillation.alpha is 0 and distillation.features is empty: the teacher would teach nothing"
        broken.append((("distillation", "alpha"), sentence))
    if distillation.get("feature_maps"):
        pruning = _section(tree, "pruning")
        if pruning is None or pruning.get("method") != "channels":
            sentence = "distillation.feature_maps needs pruning.method channels: it compares channels with themselves"
            broken.append((("distillation", "feature_maps"), sentence))
        if distillation.get("features"):
            sentence = "distillation.feature_maps and distillation.features cannot go together: leave out one"
            broken.append((("distillation", "feature_maps"), sentence))
        if distillation.get("teacher") is not None:
            sentence = "distillation.feature_maps needs this run's own float model as the teacher: leave out teacher"
            broken.append((("distillation", "feature_maps"), sentence))
    return broken


def _section(tree: Tree, name: str) -> Tree | None:
    section = tree.get(name)
    return section if isinstance(section, dict) else None


def _is_set(section: Tree, kind: type[Section], name: str) -> bool:
    """Whether a key differs from its default: a resolved recipe says every key."""
    if name not in section:
        return False
    default = json.loads(json.dumps(kind.model_fields[name].default))
    return bool(section[name] != default)


def _pair_of_numbers(value: Plain) -> tuple[int, int] | None:
    numbers = [part for part in value if isinstance(part, int)] if isinstance(value, list) and len(value) == 2 else []
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None


# What each source cannot do without, and what only some of them read.
_NEEDED = {
    "image_folder": ("directory",),
    "npz": ("train", "directory"),  # the directory may be the one file that holds everything
    "csv": ("train", "directory"),
    "tfds": ("name",),
}
_READ_BY = {
    "directory": ("image_folder", "npz", "csv", "tfds"),
    "name": ("tfds",),
    "train": ("npz", "csv"),
    "validation": ("npz", "csv"),
    "test": ("npz", "csv"),
}


def broken_rules(tree: Tree, at_fault: set[KeyPath], places: Places) -> list[str]:
    """Sentences for every rule that the recipe breaks.

    Args:
        tree: The recipe's plain values, valid or not.
        at_fault: Keys already told to be wrong; rules about them are left out.
        places: Where the values stand.

    Returns:
        The sentences; empty when all rules hold.
    """
    sentences = []
    data = tree.get("data")
    if isinstance(data, dict) and ("data", "source") not in at_fault:
        sentences += source_rules(data, places, needed=_NEEDED, read_by=_READ_BY) + fraction_rules(data, places)
    if tree.get("head") is None and tree.get("fine_tune") is None:
        sentences.append(f"nothing would be trained: give the recipe a head: or a fine_tune: section {places.of(())}")
    sentences += broken_task_rules(tree, at_fault, places)
    sentences += _not_read_by_lbfgs(tree, at_fault, places, "head", HeadSection, GRADIENT_KEYS_OF_HEAD)
    sentences += _not_read_by(tree, at_fault, places, method="lora", keys=_NOT_OF_LORA, why=_WHY_NOT_OF_LORA)
    return sentences + broken_compression_rules(tree, at_fault, places)


def source_rules(
    data: Tree,
    places: Places,
    *,
    needed: Mapping[str, tuple[str, ...]],
    read_by: Mapping[str, tuple[str, ...]],
) -> list[str]:
    """What a source cannot do without, and what it does not read."""
    source = data.get("source")
    sentences = []
    keys = needed.get(str(source), ())
    if keys and all(data.get(key) is None for key in keys):
        place = places.of(("data",))
        sentences.append(f"data.{keys[0]} is missing; source {source} needs it (or say data.{keys[0]}=...) {place}")
    for key, sources in read_by.items():
        if data.get(key) is not None and source not in sources:
            place = places.of(("data", key))
            sentences.append(f"data.{key} is not read by source {source}, only by {', '.join(sources)} {place}")
    return sentences


def fraction_rules(data: Tree, places: Places) -> list[str]:
    """Whether the shares that are split off leave anything to train on."""
    said = [data.get(key, 0.0) for key in ("validation_fraction", "test_fraction")]
    total = sum(share for share in said if isinstance(share, float | int) and 0 <= share < 1)
    if total < 1:
        return []
    place = places.of(("data", "test_fraction"))
    return [f"data.validation_fraction + data.test_fraction must be below 1; got {total:g} {place}"]


_FILES = ("csv", "tsv", "jsonl")
_NEEDED_OF_TEXTS = {**{source: ("train",) for source in _FILES}, "tfds": ("name",)}
# With method head the backbone only gives features, once: these keys would change nothing.
_NOT_OF_HEAD = {"layer_decay": None, "adversarial": None, "r_drop": None, "average_runs": 1, "precision": "float32"}
_WHY_NOT_OF_HEAD = "which trains on features computed once; choose another method"
# Of images: what of the backbone learns is said by the method alone.
_NOT_OF_LORA = {"unfreeze": "all", "batch_norm": "frozen"}
_WHY_NOT_OF_LORA = "which freezes all of the backbone but its updates; leave it at {default}"
_READ_BY_TEXTS = {
    "directory": (*_FILES, "tfds"),
    "name": ("tfds",),
    "train": _FILES,
    "validation": _FILES,
    "test": _FILES,
    "separator": ("csv", "tsv"),
}


def broken_text_rules(tree: Tree, at_fault: set[KeyPath], places: Places) -> list[str]:
    """As `broken_rules`, for a recipe of texts."""
    sentences = []
    data = tree.get("data")
    if isinstance(data, dict) and ("data", "source") not in at_fault:
        sentences += source_rules(data, places, needed=_NEEDED_OF_TEXTS, read_by=_READ_BY_TEXTS)
        sentences += fraction_rules(data, places)
    augmentation = tree.get("augmentation")
    if isinstance(augmentation, dict) and augmentation.get("synonyms") and not augmentation.get("word_vectors"):
        place = places.of(("augmentation", "synonyms"))
        sentences.append(f"augmentation.synonyms needs augmentation.word_vectors, a file of word vectors {place}")
    sentences += broken_task_rules(tree, at_fault, places)
    sentences += _not_read_by(tree, at_fault, places, method="head", keys=_NOT_OF_HEAD, why=_WHY_NOT_OF_HEAD)
    sentences += _solver_rules(tree, at_fault, places)
    return sentences + _smaller_rules(tree, at_fault, places)


def _not_read_by(
    tree: Tree, at_fault: set[KeyPath], places: Places, *, method: str, keys: Mapping[str, Plain], why: str
) -> list[str]:
    """Keys of `fine_tune` that say something, though its method does not read them."""
    section = tree.get("fine_tune")
    if not isinstance(section, dict) or section.get("method") != method:
        return []
    said = {name: default for name, default in keys.items() if section.get(name, default) != default}
    return [
        f"fine_tune.{name} does nothing with method {method}, {why.format(default=default)} "
        f"{places.of(('fine_tune', name))}"
        for name, default in said.items()
        if ("fine_tune", name) not in at_fault
    ]


def _not_read_by_lbfgs(
    tree: Tree, at_fault: set[KeyPath], places: Places, name: str, kind: type[Section], keys: tuple[str, ...]
) -> list[str]:
    """Keys of gradient steps that say something beside `solver: lbfgs`."""
    section = _section(tree, name)
    if section is None or section.get("solver") != "lbfgs":
        return []
    return [
        f"{name}.{key} does nothing with {name}.solver lbfgs, which fits to the end; leave it out, or say gradient "
        f"{places.of((name, key))}"
        for key in keys
        if (name, key) not in at_fault and _is_set(section, kind, key)
    ]


def _solver_rules(tree: Tree, at_fault: set[KeyPath], places: Places) -> list[str]:
    """Of `fine_tune.solver` of texts."""
    tune = _section(tree, "fine_tune")
    if tune is None or ("fine_tune", "solver") in at_fault or tune.get("solver", "auto") == "auto":
        return []
    if tune.get("method", "all") != "head":
        place = places.of(("fine_tune", "solver"))
        return [f"fine_tune.solver is not read by method {tune.get('method', 'all')}, only by head {place}"]
    return _not_read_by_lbfgs(tree, at_fault, places, "fine_tune", TextFineTuneSection, GRADIENT_KEYS)


def _smaller_rules(tree: Tree, at_fault: set[KeyPath], places: Places) -> list[str]:
    """Of `pruning` and `distillation`."""
    broken: list[tuple[KeyPath, str]] = []
    pruning, teaching = tree.get("pruning"), tree.get("distillation")
    cut = isinstance(pruning, dict) and any(pruning.get(name) is not None for name in STUDENT_KEYS)
    if isinstance(pruning, dict) and not cut and pruning.get("sparsity") is None:
        needed = ", ".join((*STUDENT_KEYS, "sparsity"))
        broken.append((("pruning",), f"pruning: takes nothing away: it needs one of {needed}"))
    if isinstance(pruning, dict) and None not in (pruning.get("sparsity"), pruning.get("early_stopping")):
        sentence = "pruning.early_stopping cannot go with pruning.sparsity: the best weights may be unpruned ones"
        broken.append((("pruning", "early_stopping"), sentence))
    if isinstance(teaching, dict):
        hidden = teaching.get("hidden_states", 0)
        broken += _teacher_rules(tree, teaching)
        if hidden and not cut:
            sentence = f"distillation.hidden_states needs one of {', '.join(STUDENT_KEYS)} in pruning:"
            broken.append((("distillation", "hidden_states"), sentence))
        if teaching.get("alpha") == 0 and not (hidden and tree.get("quantization") is None):
            sentence = "distillation.alpha is 0: the teacher would teach nothing"
            broken.append((("distillation", "alpha"), sentence))
    return [f"{told} {places.of(path)}" for path, told in broken if not {path, path[:1]} & at_fault]


def _teacher_rules(tree: Tree, teaching: Tree) -> list[tuple[KeyPath, str]]:
    """Of `distillation.teacher` of texts; a named one teaches `fine_tune` too, unless features are computed once."""
    broken: list[tuple[KeyPath, str]] = []
    tune, is_named = _section(tree, "fine_tune") or {}, teaching.get("teacher") is not None
    teaches_tuning = is_named and tune.get("method") != "head"
    if not teaches_tuning and tree.get("pruning") is None and tree.get("quantization") is None:
        teacher, further = ("the teacher", ", or fine_tune.method all") if is_named else ("the float model", "")
        sentence = f"distillation: {teacher} would teach nobody: it needs pruning: or quantization:{further}"
        broken.append((("distillation",), sentence))
    if is_named and teaching.get("hidden_states"):
        sentence = "distillation.hidden_states needs this run's own float model as the teacher: leave out teacher"
        broken.append((("distillation", "hidden_states"), sentence))
    if teaches_tuning:
        broken += [
            (("fine_tune", name), f"fine_tune.{name} cannot go with distillation.teacher, which changes the loss too")
            for name in ("layer_decay", "adversarial", "r_drop")
            if tune.get(name) is not None
        ]
    return broken


_MEANINGLESS = ("class_weights", "label_smoothing")


def broken_embedding_rules(tree: Tree, at_fault: set[KeyPath], places: Places) -> list[str]:
    """Sentences for every rule that the recipe breaks; see `broken_text_rules`."""
    sentences = broken_text_rules(tree, at_fault, places)
    data, fine_tune = tree.get("data"), tree.get("fine_tune")
    if isinstance(data, dict) and data.get("validation_fraction") == 0 and not data.get("validation"):
        place = places.of(("data", "validation_fraction"))
        sentences.append(f"data.validation_fraction must be more than 0: the confidence is calibrated there {place}")
    for name in _MEANINGLESS:
        if isinstance(fine_tune, dict) and fine_tune.get(name):
            place = places.of(("fine_tune", name))
            sentences.append(f"fine_tune.{name} means nothing to pairs of texts; leave it out {place}")
    return sentences
