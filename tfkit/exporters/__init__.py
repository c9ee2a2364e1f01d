"""Write trained Keras models as SavedModel and TFLite files, and refuse what was not asked for."""

from tfkit.exporters.conversion import convert_to_float
from tfkit.exporters.formats import export_formats
from tfkit.exporters.heads import with_two_scores
from tfkit.exporters.rehearsal import rehearse_export
from tfkit.exporters.saved_model import export_saved_model
from tfkit.exporters.tflite import export_tflite

__all__ = [
    "convert_to_float",
    "export_formats",
    "export_saved_model",
    "export_tflite",
    "rehearse_export",
    "with_two_scores",
]
