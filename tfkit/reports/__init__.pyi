from .compression import Compression, describe_compression, parameters_of
from .data_gallery import data_gallery
from .drift import drift_document, drift_headline, drift_rows, write_drift_metrics, write_drift_page
from .explanations import Explanations, explain_mistakes
from .files import write_run_report
from .findings import Evaluation
from .forgetting import EarlierAnswers, Forgetting
from .heat_maps import HeatMap, HeatMaps, map_mistakes
from .label_doubts import suspicious_labels_told, write_suspicious_labels
from .monitor import Outlets, monitor_document, monitor_notes, monitor_table, write_monitor_page
from .proof import evaluate, prove_artifacts, shown_of, write_stage_pictures
from .replies import Replies
from .run_report import (
    ArtifactResult,
    Control,
    RunReport,
    StageSummary,
    artifact_result,
    float_accuracy,
    gain_over_head,
)
from .tensorboard import write_layer_errors, write_tensorboard_images, write_tensorboard_texts
from .terminal import coverage_tables, data_notes, data_table, drift_notes, drift_table, result_table, unread_notes
from .trust import Trust, trust_in

__all__ = [
    "ArtifactResult",
    "Compression",
    "Control",
    "EarlierAnswers",
    "Evaluation",
    "Explanations",
    "Forgetting",
    "HeatMap",
    "HeatMaps",
    "Outlets",
    "Replies",
    "RunReport",
    "StageSummary",
    "Trust",
    "artifact_result",
    "coverage_tables",
    "data_gallery",
    "data_notes",
    "data_table",
    "describe_compression",
    "drift_document",
    "drift_headline",
    "drift_notes",
    "drift_rows",
    "drift_table",
    "evaluate",
    "explain_mistakes",
    "float_accuracy",
    "gain_over_head",
    "map_mistakes",
    "monitor_document",
    "monitor_notes",
    "monitor_table",
    "parameters_of",
    "prove_artifacts",
    "result_table",
    "shown_of",
    "suspicious_labels_told",
    "trust_in",
    "unread_notes",
    "write_drift_metrics",
    "write_drift_page",
    "write_layer_errors",
    "write_monitor_page",
    "write_run_report",
    "write_stage_pictures",
    "write_suspicious_labels",
    "write_tensorboard_images",
    "write_tensorboard_texts",
]
