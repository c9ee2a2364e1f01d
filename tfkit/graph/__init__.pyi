from .building import Call, LayerCall, build_model, copy_layer, copy_onto, give_weights
from .comparing import refuse_difference, refuse_other_values
from .feeding import fed
from .heads import Head, activation_name, read_head
from .layer_graph import LayerGraph, Node, Value
from .opening import call_opened, call_with_rows, is_builtin, opened_model, reshapes_examples, steps_of
from .reading import read_graph
from .running import COMPARED_SAMPLES

__all__ = [
    "COMPARED_SAMPLES",
    "Call",
    "Head",
    "LayerCall",
    "LayerGraph",
    "Node",
    "Value",
    "activation_name",
    "build_model",
    "call_opened",
    "call_with_rows",
    "copy_layer",
    "copy_onto",
    "fed",
    "give_weights",
    "is_builtin",
    "opened_model",
    "read_graph",
    "read_head",
    "refuse_difference",
    "refuse_other_values",
    "reshapes_examples",
    "steps_of",
]
