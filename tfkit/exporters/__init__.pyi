from .conversion import convert_to_float
from .float_model import with_two_scores
from .formats import export_formats
from .rehearsal import rehearse_export
from .saved_model import export_saved_model
from .tflite import export_tflite

__all__ = [
    "convert_to_float",
    "export_formats",
    "export_saved_model",
    "export_tflite",
    "rehearse_export",
    "with_two_scores",
]
