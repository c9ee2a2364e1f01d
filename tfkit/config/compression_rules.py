"""Rules between the keys of `pruning:`, `quantization:`, `distillation:` and the sections around them."""

import json

from tfkit.config.compression_sections import (
    CHANNEL_BUDGETS,
    NOT_OF_TFMOT,
    PRUNING_KEYS,
    PruningSection,
    QuantizationSection,
)
from tfkit.config.faults import Places
from tfkit.config.section import Section
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
