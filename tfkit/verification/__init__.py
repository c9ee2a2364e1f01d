"""Prove an exported model: run it as it will run, compare it with Keras, and decide."""

from tfkit.verification.acceptance import AcceptancePolicy, refusals
from tfkit.verification.artifact_verification import (
    ArtifactVerification,
    portability_problems,
    reference_scores,
    verify_artifact,
)
from tfkit.verification.golden_samples import write_golden_samples
from tfkit.verification.input_probe import InputFinding, LabelOrder, find_label_order, probe_inputs
from tfkit.verification.npu import NpuPlacement, npu_faults, place_on_npu

__all__ = [
    "AcceptancePolicy",
    "ArtifactVerification",
    "InputFinding",
    "LabelOrder",
    "NpuPlacement",
    "find_label_order",
    "npu_faults",
    "place_on_npu",
    "portability_problems",
    "probe_inputs",
    "reference_scores",
    "refusals",
    "verify_artifact",
    "write_golden_samples",
]
