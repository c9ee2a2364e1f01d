import pytest

from tfkit.artifacts import ImageSpec
from tfkit.data import load_image_examples, load_image_splits, pixel_batches
from tfkit.errors import DataError


def _manifest(folder, lines, name="labels.csv"):
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _rows(folder):
    return [f"{file.relative_to(folder)},{file.parent.name}" for file in sorted(folder.rglob("*.jpg"))]


def test_rows_are_split_by_class(image_folder):
    folder = image_folder({"ants": 10, "bees": 10})
    splits = load_image_splits(source="csv", train=_manifest(folder, ["path,label", *_rows(folder)]))
    assert splits.class_names == ("ants", "bees")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (14, 2, 4)
    assert next(pixel_batches(splits.test, ImageSpec(16, 16), batch_size=4)).shape == (4, 16, 16, 3)


def test_split_column_decides(image_folder):
    folder = image_folder({"ants": 6, "bees": 6})
    parts = ["train"] * 4 + ["val", "test"]
    rows = [f"{row},{parts[number % 6]}" for number, row in enumerate(_rows(folder))]
    splits = load_image_splits(source="csv", directory=_manifest(folder, ["Path, Label, Split", *rows]))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (8, 2, 2)


def test_two_manifests_are_two_splits(image_folder):
    folder = image_folder({"ants": 10, "bees": 10})
    rows = _rows(folder)
    train = _manifest(folder, ["path,label", *rows[:7], *rows[10:17]], "train.csv")
    test = _manifest(folder, ["path,label", *rows[7:10], *rows[17:]], "test.csv")
    splits = load_image_splits(source="csv", directory=folder, train=train, test=test)
    assert len(splits.test) == 6


def test_missing_files_are_damaged_images_with_their_names(image_folder):
    folder = image_folder({"ants": 4, "bees": 4})
    path = _manifest(folder, ["path,label", *_rows(folder), "gone.jpg,ants"])
    with pytest.raises(DataError, match=r"gone.jpg: it cannot be read \(No such file"):
        load_image_splits(source="csv", train=path)


def test_all_faulty_rows_are_told_at_once(image_folder):
    folder = image_folder({"a": 2})
    path = _manifest(folder, ["path,label,split", "a/000.jpg,,train", ",a,train", "a/001.jpg,a,trian"])
    with pytest.raises(DataError) as caught:
        load_image_splits(source="csv", train=path)
    message = str(caught.value)
    assert "line 2: its label is empty" in message
    assert "line 3: its path is empty" in message
    assert "line 4: split must be train, val or test; got 'trian'" in message


@pytest.mark.parametrize(
    ("lines", "message"),
    [(["image,class", "a,b"], "no column path and label; it has image, class"), (["path,label"], "there is no row")],
)
def test_manifests_that_cannot_be_used_say_why(tmp_path, lines, message):
    with pytest.raises(DataError, match=message):
        load_image_splits(source="csv", train=_manifest(tmp_path, lines))


def test_a_csv_is_a_labelled_set(image_folder):
    folder = image_folder({"ants": 3, "bees": 2})
    examples = load_image_examples(_manifest(folder, ["path,label", *_rows(folder)]), class_names=["bees", "ants"])
    assert examples.class_counts() == {"bees": 2, "ants": 3}
