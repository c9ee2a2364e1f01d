"""Put the biases of a quantisation-aware model on the grid that its file holds them on."""

import keras

from tfkit.compression.kinds import kind_of
from tfkit.compression.neighbours import Neighbours
from tfkit.compression.sums import settle_sums
from tfkit.graph import read_graph


def settle_biases(model: keras.Model) -> int:
    """Let a trained model add what its file adds: biases in whole steps, and sums that are rounded as the file's.

    A file adds a bias as a whole number of (input scale x weight scale)
    (https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec). The
    rounding is small, but it turns the next rounding of about one value in a thousand, and each layer multiplies
    that. It is done once, after training: ranges and kernels must not change any more.

    Args:
        model: What `quantize_aware` gave, trained. Its kernels, and its biases or the `beta` of the BatchNorm layers
            that will be folded, are moved in place by half a step at most.

    Returns:
        How many layers were settled.

    Example:
        >>> settle_biases(student) > 0
        True
    """
    graph = read_graph(model)
    neighbours = Neighbours(graph, kind_of)
    settling = [(node, settle) for node in graph.nodes if (settle := kind_of(node).settle) is not None]
    settled = sum(settle(neighbours, node) for node, settle in settling)
    settle_sums(graph)
    for function in ("train_function", "test_function", "predict_function"):
        setattr(model, function, None)  # these shifts are constants of what was compiled
    return settled
