"""Rules between keys of a recipe, which a single key's type cannot tell."""

from collections.abc import Mapping

from tfkit.config.compression_rules import broken_compression_rules
from tfkit.config.faults import Places
from tfkit.config.task_section import broken_task_rules
from tfkit.config.yaml_document import KeyPath, Tree

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
