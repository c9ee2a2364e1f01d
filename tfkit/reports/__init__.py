"""What a run found, told to people, programs, TensorBoard and the terminal.

TensorFlow, Keras and matplotlib are loaded only by the functions that need them.
"""

from tfkit.reports.files import write_run_report
from tfkit.reports.proof import prove_artifacts
from tfkit.reports.run_report import (
    ArtifactResult,
    Control,
    Evaluation,
    RunReport,
    StageSummary,
    artifact_result,
)
from tfkit.reports.tensorboard import write_tensorboard_images
from tfkit.reports.terminal import result_table

__all__ = [
    "ArtifactResult",
    "Control",
    "Evaluation",
    "RunReport",
    "StageSummary",
    "artifact_result",
    "prove_artifacts",
    "result_table",
    "write_run_report",
    "write_tensorboard_images",
]
