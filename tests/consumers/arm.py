"""An aarch64 Linux without the machine: Debian's Python and the aarch64 wheels, under qemu's user emulation.

qemu-user-static runs each program; `-L` lays the folder over absolute paths, /proc/cpuinfo included, which LiteRT
reads to choose its kernels.
"""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.consumers.environments import Environment, NotInstallableError

QEMU = "qemu-aarch64-static"
_LIMIT_S = 900
_CPUINFO = """processor\t: 0
BogoMIPS\t: 50.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32{further}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x{variant}
CPU part\t: 0x{part}
CPU revision\t: 1

"""
# Arm's parts: without and with the dot product that newer kernels use.
PROCESSORS = {
    "cortex-a53": _CPUINFO.format(further="", variant="0", part="d03"),
    "cortex-a76": _CPUINFO.format(
        further=" atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp", variant="4", part="d0b"
    ),
}


@dataclass(frozen=True)
class ArmEnvironment(Environment):
    """Packages of PyPI for aarch64, beside Debian's arm64 Python; made once and kept."""

    def run(self, script: Path, *words: str, processor: str) -> subprocess.CompletedProcess[str]:
        """Run a Python script as a processor of `PROCESSORS` would."""
        root = self.folder()
        python = next((root / "usr/bin").glob("python3.*[0-9]"))
        variables = {"PYTHONHOME": "/usr", "PYTHONPATH": str(root / "wheels"), "PYTHONDONTWRITEBYTECODE": "1"}
        set_to = [word for name, value in variables.items() for word in ("-E", f"{name}={value}")]
        with tempfile.TemporaryDirectory() as temporary:  # two tests at once may ask for two processors
            seen = Path(temporary)
            for part in root.iterdir():
                if part.name != "proc":
                    (seen / part.name).symlink_to(part)
            (seen / "proc").mkdir()
            (seen / "proc/cpuinfo").write_text(PROCESSORS[processor])
            command = [QEMU, "-cpu", processor, "-L", str(seen), *set_to, str(python), str(script), *words]
            return subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S)

    def _install(self, folder: Path) -> None:
        debian = folder / "debian"
        for part in ("state/lists/partial", "archives/partial"):
            (debian / part).mkdir(parents=True)
        (debian / "state/status").touch()
        options = {"State": "state", "State::status": "state/status", "Cache": ".", "Cache::archives": "archives"}
        words = [f"-oDir::{name}={debian / place}" for name, place in options.items()]
        apt = ["apt-get", *words, "-oAPT::Architecture=arm64", "-oAPT::Architectures=arm64", "-qq"]
        _run([*apt, "update"])
        _run([*apt, "install", "--download-only", "--no-install-recommends", "--yes", "python3", "libstdc++6"])
        for package in sorted((debian / "archives").glob("*.deb")):
            _run(["dpkg-deb", "--extract", str(package), str(folder)])
        shutil.rmtree(debian)
        (python,) = (path.name.removeprefix("python") for path in (folder / "usr/bin").glob("python3.*[0-9]"))
        uv = [
            "uv",
            "pip",
            "install",
            "--quiet",
            "--python-platform",
            "aarch64-manylinux_2_28",
            "--only-binary",
            ":all:",
        ]
        _run([*uv, "--python-version", python, "--target", str(folder / "wheels"), *self.packages])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S)
    if done.returncode:
        told = " ".join((done.stderr or done.stdout).split())
        raise NotInstallableError(f"{' '.join(command[:2])} failed: {told[-300:]}")
