"""Folders of images with a mask for each."""

import os
from pathlib import Path

from tfkit.data.examples import LeftOut
from tfkit.data.image_files import PartName, Reading, part_name, visible_files, visible_folders
from tfkit.data.masks import MaskFiles
from tfkit.data.sources import FileSource
from tfkit.errors import DataError, printable

_IMAGES, _MASKS = ("images", "image", "img"), ("masks", "mask", "labels", "annotations", "labelids")
_BESIDE = ("annot", "_masks", "_labels", "_mask", "masks", "_annotations")
_LAYOUT_HINT = (
    "lay them out as <folder>/images/ and <folder>/masks/ with a mask of the same name for each image; for splits as "
    "<folder>/train/images/ and <folder>/train/masks/, or as <folder>/train/ and <folder>/trainannot/, with val or test"
)
_SHOWN = 5


def read_mask_folder(directory: Path, *, channels: int, coloured: bool) -> dict[PartName, Reading]:
    """Find the images of a folder and the mask of each: the file of the same name before its suffix.

    Layouts: `images/` and `masks/`; the same in `train/`, `val/` and `test/`; `train/` and `trainannot/` and so on, as
    SegNet's tutorial has CamVid; or `images/train/` and `masks/train/`.

    Args:
        directory: The folder.
        channels: 1 for grey, 3 for RGB.
        coloured: Whether colours in the masks say the classes.

    Returns:
        The parts by name.

    Raises:
        DataError: When the folder is missing, is laid out otherwise, or an image has no mask or two.
    """
    try:
        parts = _parts(directory)
        if not parts:
            raise DataError(f"'{directory}' holds no images with masks beside them", hint=_LAYOUT_HINT)
        faults: list[str] = []
        found = {name: _read_part(*pair, directory, channels, coloured, faults) for name, pair in parts.items()}
    except OSError as fault:
        where = printable(str(fault.filename or directory))
        raise DataError(f"'{where}' cannot be read: {fault.strerror}", hint="check data.directory") from None
    if faults:
        more = f"\n  and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise DataError(
            f"images and masks of '{directory}' do not pair:\n  " + "\n  ".join(faults[:_SHOWN]) + more,
            hint="give each image one mask of the same name, or take it away",
        )
    return found


def _parts(directory: Path) -> dict[PartName, tuple[Path, Path]]:
    """Folders of images and of their masks, by part."""
    if not directory.is_dir():
        came = "is a file" if directory.exists() else "does not exist"
        raise DataError(f"the image folder '{directory}' {came}", hint="check data.directory")
    folders = {folder.name: folder for folder in visible_folders(directory)}
    images, masks = _named(folders, _IMAGES), _named(folders, _MASKS)
    if images is not None and masks is not None:
        inside = {folder.name: folder for folder in visible_folders(masks)}
        split = {part_name(f.name): (f, inside[f.name]) for f in visible_folders(images) if f.name in inside}
        return {part: pair for part, pair in split.items() if part} or {"all": (images, masks)}
    parts: dict[PartName, tuple[Path, Path]] = {}
    for name, folder in folders.items():
        if (part := part_name(name)) is None:
            continue
        inside = {one.name: one for one in visible_folders(folder)}
        within = _named(inside, _IMAGES), _named(inside, _MASKS)
        beside = _named(folders, tuple(f"{name.lower()}{ending}" for ending in _BESIDE))
        if within[0] is not None and within[1] is not None:
            parts[part] = within[0], within[1]
        elif beside is not None:
            parts[part] = folder, beside
    order: tuple[PartName, ...] = ("train", "validation", "test")
    return {part: parts[part] for part in order if part in parts} if "train" in parts else {}


def _named(folders: dict[str, Path], names: tuple[str, ...]) -> Path | None:
    return next((folder for name, folder in folders.items() if name.lower() in names), None)


def _read_part(images: Path, masks: Path, root: Path, channels: int, coloured: bool, faults: list[str]) -> Reading:
    left_out: list[LeftOut] = []
    of_images, of_masks = _by_stem(images, root, left_out), _by_stem(masks, root, left_out)
    for stem in sorted(of_images.keys() ^ of_masks.keys()):
        there, missing = ("image", "mask") if stem in of_images else ("mask", "image")
        faults.append(f"the {there} {_name((of_images | of_masks)[stem], root)} has no {missing}")
    stems = sorted(of_images.keys() & of_masks.keys())
    if not stems and not faults:
        raise DataError(f"there is no image in '{images}'", hint=_LAYOUT_HINT)
    paths, drawn = [of_images[stem] for stem in stems], [of_masks[stem] for stem in stems]
    return Reading(
        FileSource(paths, channels=channels),
        names=tuple(_name(path, root) for path in paths),
        labels=tuple(_name(path, root) for path in drawn),
        left_out=tuple(left_out),
        masks=MaskFiles(drawn, coloured),
    )


def _by_stem(folder: Path, root: Path, left_out: list[LeftOut]) -> dict[str, str]:
    """Files by their place below a folder without the suffix; what is no image is put to what was left out."""
    found: dict[str, str] = {}
    for path, reason in visible_files(folder):
        stem = os.path.splitext(path.removeprefix(f"{folder}{os.sep}"))[0]  # noqa: PTH122 - strings, as found
        if reason is None and stem in found:
            raise DataError(
                f"'{_name(path, root)}' and '{_name(found[stem], root)}' have one name before their suffix",
                hint="a mask is found by that name: take one of them away",
            )
        if reason is None:
            found[stem] = path
        else:
            left_out.append(LeftOut(_name(path, root), reason))
    return found


def _name(path: str, root: Path) -> str:
    return printable(path.removeprefix(f"{root}{os.sep}").replace(os.sep, "/"))
