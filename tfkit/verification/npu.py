"""What an Ethos-U NPU would compute of a `.tflite` file, by Arm's own compiler, Vela."""

import csv
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tfkit.arguments import takes_text
from tfkit.errors import ConfigError, ModelError

_CONFIGURATIONS = {"ethos-u55": (32, 64, 128, 256), "ethos-u65": (256, 512), "ethos-u85": (128, 256, 512, 1024, 2048)}
ACCELERATORS = tuple(f"{name}-{macs}" for name, sizes in _CONFIGURATIONS.items() for macs in sizes)
_COUNT = r"{} operators = (\d+)"
_LEFT_OUT = r"^Warning .*operator: (\w+)"
_TIME_LIMIT_S = 600


@dataclass(frozen=True)
class NpuPlacement:
    """Where the operators of a file would run.

    Attributes:
        accelerator: Vela's name of the NPU, such as `ethos-u55-128`.
        npu_operators: Operators that it would compute, counted after Vela's own rewriting.
        cpu_operators: Operators left to the processor beside it.
        left_out: Names of those operators with how often each is named, most often first.
        estimated_ms: Vela's estimate of one inference in milliseconds, with its default memory; None without one.
    """

    accelerator: str
    npu_operators: int
    cpu_operators: int
    left_out: dict[str, int]
    estimated_ms: float | None

    @property
    def npu_share(self) -> float:
        """Share of the operators that run on the NPU."""
        return self.npu_operators / max(1, self.npu_operators + self.cpu_operators)


@dataclass(frozen=True)
class NpuCompilation:
    """What Vela made of a `.tflite` file.

    Attributes:
        placement: Where its operators run.
        path: The compiled file.
        cost: Vela's estimates for its default memory: `inference_ms`, `sram_kib`, `dram_kib`,
            `flash_kib`, `macs` and `cycles` of one inference; empty where it gives none.
    """

    placement: NpuPlacement
    path: Path
    cost: dict[str, float]


@takes_text
def place_on_npu(path: Path, accelerator: str) -> NpuPlacement:
    """Compile a `.tflite` file for an Ethos-U NPU and read from Vela's summary what runs there.

    Vela ends well even when nothing at all runs on the NPU, so its exit status says little.

    Args:
        path: The file.
        accelerator: One of `ACCELERATORS`.

    Returns:
        The placement.

    Raises:
        ConfigError: When there is no such NPU, or Vela (`pip install ethos-u-vela`) is not installed.
        ModelError: When Vela refuses the file.

    Example:
        >>> place_on_npu(Path("model_int8.tflite"), "ethos-u55-128").cpu_operators  # doctest: +SKIP
        0
    """
    with tempfile.TemporaryDirectory(prefix="tfkit-") as folder:
        return compile_for_npu(path, accelerator, Path(folder)).placement


@takes_text
def compile_for_npu(path: Path, accelerator: str, folder: Path) -> NpuCompilation:
    """Compile a `.tflite` file for an Ethos-U NPU, and keep what Vela writes.

    Args:
        path: The file.
        accelerator: One of `ACCELERATORS`.
        folder: Where Vela writes the compiled file and its tables.

    Returns:
        Where the operators run, the compiled file, and Vela's estimates.

    Raises:
        ConfigError: When there is no such NPU, or Vela (`pip install ethos-u-vela`) is not installed.
        ModelError: When Vela refuses the file.

    Example:
        >>> compile_for_npu(Path("model_int8.tflite"), "ethos-u55-128", Path("npu")).path.name  # doctest: +SKIP
        'model_int8_vela.tflite'
    """
    if accelerator not in ACCELERATORS:
        raise ConfigError(f"there is no NPU '{accelerator}'", hint="one of " + ", ".join(ACCELERATORS))
    command = [_vela(), str(path.resolve()), "--accelerator-config", accelerator, "--output-dir", str(folder.resolve())]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_TIME_LIMIT_S)
    told = done.stdout + done.stderr
    counts = [re.search(_COUNT.format(side), told) for side in ("NPU", "CPU")]
    if done.returncode or not all(counts):
        reason = (told.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise ModelError(f"Vela refuses '{path}': {reason}", hint="tfkit verify without --npu shows the file")
    npu, cpu = (int(count[1]) for count in counts if count)
    left_out = Counter(re.findall(_LEFT_OUT, told, re.MULTILINE))
    cost = _estimates(folder)
    placement = NpuPlacement(accelerator, npu, cpu, dict(left_out.most_common()), cost.get("inference_ms"))
    return NpuCompilation(placement, folder / f"{path.stem}_vela.tflite", cost)


def npu_faults(placement: NpuPlacement) -> tuple[str, ...]:
    """Say what keeps a file from running on the NPU whole; empty when all of it does."""
    if not placement.cpu_operators:
        return ()
    names = ", ".join(f"{name} {count}" for name, count in placement.left_out.items())
    total = placement.npu_operators + placement.cpu_operators
    return (
        f"{placement.cpu_operators} of {total} operators stay on the processor beside {placement.accelerator}"
        + (f": {names}" if names else ""),
    )


def _vela() -> str:
    beside = Path(sys.executable).with_name("vela")
    found = str(beside) if beside.exists() else shutil.which("vela")
    if found is None:
        raise ConfigError("Vela, Arm's compiler for Ethos-U NPUs, is not installed", hint="pip install ethos-u-vela")
    return found


def _estimates(folder: Path) -> dict[str, float]:
    for summary in folder.glob("*_summary_*.csv"):
        with summary.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                kib = {name: float(row[f"{name}_memory_used"]) for name in ("sram", "dram", "on_chip_flash")}
                return {
                    "inference_ms": 1000 * float(row["inference_time"]),
                    "sram_kib": kib["sram"],
                    "dram_kib": kib["dram"],
                    "flash_kib": kib["on_chip_flash"] + float(row["off_chip_flash_memory_used"]),
                    "macs": float(row["nn_macs"]),
                    "cycles": float(row["cycles_total"]),
                }
    return {}
