"""Where exported files come from: recipe, data, versions, figures, and the models that went in before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

Role = Literal["backbone", "weights", "teacher", "model", "earlier"]


@dataclass(frozen=True)
class Parent:
    """A model that another one was made from.

    Attributes:
        role: What it was: the backbone, its weights, the teacher, the model itself that was exported, or the earlier
            run that was gone on from.
        name: As the recipe or the command line said it: a preset, a file or a run's folder.
        sha256: Of the file, or of all files of a folder; None for a preset.
        file: The file that was read, where it is another than was named: a run's model.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}  # where a manifest is read

    role: Role
    name: str
    sha256: str | None = None
    file: str | None = None


@dataclass(frozen=True)
class Lineage:
    """Where the files of an artifacts folder come from.

    Attributes:
        run: The run's name; None for files of `tfkit export`.
        recipe_sha256: Of the run's `recipe.yaml`.
        data_sha256: Of the names, labels and contents of its examples (of images, a thousand of each split).
        examples: How many examples each split had.
        versions: Of tfkit and what it stands on.
        figures: What the Keras model reached on the test split, by name.
        parents: The models that went in.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}

    run: str | None = None
    recipe_sha256: str | None = None
    data_sha256: str | None = None
    examples: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    parents: tuple[Parent, ...] = ()
