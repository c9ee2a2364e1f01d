"""Where a file comes from, through the models that went into it: `tfkit lineage`."""

from dataclasses import asdict, dataclass
from pathlib import Path

from tfkit.artifacts import Lineage, Parent, RunDirectory, parent_of, read_lineage
from tfkit.deployment import is_bundle, read_bundle
from tfkit.errors import ExportError, ModelError
from tfkit.operations.values import PathLike

_MANIFEST = "manifest.json"
_DEEPEST = 32  # runs: of a recipe that names its own run there would be no end


@dataclass(frozen=True)
class Ancestor:
    """A model that went into another.

    Attributes:
        parent: What the manifest says of it.
        state: `same`: it is here, with these bytes; `changed`: it is here with others; `missing`; `named`: a preset,
            which has no bytes of its own here.
        ancestry: Where it comes from; None where nothing here says so, or what does was changed.
    """

    parent: Parent
    state: str
    ancestry: "Ancestry | None" = None


@dataclass(frozen=True)
class Ancestry:
    """Where an artifacts folder, or the model of a bundle, comes from.

    Attributes:
        folder: The artifacts folder, or the bundle.
        lineage: What its manifest says, or the bundle of this version of its model.
        ancestors: The models that went in.
    """

    folder: Path
    lineage: Lineage
    ancestors: tuple[Ancestor, ...]

    def document(self) -> dict[str, object]:
        """The same as plain JSON values."""
        parents = [
            {
                **asdict(one.parent),
                "state": one.state,
                "ancestry": one.ancestry.document() if one.ancestry is not None else None,
            }
            for one in self.ancestors
        ]
        return {"folder": str(self.folder), **asdict(self.lineage), "parents": parents}


def trace(path: PathLike) -> Ancestry:
    """Say where exported files come from; what `tfkit lineage` does. All files are compared with their check sums.

    Args:
        path: A run's folder, an artifacts folder, a bundle, or a file in one. Of a bundle with several versions of
            its model the newest counts, or the one whose file or folder is named.

    Returns:
        The run, its recipe and data, and the same of every model that went in and is here.

    Raises:
        ModelError: When no manifest is there, or it says nothing of this.
        ExportError: When files have changed.

    Example:
        >>> tfkit.operations.trace("runs/digits").ancestors[0].parent.name  # doctest: +SKIP
        'runs/digits_base'
    """
    path = Path(path)
    if path.exists() and (bundle := next(filter(is_bundle, (path, *path.absolute().parents)), None)) is not None:
        return _traced_bundle(bundle, path)
    folder = _artifacts_of(path)
    if folder is None:
        raise ModelError(
            f"no manifest of tfkit is in '{path}' or beside it",
            hint="name a run, an artifacts folder, a bundle or a file in one",
        )
    found = _traced(folder, _DEEPEST)
    if found is None:
        raise ModelError(
            f"'{folder / _MANIFEST}' does not say where its files come from: an older tfkit wrote it",
            hint="run the recipe again",
        )
    return found


def _artifacts_of(path: Path) -> Path | None:
    around = (RunDirectory(path).artifacts, path, path.parent, path.parent.parent, path.parent.parent / "artifacts")
    return next((folder for folder in around if (folder / _MANIFEST).is_file()), None)


def _traced(folder: Path, deepest: int) -> Ancestry | None:
    lineage = read_lineage(folder)
    if lineage is None:
        return None
    return Ancestry(folder, lineage, tuple(_ancestor(parent, deepest - 1) for parent in lineage.parents))


def _traced_bundle(folder: Path, path: Path) -> Ancestry:
    bundle = read_bundle(folder)
    assert bundle is not None
    inside = path.absolute().relative_to(folder.absolute()).parts
    # models/NAME/VERSION of a bundle for servers, whichever file in it
    version = next((part for part in inside[2:3] if part in bundle.versions), max(bundle.versions, key=int))
    if (lineage := bundle.lineage.get(version)) is None:
        raise ModelError(
            f"'{folder}' does not say where version {version} of its model comes from: an older tfkit wrote it",
            hint="package the run again",
        )
    return Ancestry(folder, lineage, tuple(_ancestor(parent, _DEEPEST - 1) for parent in lineage.parents))


def _ancestor(parent: Parent, deepest: int) -> Ancestor:
    if parent.sha256 is None:
        return Ancestor(parent, "named")
    path = Path(parent.file or parent.name)
    if not path.exists():
        return Ancestor(parent, "missing")
    if parent_of(parent.role, path).sha256 != parent.sha256:
        return Ancestor(parent, "changed")
    folder = _artifacts_of(path) if deepest > 0 else None
    try:
        ancestry = None if folder is None else _traced(folder, deepest)
    except ExportError:  # no manifest of tfkit's, or one that cannot be believed: the model itself is the same
        ancestry = None
    return Ancestor(parent, "same", ancestry)
