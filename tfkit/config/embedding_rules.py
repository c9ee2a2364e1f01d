"""Rules between keys of a recipe for sentence embeddings."""

from tfkit.config.faults import Places
from tfkit.config.text_rules import broken_text_rules
from tfkit.config.yaml_document import KeyPath, Tree

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
