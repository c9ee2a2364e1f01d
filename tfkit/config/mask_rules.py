"""Rules between `task: {kind: segmentation}` and the other sections of a recipe."""

from tfkit.config.yaml_document import KeyPath, Plain, Tree

_OF_MASKS = ("image_folder", "csv", "shapes")
# Keys that masks and boxes have no use for, with the value that does nothing, and why.
NOT_OF_PARTS: tuple[tuple[KeyPath, Plain, str], ...] = (
    (("data", "labels_per_class"), None, "needs one class an example"),
    (("model", "pooling"), None, "makes a vector of a map"),
    *(
        ((stage, "class_weights"), None, "weighs one class an example")
        for stage in ("fine_tune", "pruning", "quantization")
    ),
    (("quantization", "engine"), "tfkit", "knows classifiers alone"),
    (("fine_tune", "method"), "all", "is for a transformer's attention"),
)
_NOT_OF_MASKS = (
    (("data", "classes"), None, "keeps some classes of images; name those of masks in task.classes"),
    *NOT_OF_PARTS,
)
_DEFAULTS: dict[KeyPath, Plain] = {("task", "ignored"): [255], ("model", "decoder_channels"): 64}


def segmentation_rules(tree: Tree, section: Tree) -> list[tuple[KeyPath, str]]:
    """Of masks."""
    broken: list[tuple[KeyPath, str]] = []
    source = value_at(tree, ("data", "source"))
    if source is not None and source not in _OF_MASKS:
        told = f"data.source {source} has no masks; task.kind segmentation takes {', '.join(_OF_MASKS)}"
        broken.append((("data", "source"), told))
    if section.get("classes") is None and source in ("image_folder", "csv"):
        told = "task.classes is missing: the number or colour of each class in the masks, such as {sky: 0, road: 7}"
        broken.append((("task",), told))
    if section.get("classes") is not None and source == "shapes":
        broken.append((("task", "classes"), "task.classes is not read by source shapes, which names its own"))
    if section.get("label_columns"):
        broken.append((("task", "label_columns"), "task.label_columns is for kind multilabel or regression"))
    broken += _value_rules(section)
    if tree.get("head") is not None:
        told = "head: trains one layer on pooled features; of task.kind segmentation the decoder learns in fine_tune:"
        broken.append((("head",), told))
    if value_at(tree, ("augmentation", "mixing")) == "mixup":
        told = "augmentation.mixing mixup blends labels, and masks have no mean; cutmix pastes them"
        broken.append((("augmentation", "mixing"), told))
    for path, nothing, why in _NOT_OF_MASKS:
        if (value := value_at(tree, path)) is not None and value != nothing:
            broken.append((path, f"{'.'.join(map(str, path))} {why}; task.kind is segmentation"))
    return broken


def _value_rules(section: Tree) -> list[tuple[KeyPath, str]]:
    """Whether masks say classes in numbers or in colours, each value once."""
    given = section.get("classes")
    values = list(given.values()) if isinstance(given, dict) else []
    broken: list[tuple[KeyPath, str]] = []
    twice = sorted({str(value) for value in values if values.count(value) > 1})
    if twice:
        broken.append((("task", "classes"), f"task.classes names {', '.join(twice)} twice"))
    if len({isinstance(value, int) for value in values}) > 1:
        broken.append((("task", "classes"), "task.classes mixes numbers and colours; masks hold one of the two"))
    ignored = section.get("ignored")
    listed = ignored if isinstance(ignored, list) else []
    if both := [str(value) for value in listed if value in values]:
        broken.append((("task", "ignored"), f"task.ignored leaves out {', '.join(both)}, which task.classes names"))
    return broken


def masks_alone(tree: Tree, kind: str) -> list[tuple[KeyPath, str]]:
    """What means something for segmentation alone, or for it and detection."""
    broken: list[tuple[KeyPath, str]] = []
    of_parts = kind in ("segmentation", "detection")
    if value_at(tree, ("data", "source")) == "shapes" and not of_parts:
        sentence = "data.source shapes has masks and boxes; say task.kind: segmentation, or detection"
        broken.append((("data", "source"), sentence))
    told: dict[KeyPath, str] = {}
    if kind != "detection":
        told |= dict.fromkeys((("task", "classes"), ("task", "ignored")), "segmentation")
    if not of_parts:
        told["model", "decoder_channels"] = "segmentation or detection"
    for path, kinds in told.items():
        if (value := value_at(tree, path)) is not None and value != _DEFAULTS.get(path):
            broken.append((path, f"{'.'.join(map(str, path))} is for kind {kinds}; got {kind}"))
    return broken


def value_at(tree: Tree, path: KeyPath) -> Plain:
    """The value of a key in a section; None where either is missing.

    Example:
        >>> value_at({"data": {"channels": 3}}, ("data", "channels"))
        3
    """
    section = tree.get(str(path[0]))
    return section.get(str(path[1])) if isinstance(section, dict) else None
