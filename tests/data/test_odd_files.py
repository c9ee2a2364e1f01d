"""What lies in people's folders besides whole pictures: each thing is named, nothing hangs, nothing is dropped."""

import os
import socket
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from tfkit.data import ImageDecoder, load_image_examples, load_image_splits
from tfkit.data.text import load_text_splits
from tfkit.errors import DataError


def _jpeg(seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (96, 96, 3), np.uint8)
    return tf.io.encode_jpeg(pixels, quality=90).numpy()


def _damaged_scans():
    whole = _jpeg()
    middle = len(whole) // 2
    yield "zeros", whole[:middle] + bytes(400) + whole[middle + 400 :]
    yield "a hole", whole[:middle] + whole[middle + 300 :]
    yield "other bytes", whole[:middle] + bytes(range(1, 200)) + whole[middle + 199 :]


def _wrong_check_sum():
    content = bytearray(tf.io.encode_png(np.zeros((8, 8, 3), np.uint8)).numpy())
    place = content.index(b"IDAT") - 4
    content[place + 8 + int.from_bytes(content[place : place + 4], "big")] ^= 1
    return bytes(content)


def _load(folder, **options):
    return load_image_splits(source="image_folder", directory=folder, **options)


@pytest.fixture
def odd_folder(image_folder, tmp_path, monkeypatch):
    folder = image_folder({"a": 10, "b": 10})
    os.mkfifo(folder / "a" / "pipe.png")
    os.mkfifo(folder / "a" / "pipe")
    (folder / "a" / "gone.jpg").symlink_to("/nowhere/at/all.jpg")
    (folder / "a" / "loop.jpg").symlink_to("loop.jpg")
    (folder / "b" / "elsewhere").symlink_to(tmp_path)
    monkeypatch.chdir(folder / "b")  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as heard:
        heard.bind("s.png")
    return folder


def test_pipes_sockets_and_links_are_named(odd_folder):
    left_out = {item.name: item.reason for item in _load(odd_folder, bad_images="skip").report.left_out}
    assert set(left_out) == {"a/pipe.png", "a/pipe", "a/gone.jpg", "a/loop.jpg", "b/elsewhere", "b/s.png"}
    assert "pipe" in left_out["a/pipe.png"] and "link to '/nowhere/at/all.jpg'" in left_out["a/gone.jpg"]
    with pytest.raises(DataError, match="4 images of 24 cannot be used"):
        _load(odd_folder)


def test_damaged_scans_and_check_sums_are_named_though_they_decode(image_folder, capfd):
    folder = image_folder({"a": 80, "b": 80})
    bad = dict(_damaged_scans()) | {"check sum": _wrong_check_sum()}
    for name, content in bad.items():
        (folder / "a" / f"{name}.jpg").write_bytes(content)
    left_out = {item.name: item.reason for item in _load(folder, bad_images="skip").report.left_out}
    assert set(left_out) == {f"a/{name}.jpg" for name in bad}
    assert all("data is damaged" in reason for reason in left_out.values())
    assert "Corrupt JPEG" not in capfd.readouterr().err


def test_what_libjpeg_says_of_overwritten_pictures_stays_off_the_terminal(image_folder, capfd):
    folder = image_folder({"a": 10, "b": 10})
    rng = np.random.default_rng(0)
    for number in range(20):
        content = _jpeg(number)
        (folder / "a" / f"bad{number}.jpg").write_bytes(content[: len(content) // 2] + rng.bytes(len(content) // 2))
    assert len(_load(folder, bad_images="skip").report.left_out) == 20
    told = capfd.readouterr().err
    assert "marker" not in told and "read error" not in told and "Corrupt" not in told


def test_the_decoder_names_damage_of_single_pictures():
    decoder = ImageDecoder(channels=1)
    assert decoder.fault(_jpeg()) is None and decoder.warning(_jpeg()) is None
    for _, content in _damaged_scans():
        assert decoder.warning(content)
    assert decoder.fault(_wrong_check_sum()) == "its PNG data is damaged (the check sum of chunk IDAT is wrong)"


def test_a_file_name_that_is_not_utf_8_is_kept_and_shown(image_folder):
    folder = image_folder({"a": 10, "b": 10})
    (folder / "a" / os.fsdecode(b"\xff\xfe.jpg")).write_bytes(_jpeg(5))
    names = [name for part in ("train", "validation", "test") for name in getattr(_load(folder), part).names]
    assert r"a/\xff\xfe.jpg" in names


@pytest.mark.parametrize("name", [os.fsdecode(b"b\xff"), "b\nc", " b", "b\u2028c", "\x1b[31mb"])
def test_names_of_classes_that_labels_cannot_hold_are_refused(image_folder, name):
    folder = image_folder({"a": 6, name: 6})
    with pytest.raises(DataError, match="1 of 2 class names cannot be written as one line of text"):
        _load(folder)


def test_names_of_classes_in_texts_are_asked_too(tmp_path):
    path = tmp_path / "texts.csv"
    path.write_text("text,label\n" + "".join(f'word {n},"a\nb"\nother {n},c\n' for n in range(20)))
    with pytest.raises(DataError, match=r"cannot be written as one line of text: 'a\\nb'"):
        load_text_splits(source="csv", train=path)


@pytest.mark.parametrize("path", ["/dev/zero", "pipe.jpg", "a\0b.jpg", "gone.jpg", "."])
def test_a_csv_of_anything_but_files_names_its_rows(tmp_path, path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "good.jpg").write_bytes(_jpeg())
    (tmp_path / "m.csv").write_text(f"path,label\n{path},a\ngood.jpg,b\n")
    with pytest.raises(DataError, match="1 image of 2 cannot be used"):
        load_image_examples(tmp_path / "m.csv")


def test_data_files_that_are_no_files_are_refused(tmp_path):
    for name in ("p.csv", "p.npz", "p.jsonl"):
        os.mkfifo(tmp_path / name)
    for name in ("p.csv", "p.npz"):
        with pytest.raises(DataError, match=rf"{name}' cannot be read.*it is a pipe"):
            load_image_examples(tmp_path / name)
    with pytest.raises(DataError, match="it is a pipe"):
        load_text_splits(source="jsonl", train=tmp_path / "p.jsonl")


def test_a_csv_in_another_encoding_names_its_line(tmp_path):
    (tmp_path / "m.csv").write_bytes(b"path,label\na.jpg,caf\xe9\n")
    with pytest.raises(DataError, match="line 2 holds the byte 0xe9, which is not UTF-8"):
        load_image_examples(tmp_path / "m.csv")


def _npy(shape, content=b""):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (_npy((10**8, 64, 64)), "claims 409,600,000,000 bytes"),
        (_npy((600_000_000, 1, 1), bytes(600_000_000)), "would inflate from 0.6 MB to 0.6 GB"),
    ],
)
def test_archives_that_claim_or_inflate_too_much_are_not_unpacked(tmp_path, x, told):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", x)
        archive.writestr("y.npy", _npy((1,), b"\0"))
    with pytest.raises(DataError, match=rf"a\.npz' cannot be read as \.npz: .*{told}"):
        load_image_examples(tmp_path / "a.npz")


@pytest.mark.parametrize("codec", ["hex", "rot13", "undefined", "a\0b", "no-such"])
def test_encodings_that_are_none_of_text_are_refused(tmp_path, codec):
    (tmp_path / "t.csv").write_text("text,label\na,b\n")
    with pytest.raises(DataError, match="there is no encoding"):
        load_text_splits(source="csv", train=tmp_path / "t.csv", encoding=codec)
