from .acceptance import AcceptancePolicy, refusals
from .artifact_verification import ArtifactVerification, artifact_scores, portability_problems, verify_artifact
from .golden_samples import write_golden_samples
from .input_probe import InputFinding, LabelOrder, find_label_order, probe_inputs
from .npu import NpuCompilation, NpuPlacement, compile_for_npu, npu_faults, place_on_npu
from .reference import reference_scores

__all__ = [
    "AcceptancePolicy",
    "ArtifactVerification",
    "InputFinding",
    "LabelOrder",
    "NpuCompilation",
    "NpuPlacement",
    "artifact_scores",
    "compile_for_npu",
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
