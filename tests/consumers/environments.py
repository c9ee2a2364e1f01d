"""Other people's runtimes, each in an environment of its own, made when it is first asked for and kept.

The folder is TFKIT_CONSUMERS, or `tfkit/consumers` in the user's cache.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

INSTALLED = ".installed"
_INSTALL_LIMIT_S = 900


class NotInstallableError(Exception):
    """This machine cannot have a consumer; says why."""


@dataclass(frozen=True)
class Environment:
    """Packages of PyPI, with the Python they need (a version or a path; None: this one), or of npm.

    `commands` and `libraries` must be on the machine already; .ci/run installs them.
    """

    name: str
    packages: tuple[str, ...]
    python: str | None = None
    npm: bool = False
    commands: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()

    def folder(self) -> Path:
        """The environment's folder, installed now where it is not there yet.

        Raises:
            NotInstallableError: Says why not.
        """
        for command in self.commands:
            if shutil.which(command) is None:
                raise NotInstallableError(f"no '{command}' on this machine")
        for library in self.libraries:
            if not any(Path(place).glob(f"**/{library}") for place in ("/usr/lib", "/lib", "/usr/local/lib")):
                raise NotInstallableError(f"no library {library} on this machine")
        digest = hashlib.sha256("\n".join((self.python or sys.version, *self.packages)).encode()).hexdigest()[:8]
        folder = _cache() / f"{self.name}-{digest}"
        if not (folder / INSTALLED).exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with folder.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be at it
                if not (folder / INSTALLED).exists():
                    shutil.rmtree(folder, ignore_errors=True)
                    self._install(folder)
                    (folder / INSTALLED).touch()
        return folder

    def interpreter(self) -> Path:
        """Its Python."""
        return self.folder() / "bin" / "python"

    def _install(self, folder: Path) -> None:
        if self.npm:
            folder.mkdir()
            (folder / "package.json").write_text("{}\n")
            _run(["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(folder), *self.packages])
        elif shutil.which("uv"):
            _run(["uv", "venv", "--quiet", "--python", self.python or sys.executable, str(folder)])
            _run(["uv", "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *self.packages])
        else:
            python = self._python()
            _run([python, "-m", "venv", str(folder)])
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, *self.packages])

    def _python(self) -> str:
        if self.python is None or self.python == "{}.{}".format(*sys.version_info[:2]):
            return sys.executable
        name = self.python if "/" in self.python else f"python{self.python}"
        if (found := shutil.which(name)) is None:
            raise NotInstallableError(f"no Python {self.python} on this machine")
        return found


@dataclass(frozen=True)
class DebianFolder(Environment):
    """The root folder of a Debian with packages, made by debootstrap, which only root may do."""

    release: str = "bookworm"

    def _install(self, folder: Path) -> None:
        if os.getuid() != 0:
            raise NotInstallableError("debootstrap needs root")
        wanted = f"--include={','.join(self.packages)}"
        _run(["debootstrap", "--variant=minbase", wanted, self.release, str(folder)])


def _cache() -> Path:
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("TFKIT_CONSUMERS") or caches / "tfkit" / "consumers").resolve()


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise NotInstallableError(f"{command[0]}: {fault}") from None
    if done.returncode:
        told = " ".join((done.stderr or done.stdout).split())
        raise NotInstallableError(f"{' '.join(command[:3])} failed: {told[-300:]}")
