"""What people do wrong: the command line says what and how to mend it, exits with 1, and nothing is lost."""

import json
from pathlib import Path

# Without what takes long, for tests of what comes before it.
HEAD_ONLY = ("fine_tune=null", "export=null")


def damage(photos: Path, *names: str) -> None:
    """Cut files off in the middle, as a broken download does."""
    for name in names:
        whole = (photos / name).read_bytes()
        (photos / name).write_bytes(whole[: len(whole) // 2])


def test_missing_folder_is_named(recipe, tfkit):
    told = tfkit("run", recipe, "data.directory=photoss")
    assert told.status == 1
    assert "error: the image folder 'photoss' does not exist" in told.err and "hint: check data.directory" in told.err


def test_empty_folder_is_told_with_the_layout_to_use(recipe, tfkit):
    Path("empty").mkdir()
    told = tfkit("run", recipe, "data.directory=empty")
    assert told.status == 1 and "'empty'" in told.err and "<folder>/<class>/" in told.err


def test_one_class_is_not_enough(recipe, tfkit, draw_photos):
    draw_photos(Path("one"), classes=("apple",), count=4)
    told = tfkit("run", recipe, "data.directory=one")
    assert told.status == 1 and "only one class was found: 'apple'" in told.err


def test_empty_class_folder_is_named(recipe, tfkit, draw_photos):
    draw_photos(Path("photos"), count=4)
    Path("photos/empty").mkdir()
    told = tfkit("run", recipe, "data.directory=photos")
    assert told.status == 1 and "'empty'" in told.err


def test_all_damaged_images_are_named_with_how_to_skip_them(recipe, tfkit, draw_photos):
    """Of every kind, for each decoder has words of its own to keep off the terminal."""
    from PIL import Image

    photos = draw_photos(Path("photos"), count=6)
    kinds = ("jpg", "png", "gif", "bmp", "webp")
    for kind in kinds:
        with Image.open(photos / "sky/5.jpg") as image:
            image.save(photos / f"sky/cut.{kind}")
            image.save(photos / f"leaf/holed.{kind}")
        damage(photos, f"sky/cut.{kind}")
        content = (photos / f"leaf/holed.{kind}").read_bytes()
        (photos / f"leaf/holed.{kind}").write_bytes(content[:60] + bytes(10) + content[70 : len(content) * 3 // 4])
    told = tfkit("run", recipe, "data.directory=photos")
    assert told.status == 1 and "data.bad_images=skip" in told.err
    for kind in kinds:
        assert f"  sky/cut.{kind}: " in told.err and f"  leaf/holed.{kind}: " in told.err


def test_skipped_images_are_listed_in_the_reports(recipe, tfkit, draw_photos):
    damage(draw_photos(Path("photos"), count=6), "leaf/2.jpg")
    told = tfkit("run", recipe, "data.directory=photos", "data.bad_images=skip", *HEAD_ONLY)
    assert (told.status, told.err) == (0, "")
    left_out = json.loads(Path("runs/mine/data_report.json").read_text())["left_out"]
    assert [item["name"] for item in left_out] == ["leaf/2.jpg"]
    assert "leaf/2.jpg" in Path("runs/mine/report.html").read_text()


def test_unknown_backbone_is_told_with_the_nearest(recipe, tfkit):
    told = tfkit("run", recipe, "model.backbone=mobilnet_v2", *HEAD_ONLY)
    assert told.status == 1 and "no backbone 'mobilnet_v2'; did you mean mobilenet_v2" in told.err


def test_a_mended_command_is_not_refused_for_what_the_mistake_left(recipe, tfkit):
    assert tfkit("run", recipe, "model.backbone=resnet9", *HEAD_ONLY).status == 1
    told = tfkit("run", recipe, "model.backbone=resnet8", *HEAD_ONLY)
    assert (told.status, told.err) == (0, "")


def test_weights_of_another_network_are_told_with_the_layer_and_both_shapes(recipe, tfkit):
    from tfkit.artifacts import ImageSpec
    from tfkit.models import build_backbone

    build_backbone("resnet8", image=ImageSpec(32, 32, channels=1)).save_weights("grey.weights.h5")
    told = tfkit("run", recipe, "model.weights=grey.weights.h5", *HEAD_ONLY)
    assert told.status == 1 and "'grey.weights.h5' do not fit" in told.err
    assert "(3, 3, 3, 16)" in told.err and "(3, 3, 1, 16)" in told.err


def test_missing_and_damaged_weights_files_are_told(recipe, tfkit):
    told = tfkit("run", recipe, "model.weights=none.weights.h5", *HEAD_ONLY)
    assert told.status == 1 and "there is no weights file 'none.weights.h5'" in told.err
    Path("broken.weights.h5").write_bytes(b"not weights")
    told = tfkit("run", recipe, "model.weights=broken.weights.h5", "run.name=second", *HEAD_ONLY)
    assert told.status == 1 and "'broken.weights.h5' cannot be read as weights" in told.err


def test_all_faults_of_a_recipe_are_told_at_once_with_their_lines(recipe, tfkit):
    text = recipe.read_text().replace("image_size: 32", 'image_size: "32"').replace("batch_size: 16", "batchsize: 16")
    recipe.write_text(text.replace("policy: light", "policy: heavy"))
    told = tfkit("run", recipe, "head.epochs=0", "hed.epochs=2")
    assert told.status == 1 and told.out == ""
    assert "error: 5 faults in the recipe" in told.err
    line_of = {line.split(":")[0].strip(): number for number, line in enumerate(recipe.read_text().splitlines(), 1)}
    wrong_type, unknown, wrong_value = (f"(mine.yaml:{line_of[key]})" for key in ("image_size", "batchsize", "policy"))
    for told_of, place in (
        ("data.image_size must be a whole number of pixels or [height, width]; got '32'", wrong_type),
        ("data.batchsize is not a known key; did you mean batch_size?", unknown),
        ("augmentation.policy must be 'none', 'light' or 'rand_augment'; got 'heavy'", wrong_value),
        ("head.epochs must be a whole number of 1 or more; got 0", "(command line)"),
        ("hed is not a section; did you mean head?", "(command line)"),
    ):
        assert f"{told_of} {place}" in told.err
    assert not Path("runs").exists()


def test_an_existing_run_is_never_overwritten_but_set_aside_on_request(recipe, tfkit):
    earlier = {"recipe.yaml": b"recipe: x", "models/float.keras": b"months of work", "report.html": b"<html>"}
    for name, content in earlier.items():
        (Path("runs/mine") / name).parent.mkdir(parents=True, exist_ok=True)
        (Path("runs/mine") / name).write_bytes(content)
    told = tfkit("run", recipe, *HEAD_ONLY)
    assert told.status == 1 and "'runs/mine' exists already" in told.err and "run.overwrite=true" in told.err
    assert "kept:" not in told.err
    assert {name: (Path("runs/mine") / name).read_bytes() for name in earlier} == earlier
    assert tfkit("run", recipe, "run.overwrite=true", *HEAD_ONLY).status == 0
    assert {name: (Path("runs/mine.previous-1") / name).read_bytes() for name in earlier} == earlier
    assert json.loads(Path("runs/mine/report.json").read_text())["name"] == "mine"


def test_asking_for_more_labels_than_there_are_keeps_all_and_says_so(recipe, tfkit):
    told = tfkit("run", recipe, "data.labels_per_class=1000", *HEAD_ONLY)
    assert (told.status, told.err) == (0, "")
    data = json.loads(Path("runs/mine/data_report.json").read_text())
    assert set(data["kept"]["train"].values()) == {14}  # 20 a class, less a fifth for testing, less a tenth of 16
    assert any("1000" in note and "all" in note for note in data["notes"]), data["notes"]


def test_a_refused_file_exits_with_3_and_says_why(recipe, tfkit):
    told = tfkit("run", recipe, "acceptance.max_bytes=1", "export.formats=[tflite_float32]", "fine_tune=null")
    assert told.status == 3
    report = json.loads(Path("runs/mine/report.json").read_text())
    (artifact,) = report["artifacts"]
    assert report["accepted"] is False and artifact["accepted"] is False
    assert "model_float32.tflite" in artifact["refusals"][0] and f"{artifact['bytes']:,}" in artifact["refusals"][0]
    assert "refused" in told.out and artifact["refusals"][0] in " ".join(told.out.split())
    assert Path("runs/mine/artifacts/model_float32.tflite").is_file()
    assert artifact["refusals"][0] in Path("runs/mine/report.html").read_text()
