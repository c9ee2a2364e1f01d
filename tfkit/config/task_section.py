"""The section about what is asked of the model, and its rules with the other sections."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tfkit.config.box_rules import detection_rules
from tfkit.config.faults import Places
from tfkit.config.keys import POSITIVE, FilePath, Positive, Text, all_different, choice, key
from tfkit.config.mask_rules import masks_alone, segmentation_rules, value_at
from tfkit.config.options import MaskOptions, TargetOptions
from tfkit.config.training_sections import Section
from tfkit.config.yaml_document import KeyPath, Tree

_TABLES = ("csv", "tsv", "jsonl")
_MASK_VALUE = "a whole number in [0, 65535], or a colour [red, green, blue]"
# What is for one class of several alone, with the value that does nothing.
_OF_CLASSES: dict[KeyPath, str | None] = {
    ("data", "labels_per_class"): None,
    ("head", "class_weights"): None,
    ("fine_tune", "class_weights"): None,
    ("pruning", "class_weights"): None,
    ("quantization", "class_weights"): None,
    ("quantization", "engine"): "tfkit",
    ("fine_tune", "r_drop"): None,
}

_Byte = Annotated[int, Field(ge=0, le=255)]
MaskValue = Annotated[int, Field(ge=0, le=65535)] | tuple[_Byte, _Byte, _Byte]

_KINDS = {  # what the examples of each are labelled with
    "classification": "classes",
    "multilabel": "labels",
    "regression": "numbers",
    "segmentation": "masks",
    "detection": "boxes",
}


class _TaskKeys(Section):
    """What tasks of images and of texts share."""

    label_columns: Annotated[tuple[Text, ...], AfterValidator(all_different)] = key(
        "a list of different column names",
        "Tables: a column for each label (1 or 0) or number; empty: the one label column holds all labels.",
        (),
    )
    separator: Annotated[str, Field(min_length=1, max_length=1)] = key(
        "one character", "multilabel: what stands between the labels of one column.", ";"
    )
    operating_point: Annotated[float, Field(gt=0, le=1)] | None = key(
        "a number in (0, 1], or null",
        "Sensitivity to reach on the validation split, which sets the threshold: of each label, or the second of two "
        "classes.",
        None,
    )
    coverage: Annotated[float, Field(gt=0, lt=1)] | None = key(
        "a number in (0, 1), or null",
        "classification: the chance with which a set of classes shall hold the true one; the report says how large "
        "such sets are. Needs mapie.",
        None,
    )
    groups: FilePath | None = key(
        "a CSV file, or null",
        "classification: a table whose first column names test examples and whose others say what groups they belong "
        "to; the report says how well each is answered. Needs fairlearn.",
        None,
    )
    tolerance: Positive | None = key(
        POSITIVE + ", or null",
        "regression: how far a file's number may be from Keras's and be the same; null: a tenth of their deviation.",
        None,
    )


class TaskSection(_TaskKeys):
    """`task:` - what is asked of the model: one class of several, any of several labels, or numbers."""

    kind: Literal["classification", "multilabel", "regression"] = choice(
        "One class of several, any of several labels at once, or numbers.", "classification"
    )

    def target_options(self) -> TargetOptions:
        """This section as keyword arguments of `tfkit.data.targets.Targets`."""
        return {"kind": _KINDS[self.kind], "columns": self.label_columns, "separator": self.separator}


class ImageTaskSection(_TaskKeys):
    """`task:` of images - one class of several, any of several labels, numbers, a class for each pixel, or boxes."""

    kind: Literal["classification", "multilabel", "regression", "segmentation", "detection"] = choice(
        "One class of several, any of several labels at once, numbers, a class for each pixel, or boxes.",
        "classification",
    )
    classes: Annotated[dict[Text, MaskValue], Field(min_length=2, max_length=255)] | None = key(
        "{name: VALUE, ...} of 2 to 255 classes, or null; VALUE is " + _MASK_VALUE,
        "segmentation: the number or colour of each class in the masks, in the order of the scores; null: the data's.",
        None,
    )
    ignored: tuple[MaskValue, ...] = key(
        "a list of VALUEs, each " + _MASK_VALUE,
        "segmentation: numbers or colours of pixels that are neither learned nor judged.",
        (255,),
    )
    heat_maps: Literal["auto", "occlusion", "shap", "lime"] = choice(
        "classification: how the report shows where the shipped file looked; auto: Grad-CAM, or occlusion where a "
        "model has no feature maps. shap and lime need the packages of that name.",
        "auto",
    )

    def target_options(self) -> TargetOptions:
        """This section as keyword arguments of `tfkit.data.targets.Targets`."""
        columns = ("mask",) if self.kind == "segmentation" else self.label_columns
        return {"kind": _KINDS[self.kind], "columns": columns, "separator": self.separator}

    def mask_options(self) -> MaskOptions:
        """This section as keyword arguments of `tfkit.data.masks.MaskCoding`."""
        return {"values": self.classes or {}, "ignored": self.ignored}


AnyTaskSection = TaskSection | ImageTaskSection


def broken_task_rules(tree: Tree, at_fault: set[KeyPath], places: Places) -> list[str]:
    """Sentences for every rule between `task:` and the other sections that a recipe breaks; see `broken_rules`."""
    section = tree.get("task")
    section = section if isinstance(section, dict) else {}
    if ("task", "kind") in at_fault:
        return []
    kind = str(section.get("kind", "classification"))
    broken: list[tuple[KeyPath, str]] = []
    if kind == "segmentation":
        broken += segmentation_rules(tree, section) + ranking_rules(tree, kind)
    elif kind == "detection":
        broken += detection_rules(tree, section) + ranking_rules(tree, kind)
    else:
        broken += masks_alone(tree, kind)
    if kind == "classification":
        if section.get("label_columns"):
            broken.append((("task", "label_columns"), "task.label_columns is for kind multilabel or regression"))
    elif kind not in ("segmentation", "detection"):
        broken += _other_rules(tree, kind)
    if kind != "regression" and section.get("tolerance") is not None:
        broken.append((("task", "tolerance"), f"task.tolerance is for kind regression; got {kind}"))
    if kind in ("regression", "segmentation") and section.get("operating_point") is not None:
        what = "numbers" if kind == "regression" else "masks"
        broken.append((("task", "operating_point"), f"task.operating_point is for classes and labels, not {what}"))
    if kind != "classification":
        told = f"is for kind classification; got {kind}"
        asked = [name for name in ("coverage", "groups") if section.get(name) is not None]
        asked += [name for name in ("heat_maps",) if section.get(name) not in (None, "auto")]
        broken += [(("task", name), f"task.{name} {told}") for name in asked]
    return [f"{sentence} {places.of(path)}" for path, sentence in broken if not {path, path[:1]} & at_fault]


def _other_rules(tree: Tree, kind: str) -> list[tuple[KeyPath, str]]:
    """Of several labels, and of numbers."""
    broken: list[tuple[KeyPath, str]] = []
    source = value_at(tree, ("data", "source"))
    if source is not None and source not in _TABLES:
        sentence = f"data.source {source} gives one class an example; task.kind {kind} needs a table: csv"
        broken.append((("data", "source"), sentence))
    for path, nothing in _OF_CLASSES.items():
        if (value := value_at(tree, path)) is not None and value != nothing:
            broken.append((path, f"{'.'.join(map(str, path))} is for one class of several; task.kind is {kind}"))
    if kind == "regression":
        if value_at(tree, ("data", "classes")) is not None:
            broken.append((("data", "classes"), "data.classes chooses classes or labels; task.kind is regression"))
        for stage in ("head", "fine_tune", "pruning", "quantization"):
            if value_at(tree, (stage, "label_smoothing")):
                sentence = f"{stage}.label_smoothing smooths classes or labels; task.kind is regression"
                broken.append(((stage, "label_smoothing"), sentence))
    return broken + ranking_rules(tree, kind)


def ranking_rules(tree: Tree, kind: str) -> list[tuple[KeyPath, str]]:
    """What of `pruning:` needs one class of several."""
    pruning = tree.get("pruning")
    return [
        (
            ("pruning", name),
            f"pruning.{name} loss measures the loss of one class of several; task.kind is {kind}: choose another",
        )
        for name in (_measured_by_loss(pruning) if isinstance(pruning, dict) else ())
    ]


def _measured_by_loss(pruning: Tree) -> list[str]:
    """The keys of `pruning:` that rank channels, heads or layers by a classifier's loss, as the default does."""
    ranks = pruning.get("method") == "channels" or pruning.get("heads") or pruning.get("feedforward")
    by_loss = ["criterion"] if ranks and pruning.get("criterion", "loss") == "loss" else []
    return [*by_loss, *(["drop"] if pruning.get("drop") == "loss" else [])]
