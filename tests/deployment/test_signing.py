"""A signed folder: one changed byte, one file more or less, and another's key are refused by name."""

import json
import shutil
from pathlib import Path

import pytest

from tfkit.artifacts import Artifact, ImageSpec, ModelSignature, TensorSpec, write_manifest
from tfkit.cli.main import main
from tfkit.deployment import Bundle, new_bundle, read_bundle, seal_bundle, sign_folder, verify_signature

pytest.importorskip("model_signing", reason="needs the extra 'sign'")
SAID = Bundle("serving", "digits", {"1": "0" * 64}, {"stable": 1}, ("one thing",), ("another",), "tfkit", {})


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`mine.pem`, `mine.pub` and another's, on P-256; `rsa.pem`; and `locked.pem`, which has a password."""
    from cryptography.hazmat.primitives import serialization as to
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    folder, open_ = tmp_path_factory.mktemp("keys"), to.NoEncryption()
    for name in ("mine", "another"):
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(to.Encoding.PEM, to.PrivateFormat.PKCS8, open_)
        (folder / f"{name}.pem").write_bytes(pem)
        public = key.public_key().public_bytes(to.Encoding.PEM, to.PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pub").write_bytes(public)
    locked = key.private_bytes(to.Encoding.PEM, to.PrivateFormat.PKCS8, to.BestAvailableEncryption(b"secret"))
    (folder / "locked.pem").write_bytes(locked)
    other = rsa.generate_private_key(65537, 2048)
    (folder / "rsa.pem").write_bytes(other.private_bytes(to.Encoding.PEM, to.PrivateFormat.PKCS8, open_))
    return folder


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    """An artifacts folder with two files."""
    folder, made = tmp_path / "run" / "artifacts", []
    folder.mkdir(parents=True)
    for name in ("model_float32.tflite", "model_int8.tflite"):
        (folder / name).write_bytes(name.encode() * 9)
        signature = ModelSignature(
            (TensorSpec("pixels", (1, 8, 8, 3), "uint8"),), (TensorSpec("scores", (1, 2), "uint8"),)
        )
        made.append(Artifact(folder / name, "tflite", "none", signature, ImageSpec(8, 8), ("ants", "bees"), "a test"))
    write_manifest(tuple(made), folder)
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    with new_bundle(tmp_path / "bundle") as folder:
        (folder / "models").mkdir()
        (folder / "models/model.pb").write_bytes(bytes(range(256)))
        (folder / "SERVING.md").write_text("start it so\n")
        (folder / "api_keys.conf").write_text("# none\n")
        seal_bundle(folder, SAID)
    return tmp_path / "bundle"


def _reasons(folder: Path, key: Path) -> str:
    return " ".join(verify_signature(folder, public_key=key).reasons)


def test_every_change_of_a_signed_folder_is_named(artifacts: Path, keys: Path) -> None:
    signed = sign_folder(artifacts.parent, key=keys / "mine.pem")  # a run's folder is named: its artifacts are signed
    assert signed.file == artifacts / "model.sig" and signed.signed == 5
    found = verify_signature(artifacts, public_key=keys / "mine.pub")
    assert not found.reasons and found.signed == 5 and found.key_sha256 == signed.key_sha256
    for file in sorted(path for path in artifacts.iterdir() if path.name != "model.sig"):
        content = file.read_bytes()
        file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        assert _reasons(artifacts, keys / "mine.pub") == f"'{file.name}' has other bytes than were signed"
        file.unlink()
        assert _reasons(artifacts, keys / "mine.pub") == f"'{file.name}' was signed and is missing"
        file.write_bytes(content)
    for name in ("added.tflite", ".gitattributes"):  # the library itself passes over files of git
        (artifacts / name).write_text("new")
        assert _reasons(artifacts, keys / "mine.pub") == f"'{name}' was added after the signature"
        (artifacts / name).unlink()
    (artifacts / "labels.txt").rename(artifacts.parent / "labels.txt")
    (artifacts / "labels.txt").symlink_to(artifacts.parent / "labels.txt")
    assert "labels.txt" in _reasons(artifacts, keys / "mine.pub"), "a link leads out of the folder"


def test_a_copy_under_another_name_is_still_signed(artifacts: Path, keys: Path, tmp_path: Path) -> None:
    sign_folder(artifacts, key=keys / "mine.pem")
    copied = shutil.copytree(artifacts, tmp_path / "elsewhere")
    assert not verify_signature(copied, public_key=keys / "mine.pub").reasons


def test_another_key_and_a_changed_signature_are_refused(artifacts: Path, keys: Path) -> None:
    signature = sign_folder(artifacts, key=keys / "mine.pem").file
    assert "was not made with the key" in _reasons(artifacts, keys / "another.pub")
    said = json.loads(signature.read_text())
    # Another's signature under my key's name, and a signature that names no key.
    sign_folder(artifacts, key=keys / "another.pem")
    forged = json.loads(signature.read_text())
    for material in (said["verificationMaterial"], {**said["verificationMaterial"], "publicKey": {}}):
        signature.write_text(json.dumps({**forged, "verificationMaterial": material}))
        assert "was not made with the key" in _reasons(artifacts, keys / "mine.pub")
    for text in ("{}", "[]", "not JSON", ""):
        signature.write_text(text)
        assert "is damaged" in _reasons(artifacts, keys / "mine.pub")


def test_a_changed_folder_is_not_signed(artifacts: Path, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (artifacts / "model_int8.tflite").write_bytes(b"other")
    assert main(["sign", str(artifacts), "--key", str(keys / "mine.pem")]) == 1
    assert "model_int8.tflite" in capsys.readouterr().err and not (artifacts / "model.sig").exists()
    assert main(["sign", str(keys), "--key", str(keys / "mine.pem")]) == 1
    assert "neither an artifacts folder nor a bundle" in capsys.readouterr().err


def test_what_is_no_key_is_told(artifacts: Path, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, told in (
        ("mine.pub", "no key that can be used"),
        ("rsa.pem", "no key that can be used"),
        ("locked.pem", "Password"),
        ("nowhere.pem", "cannot be read"),
    ):
        assert main(["sign", str(artifacts), "--key", str(keys / name)]) == 1
        error = capsys.readouterr().err
        assert told in error and "openssl" in error and not (artifacts / "model.sig").exists()


def test_a_signed_bundle_is_read_as_before(bundle: Path, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(bundle), "--public-key", str(keys / "mine.pub")]) == 3
    assert "is not signed" in capsys.readouterr().out
    assert main(["sign", str(bundle), "--key", str(keys / "mine.pem")]) == 0
    (bundle / "api_keys.conf").write_text('"abc" 1;\n')  # the user's own
    (bundle / "node_modules/.bin").mkdir(parents=True)
    (bundle / "node_modules/.bin/esbuild").symlink_to("../esbuild")
    assert read_bundle(bundle) == SAID and main(["verify", str(bundle)]) == 0
    assert "by whom was not asked: --public-key" in capsys.readouterr().out
    assert main(["verify", str(bundle), "--public-key", str(keys / "mine.pub")]) == 0
    told = capsys.readouterr().out
    assert "signed: 4 files" in told and "every file is as it was written" in told
    assert main(["verify", str(bundle), "--public-key", str(keys / "another.pub")]) == 3
    (bundle / "models/model.pb").write_bytes(b"other")
    capsys.readouterr()
    assert main(["verify", str(bundle), "--public-key", str(keys / "mine.pub"), "--json"]) == 3
    told = capsys.readouterr()
    assert "models/model.pb" in told.err and not json.loads(told.out)["accepted"]
