"""The machine that figures were measured on."""

import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil

from tfkit.cores import usable_cores

# Flags of /proc/cpuinfo, widest first (Linux, arch/x86/include/asm/cpufeatures.h and arch/arm64's elf_hwcaps).
_VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sse4_1": "SSE4.1", "asimd": "NEON"}
_DOT_PRODUCTS = {
    "avx512_vnni": "VNNI",
    "avx_vnni": "AVX-VNNI",
    "i8mm": "int8 matrix products",
    "asimddp": "dot product",
}
_PACKAGES = ("tfkit", "tensorflow", "keras", "keras-hub", "ai-edge-litert", "litert-quantizer", "numpy")


@dataclass(frozen=True)
class Host:
    """A machine and the software on it.

    Attributes:
        cpu: The processor's name.
        instruction_set: What of its instructions decides the speed of 8-bit arithmetic, such as "AVX-512 with VNNI".
        cores: Logical cores this process may use.
        memory_gib: Memory in GiB.
        operating_system: Name and version.
        python: Python's version.
        versions: Versions of the packages that figures depend on.
    """

    cpu: str
    instruction_set: str
    cores: int
    memory_gib: float
    operating_system: str
    python: str
    versions: dict[str, str]

    @property
    def processor(self) -> str:
        """The processor with its instruction set: two machines of one name can differ sixfold.

        Example:
            >>> bool(describe_host().processor)
            True
        """
        return f"{self.cpu} ({self.instruction_set})"


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
        instruction_set=_instruction_set(),
        cores=usable_cores(),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        operating_system=platform.platform(terse=True),
        python=platform.python_version(),
        versions={package: metadata.version(package) for package in _PACKAGES if _is_installed(package)},
    )


def _cpu_name() -> str:
    fields = _processor_fields()
    name = fields.get("model name") or fields.get("Model")
    return name or platform.processor() or platform.machine()


def _instruction_set() -> str:
    """The widest vectors and the 8-bit dot product, as Linux names them; elsewhere the architecture alone."""
    fields = _processor_fields()
    flags = set(f"{fields.get('flags', '')} {fields.get('Features', '')}".split())
    vectors = next((name for flag, name in _VECTORS.items() if flag in flags), None)
    if vectors is None:
        return f"{platform.machine()}, instruction set unknown"
    dot_products = [name for flag, name in _DOT_PRODUCTS.items() if flag in flags]
    missing = "without dot product" if vectors == "NEON" else "without VNNI"
    return f"{vectors} with {' and '.join(dot_products)}" if dot_products else f"{vectors} {missing}"


def _processor_fields() -> dict[str, str]:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return {}
    pairs = (line.partition(":")[::2] for line in cpuinfo.read_text(errors="replace").splitlines())
    return {field.strip(): value.strip() for field, value in pairs}


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
