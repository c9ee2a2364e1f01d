"""Masks: read from files, checked against their images, fitted as they are, and moved with them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfkit.artifacts import ImageSpec
from tfkit.data import augment_batch, evaluation_batches, load_image_splits, mix_batch, training_batches
from tfkit.data.images import fit_image
from tfkit.data.masks import IGNORED, MaskCoding
from tfkit.data.targets import Targets, strata, told_target
from tfkit.errors import DataError

IMAGE = ImageSpec(16, 16)
CODING = MaskCoding(IMAGE, {"ground": 0, "square": 7}, ignored=(9,))
_SEED = tf.constant([3, 4], tf.int64)


def masked(coding: MaskCoding = CODING) -> Targets:
    return Targets("masks", ("mask",), masks=coding)


def drawn(number: int, *, side: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """A picture with a bright square, and its mask in the values 0 and 7; one row is ignored, 9."""
    rng = np.random.default_rng(number)
    pixels, mask = np.full((side, side, 3), 30, np.uint8), np.zeros((side, side), np.uint8)
    top, left = rng.integers(1, side // 2, 2)
    pixels[top : top + 6, left : left + 6], mask[top : top + 6, left : left + 6] = 220, 7
    pixels[-1, :2], mask[-1] = number, 9
    return pixels, mask


def written(folder: Path, places: dict[str, str], *, count: int = 10, **changes: Any) -> Path:
    """Images and masks in folders of a layout."""
    for part, (images, masks) in enumerate(places.items()):
        for kind in (images, masks):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels, mask = drawn(100 * part + number)
            Image.fromarray(pixels).save(folder / images / f"{number}.png")
            Image.fromarray(changes.get(str(number), mask)).save(folder / masks / f"{number}.png")
    return folder


@pytest.mark.parametrize(
    "places",
    [
        {"images": "masks"},
        {"train/images": "train/masks", "val/images": "val/masks"},
        {"train": "trainannot", "test": "testannot"},
        {"images/train": "masks/train", "images/test": "masks/test"},
    ],
    ids=lambda places: next(iter(places)),
)
def test_folders_of_images_and_masks_are_paired_by_name(tmp_path: Path, places: dict[str, str]) -> None:
    folder = written(tmp_path, places)
    splits = load_image_splits(source="image_folder", directory=folder, targets=masked())
    assert splits.class_names == ("ground", "square")
    assert sum(splits.report.examples.values()) == 10 * len(places)
    number = int(Path(splits.test.names[0]).stem)
    expected = drawn(number if len(places) == 1 else 100 + number)[1]
    fitted = np.where(expected == 9, IGNORED, np.where(expected == 7, 1, 0))
    np.testing.assert_array_equal(splits.test.labels[0], fitted)
    assert told_target(splits.test.labels, 0, splits.class_names) == "ground, square"
    assert splits.train.class_counts() == {"ground": len(splits.train), "square": len(splits.train)}


def test_a_table_names_images_and_masks(tmp_path: Path) -> None:
    folder = written(tmp_path, {"images": "masks"})
    rows = ["path,mask", *(f"images/{n}.png,masks/{n}.png" for n in range(10))]
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    splits = load_image_splits(source="csv", train=folder / "table.csv", targets=masked())
    assert splits.train.labels.shape[1:] == (16, 16)


def test_colours_say_classes_too(tmp_path: Path) -> None:
    folder = written(tmp_path, {"images": "masks"})
    colours = {0: (10, 20, 30), 7: (200, 0, 0), 9: (0, 0, 0)}
    for path in (folder / "masks").iterdir():
        mask = np.asarray(Image.open(path))
        Image.fromarray(np.array([[colours[int(value)] for value in row] for row in mask], np.uint8)).save(path)
    coding = MaskCoding(IMAGE, {"ground": (10, 20, 30), "square": (200, 0, 0)}, ignored=((0, 0, 0),))
    splits = load_image_splits(source="image_folder", directory=folder, targets=masked(coding))
    assert set(np.unique(splits.train.labels)) == {0, 1, IGNORED}
    with pytest.raises(DataError, match=r"coloured, and task\.classes names numbers"):
        load_image_splits(source="image_folder", directory=folder, targets=masked())


def test_a_palette_is_read_by_its_places(tmp_path: Path) -> None:
    folder = written(tmp_path, {"images": "masks"})
    for path in (folder / "masks").iterdir():
        picture = Image.fromarray(np.asarray(Image.open(path)), mode="P")
        picture.putpalette([255, 0, 0] * 256)
        picture.save(path)
    splits = load_image_splits(source="image_folder", directory=folder, targets=masked())
    assert set(np.unique(splits.train.labels)) == {0, 1, IGNORED}


def test_masks_that_cannot_be_used_are_told_and_left_out(tmp_path: Path) -> None:
    odd, small = drawn(1)[1], np.zeros((8, 8), np.uint8)
    odd[0, :3] = 42
    folder = written(tmp_path, {"images": "masks"}, **{"1": odd, "2": small, "3": np.full((16, 16), 9, np.uint8)})
    (folder / "masks" / "4.png").write_bytes(b"no picture")
    with pytest.raises(DataError) as told:
        load_image_splits(source="image_folder", directory=folder, targets=masked())
    for words in (
        "images/1.png: its mask holds 42 on 3 pixels, which task.classes does not name",
        "images/2.png: its mask is of 8 x 8 pixels, the upright image of 16 x 16",
        "images/3.png: its mask leaves out every pixel",
        "images/4.png: its mask 4.png is none of PNG, BMP, GIF, TIFF",
    ):
        assert words in str(told.value)
    kept = load_image_splits(source="image_folder", directory=folder, targets=masked(), bad_images="skip")
    assert sum(kept.report.examples.values()) == 6 and len(kept.report.left_out) == 4


def test_an_image_without_a_mask_is_told(tmp_path: Path) -> None:
    folder = written(tmp_path, {"images": "masks"})
    (folder / "masks" / "3.png").unlink()
    with pytest.raises(DataError, match=r"the image images/3\.png has no mask"):
        load_image_splits(source="image_folder", directory=folder, targets=masked())
    with pytest.raises(DataError, match="holds no images with masks beside them"):
        load_image_splits(source="image_folder", directory=folder / "images", targets=masked())
    (folder / "images" / "3.png").unlink()
    with pytest.raises(DataError, match="nobody says what the values in the masks mean"):
        load_image_splits(source="image_folder", directory=folder, targets=masked(MaskCoding(IMAGE)))


def test_an_image_that_vanishes_has_no_stand_in(tmp_path: Path) -> None:
    folder = written(tmp_path, {"images": "masks"})
    splits = load_image_splits(
        source="image_folder", directory=folder, targets=masked(), max_lost_fraction=0.9, validation_fraction=0.0
    )
    (folder / splits.train.names[0]).unlink()
    with pytest.raises(DataError, match="no image is left to stand in"):
        splits.train.source.content(int(splits.train.indices[0]))


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(40, 60), (9, 14), (16, 16), (50, 17)])
def test_masks_are_fitted_where_their_pixels_are(resize: Any, size: tuple[int, int]) -> None:
    """A mask of halves, and a picture of it: what is bright is of its class."""
    image = ImageSpec(24, 24, 1, resize)
    mask = np.zeros(size, np.uint8)
    mask[:, size[1] // 2 :] = 1
    mask[: size[0] // 3] = 2
    fitted = MaskCoding(image, {"dark": 0, "grey": 1, "bright": 2}).fitted(mask)
    pixels = fit_image((1 + mask)[..., None] * 80, image).numpy()[..., 0]
    shown = np.where(pixels == 0, IGNORED, np.round(pixels / 80) - 1)
    assert (fitted == shown).mean() >= 0.94, "but for the edges, where pixels are mixed"
    assert (fitted == IGNORED).any() == (resize == "pad" and size[0] != size[1])


def test_light_augmentation_moves_masks_with_their_pixels() -> None:
    pairs = [drawn(number, side=32) for number in range(16)]
    pixels, masks = (np.stack(part) for part in zip(*pairs, strict=True))
    masks[masks == 9] = 0
    views = augment_batch({"pixels": pixels, "targets": masks}, policy="light", seed=_SEED)
    assert views["targets"].dtype == tf.uint8 and views["targets"].shape == masks.shape
    # Brightness and contrast move, but what is bright stays the square.
    middle = tf.reduce_mean(views["pixels"], axis=-1).numpy()
    bright = middle > (middle.max(axis=(1, 2)) + middle.min(axis=(1, 2)))[:, None, None] / 2
    assert ((views["targets"].numpy() == 7) == bright).mean() >= 0.98
    assert not np.array_equal(views["targets"], masks)


def test_rand_augment_moves_masks_with_their_pixels() -> None:
    rng = np.random.default_rng(0)
    masks = np.zeros((64, 32, 32), np.uint8)  # no value that solarizing would bring near to the other one's
    for mask in masks:
        top, left = rng.integers(2, 14, 2)
        mask[top : top + 12, left : left + 10] = 1
    pixels = np.where(masks[..., None] == 1, np.uint8(150), np.uint8(30)) * np.ones(3, np.uint8)
    views = augment_batch({"pixels": pixels, "targets": masks}, policy="rand_augment", seed=_SEED)
    explained = []
    for view, mask in zip(views["pixels"].numpy().mean(-1), views["targets"].numpy(), strict=True):
        judged = mask != IGNORED
        inside, outside = view[judged & (mask == 1)], view[judged & (mask == 0)]
        total = np.var(view[judged]) * judged.sum()
        if total > 100 and len(inside) and len(outside):
            explained.append(1 - (np.var(inside) * len(inside) + np.var(outside) * len(outside)) / total)
    assert len(explained) > 40 and np.median(explained) > 0.9 and min(explained) > 0.5
    assert (views["targets"].numpy() == IGNORED).any(), "what comes in from outside is not asked of"
    again = augment_batch({"pixels": pixels, "targets": masks}, policy="rand_augment", seed=_SEED)
    np.testing.assert_array_equal(again["targets"], views["targets"])


def test_cutmix_pastes_masks_and_mixup_is_refused() -> None:
    masks = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((1, 16, 16), np.uint8)
    batch = {"pixels": tf.constant(masks[..., None] * 10.0), "targets": tf.constant(masks)}
    mixed = mix_batch(batch, mixing="cutmix", seed=_SEED)
    np.testing.assert_array_equal(mixed["pixels"][..., 0], tf.cast(mixed["targets"], tf.float32) * 10)
    assert not np.array_equal(mixed["targets"], masks)
    with pytest.raises(ValueError, match="mixup"):
        mix_batch(batch, mixing="mixup", seed=_SEED)


def test_batches_carry_masks() -> None:
    image = ImageSpec(24, 24)
    splits = load_image_splits(source="shapes", targets=masked(MaskCoding(image)))
    assert splits.class_names == ("background", "circle", "square", "triangle")
    pixels, targets = next(iter(training_batches(splits.train, image, batch_size=8)))
    assert pixels.shape == (8, 24, 24, 3) and targets.shape == (8, 24, 24) and targets.dtype == tf.uint8
    _, held_out = next(iter(evaluation_batches(splits.test, image, batch_size=8)))
    np.testing.assert_array_equal(held_out, splits.test.labels[:8])
    assert int(strata(splits.train.labels).max()) >= 1, "split by the rarest class that an image shows"


@pytest.mark.parametrize("source", ["digits", "shapes"])
def test_a_source_of_another_kind_is_refused(source: Any) -> None:
    targets = masked() if source == "digits" else Targets()
    with pytest.raises(DataError, match=r"has no masks|has masks, or boxes, not labels"):
        load_image_splits(source=source, targets=targets)
