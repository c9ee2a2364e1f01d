from .ancestry import Ancestor, Ancestry, trace
from .answer_tables import found_table, prediction_table, reply_table, word_notes, word_table
from .drifting import drift, save_profile
from .exporting import export, make_empty
from .heat_maps import write_heat_maps
from .masks import write_masks
from .optimizing import Images, Optimized, optimize
from .predicting import predict
from .pushing import Pushed, PushOptions, push
from .queueing import LabelQueue, ToLabel, label_queue
from .redacting import RedactedTable, redact
from .tables import ancestry_tree, queue_table, timed_notes, timed_table
from .timing import Timed, Timing, time_model
from .tuning_files import TunedFile, tune_file
from .values import Explained, FoundTexts, Heated, Limits, Prediction, Replies, TextTable, Verified
from .verified_table import verified_notes, verified_table
from .verifying import verify
from .watching import monitor

__all__ = [
    "Ancestor",
    "Ancestry",
    "Explained",
    "FoundTexts",
    "Heated",
    "Images",
    "LabelQueue",
    "Limits",
    "Optimized",
    "Prediction",
    "PushOptions",
    "Pushed",
    "RedactedTable",
    "Replies",
    "TextTable",
    "Timed",
    "Timing",
    "ToLabel",
    "TunedFile",
    "Verified",
    "ancestry_tree",
    "drift",
    "export",
    "found_table",
    "label_queue",
    "make_empty",
    "monitor",
    "optimize",
    "predict",
    "prediction_table",
    "push",
    "queue_table",
    "redact",
    "reply_table",
    "save_profile",
    "time_model",
    "timed_notes",
    "timed_table",
    "trace",
    "tune_file",
    "verified_notes",
    "verified_table",
    "verify",
    "word_notes",
    "word_table",
    "write_heat_maps",
    "write_masks",
]
