"""Prove an exported model: run it as it will run, compare it with Keras, and decide."""

from tfkit.verification.acceptance import AcceptancePolicy, refusals
from tfkit.verification.artifact_verification import (
    ArtifactVerification,
    portability_problems,
    reference_scores,
    verify_artifact,
)
from tfkit.verification.golden_samples import write_golden_samples

__all__ = [
    "AcceptancePolicy",
    "ArtifactVerification",
    "portability_problems",
    "reference_scores",
    "refusals",
    "verify_artifact",
    "write_golden_samples",
]
