"""Images are looked at once: what is remembered, what is too large, what is there twice or nearly so."""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from tfkit.data import load_image_splits
from tfkit.data.text import load_text_splits
from tfkit.errors import DataError

LONG_AGO = (1.6e9, 1.6e9)


def _load(folder, **options):
    return load_image_splits(source="image_folder", directory=folder, **options)


def _left_out(folder):
    return {item.name: item.reason for item in _load(folder, bad_images="skip").report.left_out}


@pytest.fixture
def old_folder(image_folder, tmp_path, monkeypatch):
    """Two classes of ten photos, last changed long ago; looks are remembered in tmp_path/cache."""
    monkeypatch.setenv("TFKIT_CACHE", str(tmp_path / "cache"))
    folder = image_folder({"a": 10, "b": 10})
    for path in folder.rglob("*.jpg"):
        os.utime(path, LONG_AGO)
    return folder


def _damage(path, *, changed):
    path.write_bytes(bytes(path.stat().st_size))
    os.utime(path, changed)


def test_a_file_that_has_not_changed_is_not_read_again(old_folder):
    assert _left_out(old_folder) == {}
    first, second = (old_folder / "a" / name for name in ("001.jpg", "002.jpg"))
    _damage(first, changed=LONG_AGO)
    _damage(second, changed=(1.6e9, 1.6e9 + 1))
    assert set(_left_out(old_folder)) == {"a/002.jpg"}


def test_what_was_left_out_is_remembered_with_its_reason(old_folder):
    (old_folder / "a" / "001.jpg").write_bytes(b"")
    os.utime(old_folder / "a" / "001.jpg", LONG_AGO)
    assert _left_out(old_folder) == _left_out(old_folder) == {"a/001.jpg": "it is empty"}


def test_a_copy_elsewhere_gives_the_same_splits(old_folder, tmp_path):
    before = _load(old_folder)
    old_folder.rename(tmp_path / "elsewhere")
    after = _load(tmp_path / "elsewhere")
    assert after.train.names == before.train.names and after.report == before.report


def test_a_damaged_memory_is_thrown_away(old_folder, tmp_path):
    before = _load(old_folder).report
    (memory,) = (tmp_path / "cache").iterdir()
    content = memory.read_bytes()
    for damaged in (b"not a database", content[:5000], content[:4096] + bytes(range(256)) * 16 + content[8192:]):
        memory.write_bytes(damaged)
        assert _load(old_folder).report == before
    assert _load(old_folder).report == before


def test_several_may_remember_at_once(old_folder, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        reports = [splits.report for splits in pool.map(lambda _: _load(old_folder), range(8))]
    assert all(report == reports[0] for report in reports)
    (memory,) = (tmp_path / "cache").iterdir()
    assert sqlite3.connect(memory).execute("SELECT count(*) FROM files").fetchone() == (20,)


@pytest.mark.parametrize("folder", ["off", "/proc/no/such/place"])
def test_nothing_needs_to_be_remembered(old_folder, tmp_path, monkeypatch, folder):
    monkeypatch.setenv("TFKIT_CACHE", folder)
    assert _left_out(old_folder) == {}
    assert not (tmp_path / "cache").exists()


def test_a_picture_of_too_many_pixels_is_left_out_and_back_with_a_larger_limit(old_folder):
    Image.new("1", (3000, 2000)).save(old_folder / "a" / "large.png")
    os.utime(old_folder / "a" / "large.png", LONG_AGO)
    (item,) = _load(old_folder, bad_images="skip", max_pixels=5_999_999).report.left_out
    assert item.reason == "it would be 3000 x 2000 pixels, more than data.max_pixels (5,999,999)"
    assert _load(old_folder, max_pixels=6_000_000).report.left_out == ()
    assert len(_load(old_folder, bad_images="skip", max_pixels=5_999_999).report.left_out) == 1


def test_a_folder_with_the_name_of_an_image_is_told(image_folder):
    folder = image_folder({"a": 10, "b": 10})
    (folder / "a" / "x.jpg").mkdir()
    assert _left_out(folder) == {"a/x.jpg": "it is a folder, not an image"}


def test_pictures_that_look_the_same_are_told_and_kept(image_folder):
    folder = image_folder({"train/a": 10, "train/b": 10, "test/a": 4, "test/b": 4})
    cells = np.random.default_rng(7).integers(0, 256, (20, 24, 3), np.uint8)
    picture = Image.fromarray(cells).resize((160, 120), Image.Resampling.BICUBIC)
    picture.save(folder / "train" / "a" / "original.png")
    picture.save(folder / "train" / "a" / "encoded.jpg", quality=50)
    ImageEnhance.Brightness(picture).enhance(1.1).save(folder / "test" / "a" / "brighter.jpg", quality=90)
    Image.new("RGB", (40, 40), "red").save(folder / "test" / "a" / "red.png")
    Image.new("RGB", (50, 50), "blue").save(folder / "train" / "b" / "blue.png")
    report = _load(folder).report
    group = ("train/a/encoded.jpg", "train/a/original.png", "test/a/brighter.jpg")
    assert report.near_duplicates == report.near_leakage == (group,)
    assert report.duplicates == report.leakage == () and sum(report.examples.values()) == 33
    assert report.to_json()["near_leakage"] == [list(group)]


@pytest.fixture
def leaking_folder(image_folder):
    folder = image_folder({"train/a": 10, "train/b": 10, "test/a": 5, "test/b": 5})
    for name in ("000.jpg", "001.jpg"):
        (folder / "test" / "a" / f"copy_{name}").write_bytes((folder / "train" / "a" / name).read_bytes())
    return folder


def test_what_lies_in_two_splits_is_kept_dropped_or_refused(leaking_folder):
    kept = _load(leaking_folder, validation_fraction=0.0)
    assert len(kept.report.leakage) == 2 and len(kept.train) == 20
    dropped = _load(leaking_folder, validation_fraction=0.0, on_leakage="drop")
    assert (len(dropped.train), len(dropped.test), dropped.report.leakage) == (18, 12, ())
    assert {item.name: item.reason for item in dropped.report.left_out} == {
        f"train/a/{name}": f"its content is in the test split too (test/a/copy_{name})"
        for name in ("000.jpg", "001.jpg")
    }
    with pytest.raises(DataError, match=r"2 images lie in two splits at once:\n  train/a/000.jpg = test/a/copy_000"):
        _load(leaking_folder, on_leakage="error")


def test_texts_in_two_splits_are_kept_dropped_or_refused(tmp_path):
    rows = [f"word {n},{'ab'[n % 2]}" for n in range(20)]
    (tmp_path / "train.csv").write_text("text,label\n" + "\n".join(rows))
    (tmp_path / "test.csv").write_text("text,label\n" + "\n".join(["Word  3,b", *(f"other {n},a" for n in range(4))]))
    given = {"source": "csv", "directory": tmp_path, "train": Path("train.csv"), "test": Path("test.csv")}
    assert len(load_text_splits(**given, validation_fraction=0.0).report.leakage) == 1
    dropped = load_text_splits(**given, validation_fraction=0.0, on_leakage="drop")
    assert "word 3" not in dropped.train.texts and len(dropped.train) == 19 and not dropped.report.leakage
    assert dropped.report.left_out[0].reason == "its content is in the test split too (test.csv:2)"
    with pytest.raises(DataError, match="1 text lies in two splits"):
        load_text_splits(**given, on_leakage="error")


def test_dropping_all_of_a_class_is_refused(image_folder):
    folder = image_folder({"train/a": 2, "train/b": 6, "test/a": 2, "test/b": 2})
    for name in ("000.jpg", "001.jpg"):
        (folder / "test" / "a" / name).write_bytes((folder / "train" / "a" / name).read_bytes())
    with pytest.raises(DataError, match="nothing is left to learn from of 'a'"):
        _load(folder, validation_fraction=0.0, on_leakage="drop")


def test_one_file_in_two_rows_of_a_table_is_seen(image_folder, tmp_path):
    folder = image_folder({"a": 10, "b": 10})
    rows = [f"{kind}/{number:03}.jpg,{kind},train" for kind in "ab" for number in range(10)]
    rows += ["a/000.jpg,a,test", "a/001.jpg,b,test", "b/002.jpg,b,test"]
    (folder / "m.csv").write_text("path,label,split\n" + "\n".join(rows))
    report = load_image_splits(source="csv", train=folder / "m.csv", validation_fraction=0.0).report
    assert report.leakage == tuple((name, name) for name in ("a/000.jpg", "a/001.jpg", "b/002.jpg"))
    assert "1 image appears under more than one class" in " ".join(report.notes)


def test_odd_shares_sizes_and_animations_are_told(image_folder, photo):
    folder = image_folder({"train/a": 60, "train/b": 5, "test/a": 3, "test/b": 3})
    photo(8, height=300, width=400).save(folder / "train" / "a" / "large.jpg")
    frames = [photo(90), photo(91)]
    for name in ("moving.gif", "moving.png", "moving.webp"):
        frames[0].save(folder / "train" / "a" / name, save_all=True, append_images=frames[1:])
    told = " ".join(_load(folder, validation_fraction=0.0).report.notes)
    assert "1 class has fewer than 10 training images: 'b' (5)." in told
    assert "The classes are uneven: 64 training images of 'a', 5 of 'b'" in told
    assert "The images are of 32 x 24 to 400 x 300 pixels, half of them 32 x 24 or larger." in told
    assert "Of 3 animations the first frame is used: train/a/moving.gif, train/a/moving.png" in told


def test_every_bit_of_a_check_is_the_same_with_memory(old_folder):
    first, second = _load(old_folder), _load(old_folder)
    assert first.report == second.report
    np.testing.assert_array_equal(first.train.indices, second.train.indices)
