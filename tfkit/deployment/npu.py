"""A bundle for microcontrollers with an Ethos-U NPU: what Vela makes of a run's int8 file, and what it costs."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfkit.artifacts import Artifact, RunDirectory
from tfkit.deployment.lite_files import size_report
from tfkit.deployment.names import check_name
from tfkit.deployment.proved import accepted_file
from tfkit.errors import ConfigError
from tfkit.files import write_whole
from tfkit.verification import NpuCompilation, compile_for_npu, npu_faults
from tfkit.verification.npu import ACCELERATORS

DEFAULT_ACCELERATOR = "ethos-u55-128"


@dataclass(frozen=True)
class NpuOptions:
    """What a bundle for microcontrollers is told.

    Attributes:
        name: What the model is called: small letters, digits and dashes, 40 at most.
        accelerators: The NPUs that it is compiled for; the TensorFlow Lite Micro project takes the first.
        micro: Whether a TensorFlow Lite Micro project is written, where the model is small enough for one.

    Raises:
        ConfigError: When a name is none; tells all faults.

    Example:
        >>> NpuOptions("digits").accelerators
        ('ethos-u55-128',)
    """

    name: str
    accelerators: tuple[str, ...] = (DEFAULT_ACCELERATOR,)
    micro: bool = True

    def __post_init__(self) -> None:
        faults = check_name(self.name)
        faults += [f"there is no NPU '{one}'" for one in self.accelerators if one not in ACCELERATORS]
        if len(set(self.accelerators)) != len(self.accelerators) or not self.accelerators:
            faults.append("each NPU is named once, and one at least")
        if faults:
            raise ConfigError("; ".join(faults), hint="NPUs are " + ", ".join(ACCELERATORS))


def npu_model(run: RunDirectory) -> Artifact:
    """The file of a run that an NPU is given: its accepted int8 file.

    Args:
        run: The run.

    Returns:
        The file.

    Raises:
        ExportError: When there is none.
    """
    return accepted_file(run, ("tflite",), kinds=("int8",))


def compile_for_all(served: Artifact, options: NpuOptions, folder: Path) -> tuple[NpuCompilation, ...]:
    """Copy the int8 file, and compile it for each NPU into `vela/`, with Vela's table of its layers.

    Args:
        served: The int8 file.
        options: What the bundle is told.
        folder: The bundle's folder.

    Returns:
        One for each NPU.

    Raises:
        ConfigError: When Vela is not installed.
        ModelError: When Vela refuses the file.
    """
    shutil.copyfile(served.path, folder / served.path.name)
    done = []
    for accelerator in options.accelerators:
        kept = folder / "vela" / accelerator
        kept.mkdir(parents=True)
        with tempfile.TemporaryDirectory(prefix="tfkit-") as made:
            compiled = compile_for_npu(served.path, accelerator, Path(made))
            for file in (compiled.path, *sorted(Path(made).glob("*_summary_*.csv"))):
                shutil.copyfile(file, kept / file.name)
        done.append(NpuCompilation(compiled.placement, kept / compiled.path.name, compiled.cost))
    write_whole(folder / "cost.json", json.dumps([_told(one, folder) for one in done], indent=2) + "\n")
    write_whole(folder / "size_report.json", json.dumps(size_report(served), indent=2) + "\n")
    return tuple(done)


def npu_values(
    served: Artifact, options: NpuOptions, compiled: Sequence[NpuCompilation], folder: Path
) -> dict[str, Any]:
    """What the templates of `npu` name.

    Args:
        served: The int8 file.
        options: What the bundle is told.
        compiled: What Vela made of it.
        folder: The bundle's folder.

    Returns:
        Names and numbers.
    """
    return {
        "name": options.name,
        "file": served.path.name,
        "file_bytes": served.bytes,
        "compilations": [_told(one, folder) for one in compiled],
    }


def _told(one: NpuCompilation, folder: Path) -> dict[str, Any]:
    return {
        **vars(one.placement),
        "file": one.path.relative_to(folder).as_posix(),
        "file_bytes": one.path.stat().st_size,
        "cost": one.cost,
        "faults": list(npu_faults(one.placement)),
    }
