"""Rules between keys of a recipe for texts."""

from tfkit.config.faults import Places
from tfkit.config.rules import fraction_rules, source_rules
from tfkit.config.task_section import broken_task_rules
from tfkit.config.text_compression_sections import STUDENT_KEYS
from tfkit.config.yaml_document import KeyPath, Tree

_FILES = ("csv", "tsv", "jsonl")
_NEEDED = {**{source: ("train",) for source in _FILES}, "tfds": ("name",)}
# With method head the backbone only gives features, once: these keys would change nothing.
_NOT_OF_HEAD = {"layer_decay": None, "adversarial": None, "r_drop": None, "average_runs": 1, "precision": "float32"}
_READ_BY = {
    "directory": (*_FILES, "tfds"),
    "name": ("tfds",),
    "train": _FILES,
    "validation": _FILES,
    "test": _FILES,
    "separator": ("csv", "tsv"),
}


def broken_text_rules(tree: Tree, at_fault: set[KeyPath], places: Places) -> list[str]:
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
    augmentation = tree.get("augmentation")
    if isinstance(augmentation, dict) and augmentation.get("synonyms") and not augmentation.get("word_vectors"):
        place = places.of(("augmentation", "synonyms"))
        sentences.append(f"augmentation.synonyms needs augmentation.word_vectors, a file of word vectors {place}")
    sentences += broken_task_rules(tree, at_fault, places)
    return sentences + _fine_tune_rules(tree, at_fault, places) + _smaller_rules(tree, at_fault, places)


def _fine_tune_rules(tree: Tree, at_fault: set[KeyPath], places: Places) -> list[str]:
    section = tree.get("fine_tune")
    if not isinstance(section, dict) or section.get("method") != "head":
        return []
    said = [name for name, default in _NOT_OF_HEAD.items() if section.get(name, default) != default]
    return [
        f"fine_tune.{name} does nothing with method head, which trains on features computed once; "
        f"choose another method {places.of(('fine_tune', name))}"
        for name in said
        if ("fine_tune", name) not in at_fault
    ]


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
        if pruning is None and tree.get("quantization") is None:
            sentence = "distillation: the float model would teach nobody: it needs pruning: or quantization:"
            broken.append((("distillation",), sentence))
        if hidden and not cut:
            sentence = f"distillation.hidden_states needs one of {', '.join(STUDENT_KEYS)} in pruning:"
            broken.append((("distillation", "hidden_states"), sentence))
        if teaching.get("alpha") == 0 and not (hidden and tree.get("quantization") is None):
            sentence = "distillation.alpha is 0: the teacher would teach nothing"
            broken.append((("distillation", "alpha"), sentence))
    return [f"{told} {places.of(path)}" for path, told in broken if not {path, path[:1]} & at_fault]
