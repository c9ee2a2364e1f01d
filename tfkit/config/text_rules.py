"""Rules between keys of a recipe for texts."""

from typing import Any

from tfkit.config.faults import Places
from tfkit.config.rules import fraction_rules, source_rules
from tfkit.config.yaml_document import KeyPath

_FILES = ("csv", "tsv", "jsonl")
_NEEDED = {**{source: ("train",) for source in _FILES}, "tfds": ("name",)}
_READ_BY = {
    "directory": (*_FILES, "tfds"),
    "name": ("tfds",),
    "train": _FILES,
    "validation": _FILES,
    "test": _FILES,
    "separator": ("csv", "tsv"),
}


def broken_text_rules(tree: dict[str, Any], at_fault: set[KeyPath], places: Places) -> list[str]:
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
    return sentences
