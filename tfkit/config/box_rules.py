"""Rules between `task: {kind: detection}` and the other sections of a recipe."""

from tfkit.config.mask_rules import NOT_OF_PARTS, value_at
from tfkit.config.yaml_document import KeyPath, Tree

_OF_BOXES = ("image_folder", "shapes")
_STRIDE = 32  # of the coarsest map: see `tfkit.models.build_detector`
_MOVES = ("none", "light")


def detection_rules(tree: Tree, section: Tree) -> list[tuple[KeyPath, str]]:
    """Of boxes."""
    broken: list[tuple[KeyPath, str]] = []
    source = value_at(tree, ("data", "source"))
    if source is not None and source not in _OF_BOXES:
        told = f"data.source {source} has no boxes; task.kind detection takes {', '.join(_OF_BOXES)}"
        broken.append((("data", "source"), told))
    for name, what in (("classes", "the data name their classes"), ("label_columns", "it is for tables")):
        if section.get(name):
            broken.append((("task", name), f"task.{name} is not read of kind detection: {what}"))
    if tree.get("head") is not None:
        told = "head: trains one layer on pooled features; of task.kind detection the detector learns in fine_tune:"
        broken.append((("head",), told))
    if (mixing := value_at(tree, ("augmentation", "mixing"))) is not None:
        broken.append((("augmentation", "mixing"), f"augmentation.mixing {mixing} does not know boxes; leave it out"))
    if (policy := value_at(tree, ("augmentation", "policy"))) is not None and policy not in _MOVES:
        told = f"augmentation.policy {policy} does not move boxes with their pixels; expected none or light"
        broken.append((("augmentation", "policy"), told))
    if (resize := value_at(tree, ("data", "resize"))) != "stretch":
        told = f"data.resize is {resize or 'crop'}; expected stretch: boxes are shares of the whole picture"
        broken.append((("data",) if resize is None else ("data", "resize"), told))
    size = value_at(tree, ("data", "image_size"))
    sides = size if isinstance(size, list) else [size]
    if any(isinstance(side, int) and (side % _STRIDE or side != sides[0]) for side in sides):
        told = f"data.image_size is {size}; a detector takes squares whose side is a multiple of {_STRIDE}, such as 320"
        broken.append((("data", "image_size"), told))
    for path, nothing, why in NOT_OF_PARTS:
        if (value := value_at(tree, path)) is not None and value != nothing:
            broken.append((path, f"{'.'.join(map(str, path))} {why}; task.kind is detection"))
    return broken
