"""Dockerfiles of bundles built for real, on Debian in place of the servers' own images, which cannot be had here."""

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.consumers.environments import DebianFolder, NotInstallableError
from tfkit.cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.consumers]
DEBIAN = DebianFolder(
    "debian", ("python3", "python3-pip", "python3-venv", "ca-certificates"), commands=("buildah", "debootstrap")
)
CERTIFICATES = "/etc/ssl/certs"  # of this machine, which may stand behind a proxy
Buildah = Callable[..., str]


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """The command, with a store of its own that holds `localhost/debian`; it gives what it printed."""
    try:
        debian = DEBIAN.folder()
    except NotInstallableError as fault:
        pytest.skip(str(fault))
    store, context = tmp_path_factory.mktemp("store"), tmp_path_factory.mktemp("debian")

    def called(*words: str | Path) -> str:
        at = ["buildah", "--storage-driver", "vfs", "--root", store / "root", "--runroot", store / "run"]
        done = subprocess.run([*at, *words], capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    subprocess.run(["tar", "-C", debian, "-cf", context / "debian.tar", "."], check=True)
    (context / "Dockerfile").write_text("FROM scratch\nADD debian.tar /\n")
    called("bud", "--isolation", "chroot", "--tag", "localhost/debian", context)
    (context / "debian.tar").unlink()
    yield called
    called("rm", "--all")
    called("rmi", "--all", "--force")


def built(buildah: Buildah, bundle: Path, folder: Path) -> str:
    """An image of the bundle's Dockerfile, all of it but the line that names the server's image."""
    lines = (bundle / "Dockerfile").read_text().splitlines()
    (named,) = [place for place, line in enumerate(lines) if line.startswith("FROM ")]
    lines[named] = "FROM localhost/debian"
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
    tag = f"localhost/{bundle.name}"
    how = ("--isolation", "chroot", "--network", "host", "--format", "docker")
    buildah(
        "bud",
        *how,
        "--volume",
        f"{CERTIFICATES}:{CERTIFICATES}:ro",
        "--file",
        folder / "Dockerfile",
        "--tag",
        tag,
        bundle,
    )
    return tag


def asked(buildah: Buildah, image: str, folder: Path, *words: str) -> str:
    """What a command prints in a container of an image, as the image's own user; `folder` is `/asked` there."""
    container = buildah("from", image).strip()
    how = ("--isolation", "chroot", "--network", "host", "--volume", f"{folder}:/asked:ro")
    return buildah("run", *how, container, "--", *words)


def test_the_image_for_tensorflow_serving(buildah: Buildah, bundle: Path, tmp_path: Path) -> None:
    image = built(buildah, bundle, tmp_path)
    said = json.loads(buildah("inspect", "--type", "image", image))["Docker"]["config"]
    assert said["User"] == "10001:10001" and said["Entrypoint"] == ["/usr/bin/tensorflow_model_server"]
    assert said["Healthcheck"]["Test"][0] == "CMD"
    model = "models/three-digits/1/saved_model.pb"
    digest = hashlib.sha256((bundle / model).read_bytes()).hexdigest()
    assert asked(buildah, image, tmp_path, "sha256sum", f"/{model}").split()[0] == digest
    assert asked(buildah, image, tmp_path, "id", "-u").strip() == "10001"


def test_the_image_for_triton_answers_as_proved(buildah: Buildah, files_run: Path, tmp_path: Path) -> None:
    """Its packages come from PyPI, and its own code answers in it without tfkit and TensorFlow."""
    folder = tmp_path / "digits-triton"
    assert main(["package", "triton", str(files_run), "--output", str(folder), "--name", "digits"]) == 0
    image = built(buildah, folder, tmp_path)
    rows = json.loads((folder / "golden/requests.json").read_text())
    given = tmp_path / "asked"
    given.mkdir()
    for number, row in enumerate(rows):
        (given / str(number)).write_bytes(base64.b64decode(row["instance"]["image_bytes"]["b64"]))
    words = ["/opt/model/bin/python3", "-B", "/models/digits/1/answering.py"]
    answers = json.loads(asked(buildah, image, given, *words, *(f"/asked/{number}" for number in range(len(rows)))))
    assert answers == [row["answer"] for row in rows]


def test_the_image_for_a_cpu_server(buildah: Buildah, files_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "digits-openvino"
    words = ["--output", str(folder), "--name", "digits", "--engine", "openvino"]
    assert main(["package", "server-cpu", str(files_run), *words]) == 0
    image = built(buildah, folder, tmp_path)
    found = asked(buildah, image, tmp_path, "find", "/models", "/config", "-type", "f").split()
    assert "/config/config.json" in found and any(name.endswith(".onnx") for name in found)
