"""Folders of images with boxes beside them: Pascal VOC, COCO and YOLO, told apart by what lies there."""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tfkit.data.examples import LeftOut
from tfkit.data.image_files import PartName, Reading, part_name, visible_files, visible_folders
from tfkit.data.sources import FileSource
from tfkit.errors import DataError, printable
from tfkit.files import read_regular_file

Box = tuple[str, float, float, float, float]  # class; top, left, bottom, right as shares of the image

_IMAGES = ("images", "image", "img", "jpegimages")
_BESIDE = ("annotations", "annotation", "labels", "label", "boxes", "xml")
_COCO = ("_annotations.coco.json", "annotations.json", "instances.json", "labels.json")
_NAME_LISTS = ("classes.txt", "obj.names", "names.txt")
_OVER = 0.01  # how far a box may lie over the border, as a share of the image: it is cut there
_SHOWN = 5
_LAYOUT_HINT = (
    "lay them out as <folder>/images/ and <folder>/annotations/ (Pascal VOC's .xml) or <folder>/labels/ (YOLO's .txt, "
    "with data.yaml or classes.txt), or put COCO's .json beside the images; for splits do so in train/, val/ and test/"
)


@dataclass
class _Faults:
    """What is wrong with a data set, all at once."""

    told: list[str] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        self.told.append(f"{where}: {what}")

    def refuse(self, directory: Path) -> None:
        if self.told:
            more = f"\n  and {len(self.told) - _SHOWN} more" if len(self.told) > _SHOWN else ""
            raise DataError(
                f"boxes of '{directory}' cannot be used:\n  " + "\n  ".join(self.told[:_SHOWN]) + more,
                hint="mend these files, or take them and their images away",
            )


def read_box_folder(directory: Path, *, channels: int) -> dict[PartName, Reading]:
    """Find the images of a folder and the boxes in each.

    Formats: an .xml of Pascal VOC for each image (pixels, counted from 1); one .json of COCO for all (left, top, width
    and height in pixels; boxes of crowds are passed over); or a .txt of YOLO for each (class number, centre, width and
    height as shares), whose classes stand in data.yaml, classes.txt or obj.names.

    Layouts: images/ and annotations/ or labels/; the same in train/, val/ and test/; or images/train/, labels/train/;
    a COCO .json lies beside the images, above them, or is annotations/instances_<part>.json. An image that no file of
    boxes is for has none: it shows what is no object.

    Args:
        directory: The folder.
        channels: 1 for grey, 3 for RGB.

    Returns:
        The parts by name. Each image's label is a JSON list of boxes; see `tfkit.data.target_kinds.boxes`.

    Raises:
        DataError: When the folder is missing, is laid out otherwise, or boxes cannot be read; all faults at once.

    Example:
        >>> read_box_folder(Path("raccoons"), channels=3)["all"].labels[0]  # doctest: +SKIP
        '[["raccoon", 0.209, 0.123, 0.978, 0.803]]'
    """
    if not directory.is_dir():
        came = "is a file" if directory.exists() else "does not exist"
        raise DataError(f"the image folder '{directory}' {came}", hint="check data.directory")
    faults = _Faults()
    try:
        parts = {
            name: _reading(images, boxes, directory, channels, faults)
            for name, images, boxes in _found(directory, faults)
        }
    except OSError as fault:
        where = printable(str(fault.filename or directory))
        raise DataError(f"'{where}' cannot be read: {fault.strerror}", hint="check data.directory") from None
    faults.refuse(directory)
    if not parts or ("all" not in parts and "train" not in parts):
        raise DataError(f"'{directory}' holds no images with boxes beside them", hint=_LAYOUT_HINT)
    return parts


_Boxes = Callable[[str, Path], list[Box]]  # from an image's place below its folder and its file to its boxes


def _found(directory: Path, faults: _Faults) -> Iterable[tuple[PartName, Path, _Boxes]]:
    """Each part's folder of images, and what knows their boxes."""
    inside = {folder.name.lower(): folder for folder in visible_folders(directory)}
    images = next((inside[name] for name in _IMAGES if name in inside), None)
    split = {part: folder for folder in visible_folders(images or directory) if (part := part_name(folder.name))}
    if images is None and not split:
        split_coco = {
            part: folder
            for name, folder in inside.items()
            if (part := part_name(name.removesuffix("2017").removesuffix("2014")))
        }
        if not split_coco:
            boxes = _boxes_beside(directory, directory, "", directory, faults)
            return [("all", directory, boxes)] if boxes else []
        split = split_coco
    if not split:
        assert images is not None
        boxes = _boxes_beside(images, directory, "", directory, faults)
        return [("all", images, boxes)] if boxes else []
    told: list[tuple[PartName, Path, _Boxes]] = []
    for part, folder in split.items():
        within = {one.name.lower(): one for one in visible_folders(folder)}
        of_images = next((within[name] for name in _IMAGES if name in within), folder)
        root = folder if of_images is not folder else directory
        boxes = _boxes_beside(of_images, root, "" if root is folder else folder.name, directory, faults)
        if boxes is not None:
            told.append((part, of_images, boxes))
    return told


def _boxes_beside(images: Path, root: Path, part: str, directory: Path, faults: _Faults) -> _Boxes | None:
    """What knows the boxes of a folder's images."""
    folders = [root / one.name / part for one in visible_folders(root) if one.name.lower() in _BESIDE]
    places = [place for place in (images, *folders, root) if place.is_dir()]
    names = {f"instances_{part}.json", f"{part}.json", *_COCO}
    tables = [table for place in (*places, root / "annotations") for table in _files_in(place) if table.name in names]
    if tables:
        return _of_coco(tables[0], faults)
    for place in places:
        suffixes = {path.suffix.lower() for path in _files_in(place, deep=True)}
        if ".xml" in suffixes:
            return lambda below, file, place=place: _of_voc(_named(place, below, ".xml"), faults)  # type: ignore[misc]
        if ".txt" in suffixes - {""} and (classes := _yolo_names(directory, root, place)) is not None:
            return lambda below, file, place=place, classes=classes: _of_yolo(  # type: ignore[misc]
                _named(place, below, ".txt"), classes, faults
            )
    return None


def _files_in(place: Path, *, deep: bool = False) -> list[Path]:
    if not place.is_dir():
        return []
    return sorted(path for path in (place.rglob("*") if deep else place.iterdir()) if path.is_file())


def _named(place: Path, below: str, suffix: str) -> Path:
    return place / f"{os.path.splitext(below)[0]}{suffix}"  # noqa: PTH122 - strings, as found


def _reading(images: Path, boxes: _Boxes, root: Path, channels: int, faults: _Faults) -> Reading:
    left_out: list[LeftOut] = []
    paths: list[str] = []
    for path, reason in visible_files(images):
        if reason is None:
            paths.append(path)
        elif not path.endswith((".xml", ".txt", ".json")):
            left_out.append(LeftOut(_name(path, root), reason))
    labels = [json.dumps(boxes(path.removeprefix(f"{images}{os.sep}"), Path(path))) for path in paths]
    return Reading(
        FileSource(paths, channels=channels),
        names=tuple(_name(path, root) for path in paths),
        labels=tuple(labels),
        left_out=tuple(left_out),
    )


def _name(path: str, root: Path) -> str:
    return printable(path.removeprefix(f"{root}{os.sep}").replace(os.sep, "/"))


def _inside(name: str, sides: tuple[float, float, float, float]) -> Box | str:
    """A box cut at the image's border, or what is wrong with it."""
    if not all(-_OVER <= side <= 1 + _OVER for side in sides):
        return f"a box of '{name}' lies outside of its image"
    top, left, bottom, right = (min(1.0, max(0.0, side)) for side in sides)
    if bottom <= top or right <= left:
        return f"a box of '{name}' is empty"
    return (name, *(round(side, 6) for side in (top, left, bottom, right)))  # type: ignore[return-value]


def _kept(where: str, rows: Iterable[tuple[str, tuple[float, float, float, float]]], faults: _Faults) -> list[Box]:
    boxes: list[Box] = []
    for name, sides in rows:
        box = _inside(name, sides)
        if isinstance(box, str):
            faults.add(where, box)
        else:
            boxes.append(box)
    return boxes


def _of_voc(path: Path, faults: _Faults) -> list[Box]:
    if not path.is_file():
        return []
    try:
        tree = ElementTree.fromstring(read_regular_file(path))
        width, height = (float(tree.findtext(f"size/{side}") or 0) for side in ("width", "height"))
        if not width or not height:
            raise ValueError("it does not say its image's size")
        rows = [
            (
                (one.findtext("name") or "").strip(),
                tuple(float(one.findtext(f"bndbox/{key}") or "nan") for key in ("ymin", "xmin", "ymax", "xmax")),
            )
            for one in tree.iter("object")
        ]
    except (ElementTree.ParseError, ValueError) as fault:
        faults.add(path.name, str(fault))
        return []
    sides = [
        (name, ((top - 1) / height, (left - 1) / width, bottom / height, right / width))
        for name, (top, left, bottom, right) in rows
    ]
    return _kept(path.name, sides, faults)


def _of_yolo(path: Path, classes: list[str], faults: _Faults) -> list[Box]:
    if not path.is_file():
        return []
    rows = []
    try:
        for line in read_regular_file(path).decode("utf-8").splitlines():
            if cells := line.split():
                number, (across, down, width, height) = int(cells[0]), map(float, cells[1:5])
                if not 0 <= number < len(classes):
                    raise ValueError(f"class {number}; there are {len(classes)} names")
                sides = (down - height / 2, across - width / 2, down + height / 2, across + width / 2)
                rows.append((classes[number], sides))
    except ValueError as fault:
        faults.add(path.name, str(fault))
        return []
    return _kept(path.name, rows, faults)


def _yolo_names(directory: Path, root: Path, place: Path) -> list[str] | None:
    """The names of YOLO's classes, in the order of their numbers; None where nobody says them."""
    import yaml

    for folder in (directory, root, place):
        for listed in _NAME_LISTS:
            if (folder / listed).is_file():
                return [line.strip() for line in (folder / listed).read_text("utf-8").splitlines() if line.strip()]
        for described in sorted(folder.glob("*.y*ml")):
            told = yaml.safe_load(described.read_text("utf-8"))
            names = told.get("names") if isinstance(told, dict) else None
            if isinstance(names, dict):
                return [str(names[number]) for number in sorted(names)]
            if isinstance(names, list):
                return list(map(str, names))
    return None


def _of_coco(table: Path, faults: _Faults) -> _Boxes:
    try:
        told: dict[str, Any] = json.loads(read_regular_file(table))
        classes = {one["id"]: str(one["name"]) for one in told["categories"]}
        images = {one["id"]: one for one in told["images"]}
        found: dict[str, list[Box]] = {str(one["file_name"]): [] for one in images.values()}
        for one in told["annotations"]:
            if one.get("iscrowd"):
                continue
            image = images[one["image_id"]]
            left, top, width, height = map(float, one["bbox"])
            down, across = float(image["height"]), float(image["width"])
            sides = (top / down, left / across, (top + height) / down, (left + width) / across)
            found[str(image["file_name"])] += _kept(
                f"{table.name}, {image['file_name']}", [(classes[one["category_id"]], sides)], faults
            )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as fault:
        faults.add(table.name, f"it is no COCO file of boxes: {fault!r}")
        return lambda below, file: []
    by_name = {os.path.basename(name): boxes for name, boxes in found.items()}  # noqa: PTH119 - strings, as found

    def boxes(below: str, file: Path) -> list[Box]:
        return found.get(below.replace(os.sep, "/"), by_name.get(file.name, []))

    return boxes
