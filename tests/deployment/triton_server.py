"""A real Triton for a bundle's model repository: the server of NVIDIA's wheel, behind a real nginx.

The wheel's server loads Python with Debian's own interpreter alone; the model's Python packages are those that the
bundle pins, in an environment of their own.
"""

import contextlib
import os
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.consumers.environments import Environment, NotInstallableError
from tests.deployment.ports import free_port, wait_for

PYTHON = "/usr/bin/python3"
SERVER = Environment(
    "triton",
    ("nvidia-pytriton==0.7.0", "tritonclient[grpc]==2.73.0", "protobuf<7"),
    python=PYTHON,
    libraries=("libpython3.*.so.1.0",),
)
KEY = "open-sesame"
_START_LIMIT_S, _STARTS = 120, 3


@dataclass(frozen=True)
class Started:
    """A server that is ready: its ports, its process, and how long it took until it was ready."""

    http: int
    grpc: int
    metrics: int
    process: subprocess.Popen[bytes]
    seconds: float

    def resident_bytes(self) -> int:
        """Of the server and the processes of its instances; what they share is counted once (PSS)."""
        process = psutil.Process(self.process.pid)
        return sum(one.memory_full_info().pss for one in (process, *process.children(recursive=True)))


def packages_of(bundle: Path) -> Environment:
    """What the bundle's requirements.txt names, for Triton's Python."""
    lines = (bundle / "requirements.txt").read_text().splitlines()
    return Environment("triton_model", tuple(line for line in lines if not line.startswith("#")), python=PYTHON)


def install(bundle: Path) -> tuple[Path, Path]:
    """The folder of the server's Python packages, and the model's environment.

    Raises:
        NotInstallableError: Says what this machine lacks.
    """
    if not Path(PYTHON).exists():
        raise NotInstallableError(f"no {PYTHON} on this machine, which Triton's wheel needs")
    (server,) = SERVER.folder().glob("lib/python3.*/site-packages")
    return server, packages_of(bundle).folder()


def arguments_of(bundle: Path) -> list[str]:
    """What the bundle's image starts Triton with, but for the place of the models."""
    (line,) = [one for one in (bundle / "Dockerfile").read_text().splitlines() if one.startswith("CMD [")]
    words = [word.strip(' "') for word in line.removeprefix("CMD [").removesuffix("]").split(",")]
    return [word for word in words if not word.startswith("--model-repository")]


@contextlib.contextmanager
def triton(bundle: Path, folder: Path) -> Iterator[Started]:
    """Start a copy of a bundle's models as its image would; the log is FOLDER/triton.log."""
    server, model = install(bundle)
    home = server / "pytriton" / "tritonserver"
    backend = folder / "backends" / "python"
    if not backend.exists():
        shutil.copytree(home / "backends" / "python", backend)
        version = server.parent.name.removeprefix("python")
        stub = home / "python_backend_stubs" / version / "triton_python_backend_stub"
        if not stub.exists():
            raise NotInstallableError(f"Triton's wheel has no stub for Python {version}")
        shutil.copyfile(stub, backend / stub.name)
        (backend / stub.name).chmod(0o755)
    models = folder / f"models_{len(list(folder.glob('models_*')))}"
    shutil.copytree(bundle / "models", models)  # the image is read-only; here Python writes its caches
    ports = free_port(), free_port(), free_port()
    words = [str(home / "bin" / "tritonserver"), f"--model-repository={models}"]
    words += [*arguments_of(bundle), f"--backend-directory={backend.parent}"]
    for what, port in zip(("http", "grpc", "metrics"), ports, strict=True):
        words += [f"--{what}-address=127.0.0.1", f"--{what}-port={port}"]
    said = os.environ | {
        "LD_LIBRARY_PATH": f"{server / 'nvidia_pytriton.libs'}:/usr/lib/x86_64-linux-gnu",
        "PATH": f"{model / 'bin'}:{os.environ['PATH']}",  # as in the bundle's image
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for attempt in range(_STARTS):
        began = time.perf_counter()
        with (folder / "triton.log").open("ab") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log, env=said, cwd=folder)
        regions: set[Path] = set()
        try:
            try:
                _wait_until_ready(process, ports[0], folder / "triton.log")
            except AssertionError as fault:
                # On a machine with too much to do its Python gives up after a second without a processor.
                if attempt + 1 < _STARTS and "lock_exception" in str(fault):
                    continue
                raise
            regions = _shared_memory(process)
            yield Started(*ports, process, time.perf_counter() - began)
            return
        finally:
            _end(process, regions)


def _shared_memory(process: subprocess.Popen[bytes]) -> set[Path]:
    """What a server that is killed leaves behind in /dev/shm."""
    maps = Path(f"/proc/{process.pid}/maps").read_text()
    return {Path(found) for found in re.findall(r"/dev/shm/triton_python_backend\S+", maps)}


def _end(process: subprocess.Popen[bytes], regions: set[Path]) -> None:
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    for region in regions:
        region.unlink(missing_ok=True)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < until and process.poll() is None:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5),
        ):
            return
        time.sleep(0.05)
    raise AssertionError(f"Triton was not ready: {log.read_text(errors='replace')[-3000:]}")


@contextlib.contextmanager
def front(bundle: Path, started: Started, folder: Path) -> Iterator[tuple[int, int]]:
    """The bundle's nginx before it, which knows KEY: its ports for HTTP and for gRPC."""
    http, grpc = free_port(), free_port()
    said = (bundle / "nginx/nginx.conf").read_text()
    for written, here in (
        ("triton:8000", f"127.0.0.1:{started.http}"),
        ("triton:8001", f"127.0.0.1:{started.grpc}"),
        ("listen 8080", f"listen 127.0.0.1:{http}"),
        ("listen 8081", f"listen 127.0.0.1:{grpc}"),
        ("rate=50r/s", "rate=100000r/s"),  # all clients here have one key
        ("/tmp/", f"{folder}/"),
        ("/dev/stdout", str(folder / "nginx.log")),
        ("/dev/stderr", str(folder / "nginx_errors.log")),
    ):
        assert written in said, written
        said = said.replace(written, here)
    (folder / "nginx.conf").write_text(said)
    (folder / "api_keys.conf").write_text(f'"{KEY}" 1;\n')
    process = subprocess.Popen(["nginx", "-g", "daemon off;", "-c", str(folder / "nginx.conf")])
    try:
        wait_for(http)
        yield http, grpc
    finally:
        process.terminate()
        process.wait(30)
