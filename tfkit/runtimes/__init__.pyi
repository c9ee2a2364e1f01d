from .file_metadata import metadata_labels, metadata_scaling
from .flatbuffer import Operator, read_last_function, read_operators, read_signature, scale_that_is_no_number
from .isolated_litert import IsolatedLiteRTRuntime
from .keras_runtime import KerasRuntime
from .language_model_runtime import Generated, LanguageModelRuntime
from .litert_runtime import LiteRTRuntime
from .opening import open_runtime
from .portability import OperatorNeed, Portability, read_operator_needs, read_portability
from .protocol import Feed, ModelInputs, Runtime, held_native_output
from .saved_model_runtime import SavedModelRuntime
from .stored_weights import StoredWeights, read_stored_weights

__all__ = [
    "Feed",
    "Generated",
    "IsolatedLiteRTRuntime",
    "KerasRuntime",
    "LanguageModelRuntime",
    "LiteRTRuntime",
    "ModelInputs",
    "Operator",
    "OperatorNeed",
    "Portability",
    "Runtime",
    "SavedModelRuntime",
    "StoredWeights",
    "held_native_output",
    "metadata_labels",
    "metadata_scaling",
    "open_runtime",
    "read_last_function",
    "read_operator_needs",
    "read_operators",
    "read_portability",
    "read_signature",
    "read_stored_weights",
    "scale_that_is_no_number",
]
