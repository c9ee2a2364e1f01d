"""The machine that figures were measured on."""

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil

_PACKAGES = ("tfkit", "tensorflow", "keras", "keras-hub", "ai-edge-litert", "litert-quantizer", "numpy")


@dataclass(frozen=True)
class Host:
    """A machine and the software on it.

    Attributes:
        cpu: The processor's name.
        cores: Logical cores this process may use.
        memory_gib: Memory in GiB.
        operating_system: Name and version.
        python: Python's version.
        versions: Versions of the packages that figures depend on.
    """

    cpu: str
    cores: int
    memory_gib: float
    operating_system: str
    python: str
    versions: dict[str, str]


def describe_host() -> Host:
    """Describe this machine, without importing TensorFlow.

    Returns:
        The host.

    Example:
        >>> describe_host().cores > 0
        True
    """
    return Host(
        cpu=_cpu_name(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        operating_system=platform.platform(terse=True),
        python=platform.python_version(),
        versions={package: metadata.version(package) for package in _PACKAGES if _is_installed(package)},
    )


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = dict(line.partition(":")[::2] for line in cpuinfo.read_text(errors="replace").splitlines())
        for field, value in fields.items():
            if field.strip() in ("model name", "Model"):
                return value.strip()
    return platform.processor() or platform.machine()


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
