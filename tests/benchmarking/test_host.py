"""The description of the machine."""

import subprocess
import sys
from dataclasses import asdict

from tfkit.benchmarking import describe_host


def test_host_names_what_figures_depend_on():
    host = describe_host()
    assert host.cpu
    assert host.processor == f"{host.cpu} ({host.instruction_set})"
    assert host.cores >= 1
    assert host.memory_gib > 0
    assert host.operating_system
    assert host.python.count(".") == 2
    assert {"tfkit", "tensorflow", "keras", "ai-edge-litert", "litert-quantizer"} <= set(host.versions)
    assert all(asdict(host).values())


def test_describing_the_host_does_not_import_tensorflow():
    check = "import sys, tfkit.benchmarking as b; b.describe_host(); sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
