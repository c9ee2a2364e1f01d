"""Run a model, wherever it came from: Keras, SavedModel, LiteRT - one Protocol."""

from tfkit.runtimes.file_metadata import metadata_labels, metadata_scaling
from tfkit.runtimes.flatbuffer import (
    Operator,
    read_last_function,
    read_operators,
    read_signature,
    scale_that_is_no_number,
)
from tfkit.runtimes.isolated_litert import IsolatedLiteRTRuntime
from tfkit.runtimes.keras_runtime import KerasRuntime
from tfkit.runtimes.litert_runtime import LiteRTRuntime
from tfkit.runtimes.native_output import held_native_output
from tfkit.runtimes.opening import open_runtime
from tfkit.runtimes.portability import Portability, read_portability
from tfkit.runtimes.protocol import ModelInputs, Runtime
from tfkit.runtimes.saved_model_runtime import SavedModelRuntime
from tfkit.runtimes.stored_weights import StoredWeights, read_stored_weights

__all__ = [
    "IsolatedLiteRTRuntime",
    "KerasRuntime",
    "LiteRTRuntime",
    "ModelInputs",
    "Operator",
    "Portability",
    "Runtime",
    "SavedModelRuntime",
    "StoredWeights",
    "held_native_output",
    "metadata_labels",
    "metadata_scaling",
    "open_runtime",
    "read_last_function",
    "read_operators",
    "read_portability",
    "read_signature",
    "read_stored_weights",
    "scale_that_is_no_number",
]
