"""Boxes in files: three formats in several layouts, what is wrong with them, and how they move with their pictures."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfkit.data import load_image_splits
from tfkit.data.augmentation import augment_batch, mix_batch
from tfkit.data.box_folders import read_box_folder
from tfkit.data.targets import Targets, strata, target_counts, told_target
from tfkit.errors import DataError

WIDTH, HEIGHT = 40, 20
# Class, left, top, width, height in pixels.
BOXES = {0: [("ant", 4, 2, 12, 8)], 1: [("bee", 0, 0, 40, 20), ("ant", 20, 10, 10, 10)], 2: []}
SHARES = {0: [["ant", 0.1, 0.1, 0.5, 0.4]], 1: [["bee", 0, 0, 1, 1], ["ant", 0.5, 0.5, 1, 0.75]], 2: []}


def write_images(folder: Path, count: int = 3) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(str(folder)))
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)).save(folder / f"{number}.png")


def voc(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, boxes in BOXES.items():
        objects = "".join(
            f"<object><name>{name}</name><bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
            f"<xmax>{left + width}</xmax><ymax>{top + height}</ymax></bndbox></object>"
            for name, left, top, width, height in boxes
        )
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
        (folder / f"{number}.xml").write_text(f"<annotation>{size}{objects}</annotation>")


def yolo(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, boxes in BOXES.items():
        lines = [
            f"{['ant', 'bee'].index(name)} {(left + width / 2) / WIDTH} {(top + height / 2) / HEIGHT} "
            f"{width / WIDTH} {height / HEIGHT}"
            for name, left, top, width, height in boxes
        ]
        if lines:  # of a picture without boxes there may be no file
            (folder / f"{number}.txt").write_text("\n".join(lines) + "\n")


def coco(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    numbers = {"ant": 3, "bee": 7}
    found = [
        {"image_id": 10 + number, "category_id": numbers[name], "bbox": list(box), "iscrowd": 0}
        for number, boxes in BOXES.items()
        for name, *box in boxes
    ]
    crowd = {"image_id": 12, "category_id": 3, "bbox": [0, 0, 40, 20], "iscrowd": 1}
    images = [{"id": 10 + n, "file_name": f"{n}.png", "width": WIDTH, "height": HEIGHT} for n in BOXES]
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    file.write_text(json.dumps({"images": images, "annotations": [*found, crowd], "categories": categories}))


def voc_folders(root: Path) -> None:
    write_images(root / "images")
    voc(root / "annotations")


def voc_beside(root: Path) -> None:
    write_images(root)
    voc(root)


def voc_in_parts(root: Path) -> None:
    for part in ("train", "test"):
        write_images(root / part / "images")
        voc(root / part / "annotations")


def yolo_parts_inside(root: Path) -> None:
    for part in ("train", "val"):
        write_images(root / "images" / part)
        yolo(root / "labels" / part)
    (root / "data.yaml").write_text("names: [ant, bee]\n")


def yolo_inside_parts(root: Path) -> None:
    for part in ("train", "valid"):
        write_images(root / part / "images")
        yolo(root / part / "labels")
    (root / "data.yaml").write_text("names: {0: ant, 1: bee}\n")


def yolo_flat(root: Path) -> None:
    write_images(root / "images")
    yolo(root / "labels")
    (root / "classes.txt").write_text("ant\nbee\n")


def coco_beside(root: Path) -> None:
    for part in ("train", "valid"):
        write_images(root / part)
        coco(root / part / "_annotations.coco.json")


def coco_as_published(root: Path) -> None:
    for part in ("train2017", "val2017"):
        write_images(root / part)
        coco(root / "annotations" / f"instances_{part}.json")


def coco_flat(root: Path) -> None:
    write_images(root / "images")
    coco(root / "annotations.json")


LAYOUTS = {
    voc_folders: {"all"},
    voc_beside: {"all"},
    voc_in_parts: {"train", "test"},
    yolo_parts_inside: {"train", "validation"},
    yolo_inside_parts: {"train", "validation"},
    yolo_flat: {"all"},
    coco_beside: {"train", "validation"},
    coco_as_published: {"train", "validation"},
    coco_flat: {"all"},
}


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_boxes_are_read_in_every_format_and_layout(layout: Callable[[Path], None], tmp_path: Path) -> None:
    layout(tmp_path)
    parts = read_box_folder(tmp_path, channels=3)
    assert set(parts) == LAYOUTS[layout]
    for reading in parts.values():
        assert [Path(name).stem for name in reading.names] == ["0", "1", "2"] and not reading.left_out
        for number, label in enumerate(reading.labels):
            for found, wanted in zip(json.loads(label), SHARES[number], strict=True):
                assert found[0] == wanted[0] and found[1:] == pytest.approx(wanted[1:], abs=1e-5)


def test_what_is_wrong_with_boxes_is_told_at_once(tmp_path: Path) -> None:
    voc_folders(tmp_path)
    one, two, three = (tmp_path / "annotations" / f"{number}.xml" for number in range(3))
    one.write_text(one.read_text().replace("<xmax>16<", "<xmax>61<"))
    two.write_text(two.read_text().replace("<width>40<", "<width>0<"))
    three.write_text("<annotation>")
    with pytest.raises(DataError) as told:
        read_box_folder(tmp_path, channels=3)
    assert "0.xml: a box of 'ant' lies outside of its image" in str(told.value)
    assert "1.xml: it does not say its image's size" in str(told.value) and "2.xml: no element" in str(told.value)


def test_numbers_without_a_name_are_told(tmp_path: Path) -> None:
    yolo_flat(tmp_path)
    (tmp_path / "classes.txt").write_text("ant\n")
    with pytest.raises(DataError, match=r"1\.txt: class 1; there are 1 names"):
        read_box_folder(tmp_path, channels=3)
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(DataError, match="no images with boxes beside them"):
        read_box_folder(tmp_path, channels=3)


def test_a_folder_of_classes_has_no_boxes(tmp_path: Path) -> None:
    write_images(tmp_path / "ants")
    with pytest.raises(DataError, match="no images with boxes beside them"):
        read_box_folder(tmp_path, channels=3)
    with pytest.raises(DataError, match="does not exist"):
        read_box_folder(tmp_path / "nothing", channels=3)
    with pytest.raises(DataError, match="source digits has no boxes"):
        load_image_splits(source="digits", targets=Targets("boxes"))


def test_boxes_are_rows_of_an_array() -> None:
    targets, labels = Targets("boxes"), [json.dumps(boxes) for boxes in SHARES.values()]
    names = targets.names(labels, None)
    boxes = targets.values(labels, names)
    assert names == ("ant", "bee") and boxes.shape == (3, 2, 5) and boxes.dtype == np.float32
    assert boxes[0, 0].tolist() == pytest.approx([0, 0.1, 0.1, 0.5, 0.4]) and (boxes[[0, 2], [1, 0], 0] == -1).all()
    assert target_counts(boxes, names) == {"ant": 2, "bee": 1}
    assert [told_target(boxes, place, names) for place in range(3)] == ["1 ant", "1 ant, 1 bee", "none"]
    assert len(strata(boxes)) == 3
    assert targets.names(labels, ["bee"]) == ("bee",)
    assert (targets.values(labels, ("bee",))[..., 0] == [[-1], [0], [-1]]).all()
    with pytest.raises(DataError, match="no box is of wasp; there are ant, bee"):
        targets.names(labels, ["wasp"])


def test_shapes_are_boxed_by_what_is_seen_of_them() -> None:
    boxed = load_image_splits(source="shapes", targets=Targets("boxes"))
    assert boxed.class_names == ("circle", "square", "triangle")
    assert boxed.train.labels.shape[1:] == (3, 5) and boxed.train.labels[..., 0].max() == 2
    there = boxed.train.labels[boxed.train.labels[..., 0] >= 0]
    assert (there[:, 3] > there[:, 1]).all() and (there[:, 4] > there[:, 2]).all()
    assert there[:, 1:].min() >= 0 and there[:, 1:].max() <= 1


def _marked(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey pictures with a bright rectangle, and its box."""
    rng = np.random.default_rng(0)
    pixels, boxes = np.full((count, 64, 64, 3), 60, np.uint8), np.full((count, 2, 5), -1, np.float32)
    for place in range(count):
        top, left = rng.integers(8, 32, 2)
        height, width = rng.integers(12, 24, 2)
        pixels[place, top : top + height, left : left + width] = 200
        boxes[place, 0] = (0, top / 64, left / 64, (top + height) / 64, (left + width) / 64)
    return pixels, boxes


@pytest.mark.parametrize("flip", [True, False])
def test_light_augmentation_moves_boxes_with_their_pixels(flip: bool) -> None:
    pixels, boxes = _marked(64)
    batch = {"pixels": tf.constant(pixels), "targets": tf.constant(boxes)}
    views = augment_batch(batch, policy="light", seed=(1, 2), flip=flip)
    moved = views["targets"].numpy()
    assert moved.shape == boxes.shape and (moved[:, 1, 0] == -1).all()
    assert not np.allclose(moved[:, 0], boxes[:, 0])
    for picture, (name, top, left, bottom, right) in zip(views["pixels"].numpy(), moved[:, 0], strict=True):
        bright = picture.mean(-1) > picture.mean(-1).max() - 60
        rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
        seen = np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]) / 64
        assert name == 0 and np.abs(seen - [top, left, bottom, right]).max() <= 2 / 64


def test_a_box_that_a_crop_nearly_takes_away_is_not_asked_for() -> None:
    _, boxes = _marked(64)
    boxes[:, 0] = (0, 0, 0, 0.06, 0.06)  # in the corner
    batch = {"pixels": tf.zeros((64, 64, 64, 3), tf.uint8), "targets": tf.constant(boxes)}
    moved = augment_batch(batch, policy="light", seed=(1, 2), flip=False)["targets"].numpy()[:, 0]
    gone = moved[:, 0] == -1
    assert gone.any() and not gone.all()
    area = (moved[:, 3] - moved[:, 1]) * (moved[:, 4] - moved[:, 2])
    assert (area[~gone] > 0).all()


def test_what_does_not_move_boxes_is_refused() -> None:
    pixels, boxes = _marked(2)
    batch = {"pixels": tf.constant(pixels), "targets": tf.constant(boxes)}
    with pytest.raises(ValueError, match="rand_augment does not move boxes"):
        augment_batch(batch, policy="rand_augment", seed=(1, 2))
    with pytest.raises(ValueError, match="boxes are not mixed"):
        mix_batch(batch, mixing="cutmix", seed=tf.constant([1, 2]))
