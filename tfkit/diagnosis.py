"""What `tfkit doctor` looks at: this Python, its packages, the processor, TensorFlow and the disk."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal, TypedDict

from tfkit.cores import usable_cores

_GIB = 2**30

# Run in a process of its own, because it may crash: that is what it finds out. Without XLA, oneDNN of TensorFlow
# 2.21 has been seen to crash in training where a convolution has fewer than 16 channels.
_TENSORFLOW_PROBE = """
import json
import tensorflow as tf, keras
gpus = [gpu.name for gpu in tf.config.list_physical_devices("GPU")]
print(json.dumps({"gpus": gpus, "cuda": tf.test.is_built_with_cuda(), "backend": keras.backend.backend()}), flush=True)
"""


class _Started(TypedDict):
    """What the probe prints."""

    gpus: list[str]
    cuda: bool
    backend: str


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's answer.

    Attributes:
        level: `ok`, `warn` (works, but) or `fail` (tfkit will not work).
        subject: What was looked at.
        text: What was found.
        mend: What to do about it; empty when nothing is to be done.
    """

    level: Literal["ok", "warn", "fail"]
    subject: str
    text: str
    mend: str = ""


def check_python() -> Finding:
    """The version of this Python against the one that tfkit asks for."""
    from packaging.specifiers import SpecifierSet

    version = platform.python_version()
    wanted = metadata.metadata("tfkit")["Requires-Python"] or ""
    text = f"{version} ({sys.executable})"
    if SpecifierSet(wanted).contains(version, prereleases=True):
        return Finding("ok", "Python", text)
    return Finding("fail", "Python", f"{text}; tfkit needs {wanted}", "make a virtual environment with such a Python")


def check_packages() -> list[Finding]:
    """Every package that tfkit asks for: is it there, and in the version asked for?"""
    from packaging.requirements import Requirement

    wrong, right = [], []
    for text in metadata.requires("tfkit") or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        name, wanted = requirement.name, str(requirement.specifier)
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(
                Finding("fail", name, f"is not installed; tfkit needs {wanted}", f"pip install '{name}{wanted}'")
            )
            continue
        if requirement.specifier.contains(version, prereleases=True):
            right.append(f"{name} {version}")
        else:
            mend = f"pip install '{name}{wanted}'"
            wrong.append(Finding("fail", name, f"{version} is installed; tfkit needs {wanted}", mend))
    return [*wrong, *([Finding("ok", "packages", ", ".join(right))] if right else [])]


def check_processor() -> list[Finding]:
    """Cores, vector instructions and memory."""
    import psutil

    name, flags = _processor()
    cores = usable_cores()
    vectors = [
        flag for flag in ("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8") if flag in flags
    ]
    if platform.machine() == "x86_64" and flags and "avx" not in flags:
        mend = "use another machine; TensorFlow's packages need AVX"
        processor = Finding("fail", "processor", f"{name} has no AVX instructions", mend)
    else:
        features = f"; {' '.join(vectors)}" if vectors else ""
        processor = Finding("ok", "processor", f"{name}, {cores} {'core' if cores == 1 else 'cores'}{features}")
    memory = psutil.virtual_memory()
    text = f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB free"
    if memory.available >= 2 * _GIB:
        return [processor, Finding("ok", "memory", text)]
    mend = "close other programs, or lower data.cache_mb and data.batch_size"
    return [processor, Finding("warn", "memory", text, mend)]


def check_disk(folder: Path) -> Finding:
    """Free space where runs are written."""
    free = shutil.disk_usage(folder).free / _GIB
    text = f"{free:.1f} GiB free in {folder}"
    if free >= 2:
        return Finding("ok", "disk", text)
    return Finding("warn" if free >= 0.2 else "fail", "disk", text, "free some space, or set run.directory elsewhere")


def check_tensorflow() -> list[Finding]:
    """TensorFlow starts, Keras stands on it, and which GPU it sees."""
    process = _probe(_TENSORFLOW_PROBE)
    try:
        found: _Started = json.loads(process.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        mend = "install it again: pip install --force-reinstall tensorflow"
        return [Finding("fail", "TensorFlow", f"does not start: {_end(process)}", mend)]
    findings = [Finding("ok", "TensorFlow", "starts")]
    if found["backend"] != "tensorflow":
        mend = 'unset KERAS_BACKEND, or set "backend": "tensorflow" in ~/.keras/keras.json'
        findings.append(Finding("fail", "Keras", f"stands on {found['backend']}; tfkit needs TensorFlow", mend))
    if found["gpus"]:
        findings.append(Finding("ok", "GPU", ", ".join(found["gpus"])))
    elif Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi"):
        mend = "pip install 'tfkit[cuda]'" if found["cuda"] else "install a TensorFlow that is built with CUDA"
        findings.append(Finding("warn", "GPU", "there is an NVIDIA driver, but TensorFlow sees no GPU", mend))
    else:
        findings.append(Finding("ok", "GPU", "none; everything runs on the processor"))
    return findings


def check_narrow_convolutions() -> Finding:
    """Train convolutions of 4, 8 and 12 channels without XLA, which crashes oneDNN on some processors."""
    subject = "oneDNN"
    try:
        from tfkit.training.quick_steps import narrow_convolutions_crash
    except Exception as fault:  # a broken TensorFlow has a line of its own
        return Finding("warn", subject, f"could not be tried: {str(fault).splitlines()[0][:200]}")
    if narrow_convolutions_crash():
        told = "crashes when a convolution of fewer than 16 channels is trained; tfkit uses XLA for such networks"
        return Finding("warn", subject, told, "export TF_ENABLE_ONEDNN_OPTS=0 trains them faster")
    return Finding("ok", subject, "trains convolutions of fewer than 16 channels")


def _probe(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", "no answer within 180 s")


def _end(process: subprocess.CompletedProcess[str]) -> str:
    lines = process.stderr.strip().splitlines()
    ended = f"ended by signal {-process.returncode}" if process.returncode < 0 else "no reason given"
    return lines[-1][:200] if lines else ended


def _processor() -> tuple[str, frozenset[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine(), frozenset()
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    return (
        name.group(1).strip() if name else platform.machine(),
        frozenset(flags.group(1).split()) if flags else frozenset(),
    )
