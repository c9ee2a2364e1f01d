"""The flat layer graph of a Keras model: what quantisation, folding and channel pruning all stand on."""

from tfkit.graph.building import Call, build_model, copy_layer, copy_onto
from tfkit.graph.comparing import refuse_difference, refuse_other_values
from tfkit.graph.heads import Head, activation_name, read_head
from tfkit.graph.layer_graph import LayerGraph, Node, Value
from tfkit.graph.reading import read_graph
from tfkit.graph.running import COMPARED_SAMPLES
from tfkit.graph.weights import give_weights

__all__ = [
    "COMPARED_SAMPLES",
    "Call",
    "Head",
    "LayerGraph",
    "Node",
    "Value",
    "activation_name",
    "build_model",
    "copy_layer",
    "copy_onto",
    "give_weights",
    "read_graph",
    "read_head",
    "refuse_difference",
    "refuse_other_values",
]
