from .ancestry import Ancestor, Ancestry, trace
from .drifting import drift, save_profile
from .exporting import export, make_empty
from .optimizing import Images, Optimized, optimize
from .predicting import predict
from .queueing import LabelQueue, ToLabel, label_queue
from .redacting import RedactedTable, redact
from .timing import Timed, Timing, time_model
from .values import Explained, FoundTexts, Limits, Prediction, TextTable, Verified
from .verifying import verify

__all__ = [
    "Ancestor",
    "Ancestry",
    "Explained",
    "FoundTexts",
    "Images",
    "LabelQueue",
    "Limits",
    "Optimized",
    "Prediction",
    "RedactedTable",
    "TextTable",
    "Timed",
    "Timing",
    "ToLabel",
    "Verified",
    "drift",
    "export",
    "label_queue",
    "make_empty",
    "optimize",
    "predict",
    "redact",
    "save_profile",
    "time_model",
    "trace",
    "verify",
]
