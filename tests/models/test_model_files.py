"""Model files: old ones load, broken ones are told, good ones are never lost."""

import json
import os
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from tfkit.errors import ModelError, RunError
from tfkit.models import load_model_file, save_model_file, with_dtype_policy
from tfkit.models.pretrained import load_weights_file


def small_model() -> keras.Model:
    return keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.DepthwiseConv2D(3), keras.layers.Flatten(), keras.layers.Dense(2)]
    )


def test_a_keras_2_file_whose_depthwise_carries_groups_loads_and_saves_again(tmp_path: Path) -> None:
    file = tmp_path / "keras2.h5"
    small_model().save(file)
    with h5py.File(file, "r+") as content:
        config = json.loads(content.attrs["model_config"])
        next(x for x in config["config"]["layers"] if x["class_name"] == "DepthwiseConv2D")["config"]["groups"] = 1
        content.attrs["model_config"] = json.dumps(config)
    with pytest.raises(Exception, match="groups"):
        keras.models.load_model(file, compile=False)
    model = load_model_file(file)
    save_model_file(model, tmp_path / "keras3.keras")
    assert load_model_file(tmp_path / "keras3.keras").output_shape == (None, 2)


@pytest.mark.parametrize("content", [b"", b"not a model"])
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_a_file_that_is_no_model_is_told(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model_file(tmp_path / name)


@pytest.mark.parametrize(
    ("written", "changed", "told"),
    [
        ('{"name": "float32"}', '{"nome": "float32"}', "a DTypePolicy in it has a setting that it cannot have, 'nome'"),
        ('"units"', '"unite"', "a Dense in it lacks a setting that it must have, 'units'"),
        ('"class_name"', '"class_nane"', "its description lacks 'class_name'"),
    ],
)
def test_settings_with_a_changed_byte_are_named(tmp_path: Path, written: str, changed: str, told: str) -> None:
    file = tmp_path / "m.h5"
    small_model().save(file)
    content = file.read_bytes()
    assert written.encode() in content
    file.write_bytes(content.replace(written.encode(), changed.encode()))
    with pytest.raises(ModelError, match=told) as fault:
        load_model_file(file)
    assert "unexpected" not in str(fault.value)


def test_a_weights_file_is_not_taken_for_a_model(tmp_path: Path) -> None:
    small_model().save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ModelError, match="weights without the model") as told:
        load_model_file(tmp_path / "m.weights.h5")
    assert "model.backbone" in told.value.hint


def test_an_unfinished_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model at") as told:
        load_model_file(tmp_path)
    assert "not finished" in told.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk_keeps_the_old_file_and_rescues_the_new_model(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        save_model_file(small_model(), disk / "m.keras")
        before = (disk / "m.keras").read_bytes()
        large = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2000)])
        with pytest.raises(RunError, match="the disk is full") as told:
            save_model_file(large, disk / "m.keras")
        assert (disk / "m.keras").read_bytes() == before
        assert sorted(path.name for path in disk.iterdir()) == ["m.keras"]
        rescued = Path(told.value.hint.split("'")[1])
        assert load_model_file(rescued).output_shape == (None, 2000)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_mixed_precision_and_back_keeps_every_weight() -> None:
    model = small_model()
    mixed = with_dtype_policy(model, "mixed_bfloat16")
    assert mixed.layers[0].compute_dtype == "bfloat16"
    again = with_dtype_policy(mixed, "float32")
    x = np.ones((1, 8, 8, 3), "float32")
    np.testing.assert_array_equal(again.predict_on_batch(x), model.predict_on_batch(x))


def test_a_changed_byte_in_a_keras_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "model.keras"
    small_model().save(file)
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        weights = archive.getinfo("model.weights.h5")
    content[weights.header_offset + 200 + weights.file_size // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.keras' .*the check sum of its 'model\.weights\.h5' is wrong"):
        load_model_file(file)


def test_a_keras_file_that_inflates_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "bomb.keras"
    small_model().save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as good, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
        for name in good.namelist():
            bomb.writestr(name, good.read(name) if name != "config.json" else b" " * 600_000_000)
    with pytest.raises(ModelError, match=r"'config\.json' would inflate from 0\.6 MB to 0\.6 GB"):
        load_model_file(file)


def _endless(path: Path) -> Path:
    """An HDF5 file whose first text lies in a heap where an object has no size: HDF5 walks on the spot."""
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL") + 16
    content[heap : heap + 16] = bytes(16)
    path.write_bytes(content)
    return path


def test_an_hdf5_file_that_is_read_without_end_is_told(tmp_path: Path) -> None:
    small_model().save(tmp_path / "model.h5")
    with pytest.raises(ModelError, match=r"model\.h5' .*HDF5 reads it without end"):
        load_model_file(_endless(tmp_path / "model.h5"))
    with pytest.raises(ModelError, match=r"model\.h5' cannot be read as weights.*without end"):
        load_weights_file(small_model(), tmp_path / "model.h5")


def test_a_keras_file_that_holds_such_an_hdf5_file_is_told(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.attrs["text"] = "letters"
    small_model().save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as good, zipfile.ZipFile(tmp_path / "bad.keras", "w") as bad:
        for name in good.namelist():
            endless = name.endswith(".h5") and _endless(tmp_path / "weights.h5").read_bytes()
            bad.writestr(name, endless or good.read(name))
    with pytest.raises(ModelError, match=r"bad\.keras' .*HDF5 reads it without end"):
        load_model_file(tmp_path / "bad.keras")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda file: file.create_dataset("zeros", (1 << 28,), "float32"), "its '/zeros' would inflate to 1.1 GB"),
        (lambda file: file.__setitem__("far", h5py.ExternalLink("other.h5", "/x")), "its 'far' lies in another file"),
        (
            lambda file: file.create_dataset("far", (1,), "float32", external="/etc/hostname"),
            "its '/far' lies in another file",
        ),
    ],
)
def test_an_hdf5_file_that_claims_what_it_does_not_hold_is_told(
    change: Callable[[h5py.File], object], told: str, tmp_path: Path
) -> None:
    small_model().save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "a") as file:
        change(file)
    with pytest.raises(ModelError, match=told):
        load_model_file(tmp_path / "model.h5")


@pytest.mark.parametrize("setting", ["units", "input_shape"])
def test_a_model_that_asks_for_more_weights_than_it_holds_is_told_before_they_are_made(
    setting: str, tmp_path: Path
) -> None:
    """A layer built for 1,000,000,000 features took twelve gigabytes, and the process with them."""
    dense = keras.layers.Dense(3, name="odd")
    keras.Sequential([keras.Input((4,)), dense]).save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as good, zipfile.ZipFile(tmp_path / "odd.keras", "w") as odd:
        for name in good.namelist():
            content = good.read(name)
            if name == "config.json":
                settings = json.loads(content)
                described = next(one for one in settings["config"]["layers"] if one["class_name"] == "Dense")
                if setting == "units":
                    described["config"]["units"] = 10**9
                else:
                    described["build_config"]["input_shape"][-1] = 10**9
                content = json.dumps(settings).encode()
            odd.writestr(name, content)
    with pytest.raises(ModelError, match=r"odd\.keras' .*its layer 'odd' asks for weights of shape \(.*1000000000"):
        load_model_file(tmp_path / "odd.keras")
    assert load_model_file(tmp_path / "good.keras").count_params() == 15


@pytest.mark.parametrize("nested", [False, True])
def test_a_model_whose_layer_gives_more_than_memory_holds_is_told(nested: bool, tmp_path: Path) -> None:
    inputs = keras.Input((16, 16, 3))
    inner = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.ZeroPadding2D(10**6, name="wide")])
    wide = inner(inputs) if nested else inner.get_layer("wide")(inputs)
    keras.Model(inputs, keras.layers.GlobalMaxPooling2D()(wide)).save(tmp_path / "odd.keras")
    with pytest.raises(ModelError, match=r"odd\.keras' .* its layer 'wide' gives 12,000,192,000,768 numbers"):
        load_model_file(tmp_path / "odd.keras")


def test_a_model_whose_layer_cannot_be_called_is_told(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Rescaling(1.0, offset=[])]).save(tmp_path / "odd.keras")
    with pytest.raises(ModelError, match=r"odd\.keras' cannot be run: its layer Rescaling fails: Incompatible shapes"):
        load_model_file(tmp_path / "odd.keras")


def test_a_model_without_layers_is_told(tmp_path: Path) -> None:
    keras.Sequential().save(tmp_path / "empty.keras")
    with pytest.raises(ModelError, match="holds no layer"):
        load_model_file(tmp_path / "empty.keras")
